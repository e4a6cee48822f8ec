"""A call that another thread may end: its statement is killed, and no further one begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from allthings.historian.errors import QueryCancelledError

#: How often a statement is killed until it has ended: the first time it may not have begun yet.
_AGAIN_S: Final = 0.05


class Cancellation:
    """Handed to a call by whoever may lose interest in its answer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = False
        self._kill: Callable[[], None] | None = None

    def cancel(self, within_s: float) -> bool:
        """End the call. False when its statement has not ended within so many seconds. Blocks; to be called once."""
        with self._changed:
            self._asked = True
            for _ in range(max(1, round(within_s / _AGAIN_S))):
                if self._kill is None:
                    return True
                # While this is locked no other statement begins on that connection: the right one is killed.
                self._kill()
                self._changed.wait(_AGAIN_S)
            return self._kill is None

    @contextmanager
    def over(self, kill: Callable[[], None]) -> Iterator[None]:
        """Around a statement that `kill` ends. Raises QueryCancelledError when none may begin any more."""
        with self._changed:
            self.check()
            self._kill = kill
        try:
            yield
        finally:
            with self._changed:
                self._kill = None
                self._changed.notify_all()

    def check(self) -> None:
        """Raises QueryCancelledError when the call has been cancelled."""
        if self._asked:
            raise QueryCancelledError("the query was ended before it had its answer")
