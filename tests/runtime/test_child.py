"""A supervised process that is replaced, and one that must wait before it starts."""

from __future__ import annotations

import asyncio
import sys

from allthings.runtime.child import Child, ChildSpec

READY_THEN_SLEEP = "import os, time; os.write(int(os.environ['ALLTHINGS_READY_FD']), b'1'); time.sleep(600)"


async def test_a_child_that_is_replaced_is_another_process_at_once() -> None:
    said: list[str] = []
    prepared: list[str] = []

    async def before() -> None:
        prepared.append(child.state)

    child = Child(ChildSpec("log", [sys.executable, "-c", READY_THEN_SLEEP], before=before), lambda: None, said.append)
    running = asyncio.create_task(child.run())
    async with asyncio.timeout(60):
        await child.ready.wait()
        for number in range(1, 6):
            first = child.pid
            # Without the pauses of one that dies by itself.
            assert await child.replace(30)
            assert child.pid not in (None, first)
            assert (child.state, child.restarts) == ("running", number)
        assert said == []
        assert prepared == ["starting", *["restarting"] * 5]
        await child.stop()
        await running


async def test_a_child_that_is_stopped_while_it_may_not_start_never_starts() -> None:
    may, asked = asyncio.Event(), asyncio.Event()

    async def before() -> None:
        asked.set()
        await may.wait()

    child = Child(ChildSpec("log", ["/bin/false"], before=before), lambda: None, lambda _: None)
    running = asyncio.create_task(child.run())
    async with asyncio.timeout(10):
        await asked.wait()
        await child.stop()
        may.set()
        await running
    assert (child.state, child.restarts, child.pid) == ("stopped", 0, None)
