"""Cancellations that nats-py would swallow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def heeding(call: Awaitable[T]) -> T:
    """The answer to a call of nats-py, unless this task was cancelled meanwhile.

    nats-py awaits answers with asyncio.wait_for, which before Python 3.12 returns normally when answer and cancellation
    come in the same moment, and what it sends without an answer catches cancellations outright: a task that loops over
    such calls would never end.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    answer = await call
    if task and task.cancelling() > before:
        raise asyncio.CancelledError
    return answer


def heed() -> None:
    """Raise CancelledError where the running task was cancelled and something below it caught that.

    For callbacks that nats-py awaits inside a loop of its own, which otherwise would never end.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError
