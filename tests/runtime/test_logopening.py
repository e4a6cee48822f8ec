"""A log's server that cannot open a damaged log is told from one that takes its time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from allthings.runtime import logopening
from allthings.runtime.child import Child, ChildSpec

_MESSAGES = """\
[7] 2026/11/30 11:48:46.10 [INF]   Starting restore for stream '$G > allthings'
[9] 2026/11/30 11:50:19.32 [INF]   Starting restore for stream '$G > KV_allthings-table-retained'
[9] 2026/11/30 11:50:19.33 [INF]   Starting restore for stream '$G > allthings'
[9] 2026/11/30 11:50:19.37 [INF]   Restored 1,007 messages for stream '$G > KV_allthings-table-retained' in 43ms
"""


def test_what_was_begun_and_not_finished_is_read_from_its_messages(tmp_path: Path) -> None:
    messages = tmp_path / "nats.log"
    assert logopening.unopened(messages, 9) == []
    messages.write_text(_MESSAGES)
    assert logopening.unopened(messages, 9) == ["allthings"]
    assert logopening.unopened(messages, 7) == ["allthings"]
    assert logopening.unopened(messages, 8) == []
    messages.write_text(_MESSAGES + "[9] x [INF]   Restored 5 messages for stream '$G > allthings' in 0s\n")
    assert logopening.unopened(messages, 9) == []


def test_memory_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not logopening.takes_too_much(os.getpid())
    assert not logopening.takes_too_much(2**30)
    monkeypatch.setattr(logopening, "MEMORY_MB_MAX", 1)
    assert logopening.takes_too_much(os.getpid())


@asynccontextmanager
async def watched(said: list[str], *, ready: bool = False) -> AsyncIterator[Child]:
    """A server that never answers, or has answered."""

    async def answers() -> bool:
        return ready

    child = Child(ChildSpec("log", ["sleep", "60"], probe=answers), lambda: None, said.append)
    running = asyncio.create_task(child.run())
    watching = asyncio.create_task(logopening.watch(child, Path("nowhere"), said.append))
    try:
        yield child
    finally:
        watching.cancel()
        await child.stop()
        await running


async def test_one_that_takes_memory_without_end_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logopening, "MEMORY_MB_MAX", 0)
    said: list[str] = []
    async with watched(said) as child, asyncio.timeout(30):
        await child.unusable.wait()
    assert "takes more and more memory to open a damaged log" in said[0]
    assert "`allthings repair`" in said[0]


async def test_one_that_takes_long_is_told_once_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logopening, "_TELL_AFTER_S", 0.0)
    monkeypatch.setattr(logopening, "_LOOK_EVERY_S", 0.01)
    said: list[str] = []
    async with watched(said) as child, asyncio.timeout(30):
        while not said:
            await asyncio.sleep(0.01)
        looked = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < looked + 0.2:
            await asyncio.sleep(0.01)
        assert not child.unusable.is_set()
    assert len(said) == 1
    assert "has been opening the log" in said[0]


async def test_one_that_answers_may_have_any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logopening, "_LOOK_EVERY_S", 0.01)
    said: list[str] = []
    async with watched(said, ready=True) as child, asyncio.timeout(30):
        await child.ready.wait()
        monkeypatch.setattr(logopening, "MEMORY_MB_MAX", 0)
        looked = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < looked + 0.2:
            await asyncio.sleep(0.01)
        assert not child.unusable.is_set()
    assert said == []
