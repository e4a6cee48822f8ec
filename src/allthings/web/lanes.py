"""Ways for calls that may take long, such as questions to the history: few at once, and the askers in turn.

A call that finds its lane taken waits, together with the others of whoever asks. When a thread becomes free, the next
asker who waits gets it, however many calls another one has waiting. What nobody waits for any more is ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from allthings.historian.cancellation import Cancellation
from allthings.historian.errors import QueryLimitError
from allthings.web import settings
from allthings.web.errors import BusyError, TooManyRequestsError
from allthings.web.settings import Bounds

R = TypeVar("R")
Call = Callable[[Cancellation], R]


class Lane:
    """A few threads, and a queue for each asker before them. `room` says whether another call may begin now."""

    def __init__(self, name: str, bounds: Bounds, room: Callable[[], bool] = lambda: True) -> None:
        self._name = name
        self._bounds = bounds
        self._room = room
        self._threads = ThreadPoolExecutor(bounds.running, thread_name_prefix=f"web-{name}")
        self._ending = ThreadPoolExecutor(1, thread_name_prefix=f"web-{name}-ending")
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        #: What a call took lately, on the average.
        self._usual_s = 0.1

    async def run(self, asker: str, call: Call[R]) -> R:
        """Make the call in a thread. When this is cancelled, so is the call.

        Raises BusyError when too many wait, or this one did for too long, TooManyRequestsError when those that wait
        are the asker's own and the lane has a limit a user, and QueryLimitError when the call takes too long.
        """
        await self._turn(asker)
        cancellation = Cancellation()
        future = asyncio.get_running_loop().run_in_executor(self._threads, call, cancellation)
        began = time.monotonic()
        future.add_done_callback(lambda done: self._ended(asker, began, done))
        try:
            async with asyncio.timeout(self._bounds.call_s):
                return await asyncio.shield(future)
        except TimeoutError:
            self._ending.submit(cancellation.cancel, settings.CALL_ENDS_S_MAX)
            raise QueryLimitError(
                f"the query takes longer than {self._bounds.call_s:g} s; ask for a shorter time or fewer series"
            ) from None
        except asyncio.CancelledError:
            self._ending.submit(cancellation.cancel, settings.CALL_ENDS_S_MAX)
            raise

    async def _turn(self, asker: str) -> None:
        """Wait for a thread, and take it."""
        waiting = self._waiting.setdefault(asker, deque())
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        self.look()
        if not turn.done():
            self._check(asker, waiting)
        try:
            async with asyncio.timeout(self._bounds.wait_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done() and not turn.cancelled():
                self._free(asker)
            else:
                self._leave(asker, turn)
            if isinstance(error, TimeoutError):
                raise self._busy(f"no turn came within {self._bounds.wait_s:g} s") from None
            raise

    def _check(self, asker: str, waiting: deque[asyncio.Future[None]]) -> None:
        """Let no more wait than may."""
        total = sum(map(len, self._waiting.values()))
        if len(waiting) > self._bounds.waiting_each:
            self._leave(asker, waiting[-1])
            why = f"{self._bounds.waiting_each} requests of the same asker are waiting"
            if not self._bounds.per_user:
                raise self._busy(why)
            raise TooManyRequestsError(
                f"too many questions for {self._name}: {why}; try again", retry_after_s=self._retry_after_s()
            )
        if total > self._bounds.waiting:
            self._leave(asker, waiting[-1])
            raise self._busy(f"{self._bounds.waiting} requests are waiting")

    def _busy(self, why: str) -> BusyError:
        detail = f"too many questions for {self._name}: {why}; try again"
        return BusyError(detail, retry_after_s=self._retry_after_s())

    def _retry_after_s(self) -> int:
        """When what waits now has probably had its turn."""
        waiting = sum(map(len, self._waiting.values())) + self._running.total()
        expected_s = math.ceil(self._usual_s * waiting / self._bounds.running)
        return max(1, min(settings.RETRY_AFTER_S_MAX, expected_s))

    def look(self) -> None:
        """Give threads that are free to those who wait: to be called when `room` may have come."""
        while self._running.total() < self._bounds.running and self._room():
            asker = next((one for one in self._waiting if self._running[one] < self._bounds.running_each), None)
            if asker is None:
                return
            turn = self._waiting[asker].popleft()
            if self._waiting[asker]:
                self._waiting.move_to_end(asker)
            else:
                del self._waiting[asker]
            if not turn.done():  # who has just been cancelled has not left yet
                self._running[asker] += 1
                turn.set_result(None)

    def _leave(self, asker: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(asker)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[asker]

    def _ended(self, asker: str, began: float, call: asyncio.Future[R]) -> None:
        self._usual_s += 0.2 * (time.monotonic() - began - self._usual_s)
        if not call.cancelled():
            call.exception()  # an error of an abandoned call has no reader left; do not warn about it
        self._free(asker)

    def _free(self, asker: str) -> None:
        self._running[asker] -= 1
        if not self._running[asker]:
            del self._running[asker]
        self.look()

    def close(self) -> None:
        """End the threads without waiting for calls under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._ending.shutdown(wait=False)
