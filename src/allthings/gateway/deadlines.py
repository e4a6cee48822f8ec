"""Many deadlines, one timer: a heap, so that ten thousand keep-alives cost nothing while they are kept."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable


class Deadlines:
    """Calls functions at times of the event loop's clock, at most about a tenth of a second late."""

    _GRAIN_S = 0.1

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """The event loop's clock."""
        return self._loop.time()

    def at(self, due: float, call: Callable[[], None]) -> None:
        """Call `call` when the loop's clock shows `due`."""
        entry = (due, next(self._order), call)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._arm()

    def _arm(self) -> None:
        if not self._heap:
            return
        due = max(self._heap[0][0], self._loop.time()) + self._GRAIN_S
        if self._timer is None or self._timer.when() > due + self._GRAIN_S:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due, self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()
        self._arm()

    def close(self) -> None:
        """Forget all deadlines."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()
