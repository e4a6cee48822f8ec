"""Lanes: few calls at once, askers in turn, and nothing goes on that nobody waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from allthings.historian.cancellation import Cancellation
from allthings.historian.errors import QueryCancelledError, QueryLimitError
from allthings.web.budget import Budget
from allthings.web.errors import BusyError, TooManyRequestsError
from allthings.web.lanes import Lane
from allthings.web.settings import Bounds
from tests.web.conftest import until

BOUNDS = Bounds(running=1, running_each=1, waiting=4, waiting_each=3, wait_s=30, call_s=30)


class Calls:
    """Calls that take until they are told to end, in the order in which they began."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cancelled: list[str] = []
        self._go = threading.Semaphore(0)

    def __call__(self, name: str) -> Callable[[Cancellation], str]:
        def call(cancellation: Cancellation) -> str:
            self.begun.append(name)
            ended = threading.Event()
            try:
                with cancellation.over(ended.set):
                    while not self._go.acquire(timeout=0.005):
                        if ended.is_set():
                            raise QueryCancelledError("ended")
            except QueryCancelledError:
                self.cancelled.append(name)
                raise
            self.ended.append(name)
            return name

        return call

    def end(self, count: int = 1) -> None:
        """Let so many go on."""
        self._go.release(count)


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    calls = Calls()
    yield calls
    calls.end(100)


def start(lane: Lane, asker: str, call: Callable[[Cancellation], str]) -> asyncio.Task[str]:
    return asyncio.create_task(lane.run(asker, call))


async def test_results_and_errors_come_back() -> None:
    lane = Lane("tests", BOUNDS)
    assert await lane.run("me", lambda _: 3) == 3
    with pytest.raises(ZeroDivisionError):
        await lane.run("me", lambda _: 1 // 0)
    assert await lane.run("me", lambda _: 4) == 4
    lane.close()


async def test_askers_have_their_turns(calls: Calls) -> None:
    lane = Lane("tests", BOUNDS)
    tasks = [start(lane, "many", calls(f"many {number}")) for number in range(3)]
    await until(lambda: calls.begun == ["many 0"])
    tasks += [start(lane, "one", calls("one")), start(lane, "two", calls("two"))]
    for count in range(5):
        await until(lambda count=count: len(calls.begun) == count + 1)  # type: ignore[misc]
        calls.end()
    await asyncio.gather(*tasks)
    assert calls.begun == ["many 0", "many 1", "one", "two", "many 2"]
    lane.close()


async def test_an_asker_leaves_room_for_others(calls: Calls) -> None:
    lane = Lane("tests", replace(BOUNDS, running=2))
    mine = [start(lane, "me", calls("mine")) for _ in range(2)]
    await until(lambda: calls.begun == ["mine"])
    other = start(lane, "you", calls("yours"))
    await until(lambda: calls.begun == ["mine", "yours"])
    calls.end(3)
    assert await asyncio.gather(*mine, other) == ["mine", "mine", "yours"]
    lane.close()


@pytest.mark.parametrize("per_user", [True, False])
async def test_who_has_too_many_waiting_is_refused_and_others_are_not(calls: Calls, per_user: bool) -> None:
    lane = Lane("tests", replace(BOUNDS, per_user=per_user))
    tasks = [start(lane, "me", calls("mine")) for _ in range(4)]
    await until(lambda: len(calls.begun) == 1)
    with pytest.raises(TooManyRequestsError if per_user else BusyError) as refused:
        await lane.run("me", calls("mine"))
    assert 1 <= refused.value.extensions["retry_after_s"] <= 60
    tasks.append(start(lane, "you", calls("yours")))
    await asyncio.sleep(0)
    with pytest.raises(BusyError) as full:
        await lane.run("them", calls("theirs"))
    assert 1 <= full.value.extensions["retry_after_s"] <= 60
    calls.end(5)
    assert sorted(await asyncio.gather(*tasks)) == ["mine"] * 4 + ["yours"]
    lane.close()


async def test_who_waits_too_long_is_told(calls: Calls) -> None:
    lane = Lane("tests", replace(BOUNDS, wait_s=0.05))
    running = start(lane, "me", calls("first"))
    await until(lambda: calls.begun == ["first"])
    with pytest.raises(BusyError):
        await lane.run("you", calls("second"))
    calls.end(2)
    await running
    assert await lane.run("you", calls("third")) == "third"
    assert calls.begun == ["first", "third"]
    lane.close()


async def test_a_call_that_nobody_waits_for_is_ended_and_frees_its_thread(calls: Calls) -> None:
    lane = Lane("tests", BOUNDS)
    running, waiting = start(lane, "me", calls("running")), start(lane, "me", calls("waiting"))
    next_one = start(lane, "me", calls("next"))
    await until(lambda: calls.begun == ["running"])
    waiting.cancel()
    running.cancel()
    await until(lambda: calls.begun == ["running", "next"])
    assert calls.cancelled == ["running"]
    calls.end()
    assert await next_one == "next"
    for task in (running, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
    lane.close()


async def test_a_call_that_takes_too_long_is_ended(calls: Calls) -> None:
    lane = Lane("tests", replace(BOUNDS, call_s=0.05))
    with pytest.raises(QueryLimitError, match=r"longer than 0\.05 s"):
        await lane.run("me", calls("long"))
    await until(lambda: calls.cancelled == ["long"])
    calls.end()
    assert await lane.run("me", lambda _: 7) == 7
    lane.close()


async def test_calls_begin_when_there_is_room(calls: Calls) -> None:
    lane: Lane
    budget = Budget(100, freed=lambda: lane.look())
    lane = Lane("tests", replace(BOUNDS, running=2, running_each=2), budget.room)
    with budget.holding(60):
        first = start(lane, "me", calls("first"))
        await until(lambda: calls.begun == ["first"])
        with budget.holding(60):
            calls.end()
            await first
            second = start(lane, "me", calls("second"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert calls.begun == ["first"]
        await until(lambda: calls.begun == ["first", "second"])
    calls.end()
    assert await second == "second"
    assert budget.held_bytes == 0
    lane.close()


async def test_turns_and_cancellations_at_random_leave_nothing_behind() -> None:
    """Whoever gives up at whatever moment, every thread is free afterwards."""
    lane = Lane("tests", Bounds(running=3, running_each=2, waiting=50, waiting_each=20, wait_s=5, call_s=5))
    tasks = []
    for number in range(200):
        tasks.append(asyncio.create_task(lane.run(f"asker {number % 4}", lambda _: threading.Event().wait(0.001))))
        if number % 3 == 0:
            await asyncio.sleep(0)
        if number % 5 == 0:
            tasks[number // 2].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    allowed = (bool, BusyError, asyncio.CancelledError)
    assert all(isinstance(outcome, allowed) for outcome in outcomes), outcomes
    await until(lambda: not lane._running and not lane._waiting)
    assert await lane.run("me", lambda _: 7) == 7
    lane.close()
