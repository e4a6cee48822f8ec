"""Deadlines come in order, also those that were set later for earlier."""

from __future__ import annotations

import asyncio

from allthings.gateway.deadlines import Deadlines


async def test_deadlines_come_in_their_order() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    called: list[str] = []
    done = asyncio.Event()
    start = loop.time()
    deadlines.at(start + 0.4, lambda: (called.append("late"), done.set())[0])  # type: ignore[func-returns-value]
    deadlines.at(start + 0.05, lambda: called.append("early"))
    deadlines.at(start - 1, lambda: called.append("overdue"))
    await asyncio.wait_for(done.wait(), 5)
    assert called == ["overdue", "early", "late"]


async def test_a_deadline_may_set_another_and_close_forgets_all() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    done = asyncio.Event()
    deadlines.at(loop.time(), lambda: deadlines.at(loop.time(), done.set))
    await asyncio.wait_for(done.wait(), 5)
    never = asyncio.Event()
    deadlines.at(loop.time(), never.set)
    deadlines.close()
    await asyncio.sleep(0.3)
    assert not never.is_set()
