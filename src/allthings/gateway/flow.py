"""When devices are slowed for the historian: when it cannot keep up.

The historian tells how far it is. While it moves but lags, devices wait a little, so that what was acknowledged is
soon queryable. When it does not move at all (it is down), nobody waits: the log keeps everything for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from allthings.gateway import settings

#: A historian that has not told its position for this long counts as down.
_SILENT_S = 1.5


class Lag:
    """Messages appended here that the historian has not yet, from its positions."""

    def __init__(self, hold: Callable[[bool], None]) -> None:
        self._hold = hold
        self._marks: deque[tuple[int, int]] = deque()
        self._appended = 0
        self._finished = 0
        self._told_s = float("-inf")
        self._moved_s = float("-inf")
        self._position = -1
        self._holding = False

    def appended(self, sequence: int, messages: int) -> None:
        """`messages` in all are appended up to `sequence`."""
        if not self._marks or self._marks[-1][0] != sequence:
            self._marks.append((sequence, messages))
            self._appended = messages

    def told(self, position: int, now_s: float) -> None:
        """The historian has finished everything up to a sequence."""
        self._told_s = now_s
        if position != self._position:
            self._position, self._moved_s = position, now_s
        while self._marks and self._marks[0][0] <= position:
            self._finished = self._marks.popleft()[1]

    @property
    def behind(self) -> int:
        return self._appended - self._finished

    def decide(self, now_s: float) -> None:
        """Hold or release devices. Call it several times a second."""
        alive = now_s - self._told_s < _SILENT_S and now_s - self._moved_s < _SILENT_S
        limit = settings.HISTORIAN_BEHIND_MAX * (0.5 if self._holding else 1.0)
        holding = alive and self.behind > limit
        if holding != self._holding:
            self._holding = holding
            self._hold(holding)
