"""How much comes in, per second."""

from __future__ import annotations

from typing import Final

import msgspec

from allthings.things.times import NS_PER_S
from allthings.twin.settings import RATE_SECONDS

_SLOTS: Final = RATE_SECONDS + 1


class Rate(msgspec.Struct, frozen=True):
    """Per second, over the last full seconds."""

    messages: float = 0.0
    readings: float = 0.0
    rejects: float = 0.0


class Totals(msgspec.Struct, frozen=True):
    """Since this process reads the log."""

    messages: int = 0
    readings: int = 0
    rejects: int = 0
    unclaimed: int = 0


class Rates:
    """Counts per second of the clock, for as many seconds as rates look back."""

    def __init__(self) -> None:
        self._seconds = [-1] * _SLOTS
        self._counts = [[0, 0, 0] for _ in range(_SLOTS)]
        self.totals = Totals()

    def note(self, now_ns: int, messages: int, readings: int, rejects: int, unclaimed: int) -> None:
        """Count a block."""
        second = now_ns // NS_PER_S
        slot = second % _SLOTS
        if self._seconds[slot] != second:
            self._seconds[slot] = second
            self._counts[slot] = [0, 0, 0]
        counts = self._counts[slot]
        counts[0] += messages
        counts[1] += readings
        counts[2] += rejects
        old = self.totals
        self.totals = Totals(
            old.messages + messages, old.readings + readings, old.rejects + rejects, old.unclaimed + unclaimed
        )

    def rate(self, now_ns: int) -> Rate:
        """The mean of the last full seconds before now."""
        second = now_ns // NS_PER_S
        sums = [0, 0, 0]
        for counted, counts in zip(self._seconds, self._counts, strict=True):
            if second - RATE_SECONDS <= counted < second:
                sums = [one + more for one, more in zip(sums, counts, strict=True)]
        return Rate(*(one / RATE_SECONDS for one in sums))
