"""Threads for calls that block: the registry, the history, encoding. The event loop itself never waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from allthings.web import settings
from allthings.web.budget import Budget
from allthings.web.errors import BusyError
from allthings.web.lanes import Lane

P = ParamSpec("P")
R = TypeVar("R")


class Pool:
    """A few threads and a bounded queue before them."""

    def __init__(self, name: str, threads: int, waiting_max: int = settings.WAITING_MAX) -> None:
        self._name = name
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"web-{name}")
        self._taken_max = threads + waiting_max
        self._taken = 0

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in a thread. Raises BusyError at once when too many calls wait already."""
        if self._taken >= self._taken_max:
            raise BusyError(f"{self._taken} requests to the {self._name} are under way; try again in a moment")
        self._taken += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))
        # The thread stays taken until the call ends, also when the request that wanted it was cancelled.
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def _release(self, future: asyncio.Future[R]) -> None:
        self._taken -= 1
        if not future.cancelled():
            future.exception()  # an error of an abandoned call has no reader left; do not warn about it

    def close(self) -> None:
        """End the threads without waiting for calls under way."""
        self._executor.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Pools:
    """One pool for each kind of call, so that a slow query never holds up a login, the state, or a chart."""

    registry: Pool = field(default_factory=lambda: Pool("registry", settings.REGISTRY_THREADS))
    state: Pool = field(default_factory=lambda: Pool("state", settings.STATE_THREADS))
    #: Lists of what is kept besides readings.
    history: Pool = field(default_factory=lambda: Pool("history", settings.LISTS_THREADS))
    quick: Lane = field(default_factory=lambda: Lane("the history", settings.QUICK))
    long: Lane = field(init=False)
    sql: Lane = field(default_factory=lambda: Lane("SQL", settings.SQL))
    encode: Pool = field(default_factory=lambda: Pool("encoder", settings.ENCODE_THREADS))
    answers: Pool = field(default_factory=lambda: Pool("answers", settings.ANSWER_THREADS))
    uploads: Pool = field(default_factory=lambda: Pool("uploads", settings.UPLOAD_THREADS))
    deletions: Pool = field(default_factory=lambda: Pool("deletions", 1, settings.DELETIONS_WAITING_MAX))
    #: What answers hold that have not left yet.
    held: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.held = Budget(settings.ANSWERS_BYTES_MAX, freed=lambda: self.long.look())
        self.long = Lane("much of the history", settings.LONG, self.held.room)

    def close(self) -> None:
        """End all threads."""
        for pool in (self.registry, self.state, self.history, self.encode, self.answers, self.uploads, self.deletions):
            pool.close()
        for lane in (self.quick, self.long, self.sql):
            lane.close()
