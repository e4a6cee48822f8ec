"""A cancellation is never lost in a call that answers in the same moment."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from allthings.log.heeding import heeding


async def _answers(future: asyncio.Future[int]) -> int:
    """As nats-py waits for an answer."""
    return await asyncio.wait_for(future, 30)


async def test_a_cancellation_beside_the_answer_ends_the_task() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(heeding(_answers(future)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    future.set_result(7)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_that_a_call_catches_ends_the_task() -> None:
    async def sends() -> None:
        """As nats-py flushes what it sends."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)

    task = asyncio.create_task(heeding(sends()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_is_given_on() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(7)
    assert await heeding(_answers(future)) == 7


async def test_what_is_said_while_a_task_cleans_up_is_given_on() -> None:
    """A task that was cancelled before may still ask, in its `finally`."""
    answers: list[int] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            future.set_result(7)
            answers.append(await heeding(_answers(future)))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answers == [7]
