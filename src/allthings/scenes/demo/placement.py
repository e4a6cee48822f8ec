"""Where a recording lies on our time: pure arithmetic on seconds.

A recording is used as a loop. One of its moments, the *seam*, falls on now: what was recorded before it is history,
what follows it comes live. The seam is chosen so that the recorded clock (and weekday, where that matters) agrees with
ours, and always near the same place of the recording, so nothing needs to be remembered between two runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Seconds = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Span:
    """The loop: from `start_s` (recorded clock) for `period_s`; `repeat` is how often it is used for the history."""

    start_s: int
    period_s: int
    repeat: int


@dataclass(frozen=True)
class Seam:
    """`recorded_s`, a moment of the recorded clock, falls on `now_s`, seconds since the epoch in UTC."""

    recorded_s: int
    now_s: int

    @property
    def shift_s(self) -> int:
        """What is added to the recorded clock to get UTC."""
        return self.now_s - self.recorded_s


def place(span: Span, live_from_s: int, align_s: int, now_s: int, utc_offset_s: int) -> Seam:
    """The last moment before `live_from_s` whose clock agrees with ours, modulo `align_s`.

    The Unix epoch was a Thursday for the recorded clock as for ours, so the days of the week agree when `align_s` is
    a week.
    """
    recorded = live_from_s - (live_from_s - now_s - utc_offset_s) % align_s
    if recorded < span.start_s:
        recorded += align_s
    if not span.start_s <= recorded <= span.start_s + span.period_s:
        raise ValueError(f"{live_from_s} is no moment of the recording from {span.start_s} on for {span.period_s} s")
    return Seam(recorded, now_s)


def history(clock_s: Seconds, span: Span, seam: Seam, after_s: int) -> tuple[Seconds, Seconds]:
    """The rows of a recording that lie in the past but later than `after_s`, oldest first, and their times (UTC).

    Where the history is longer than the recording, the recording is used again.
    """
    low, high = first_row(clock_s, span), end_row(clock_s, span)
    middle = int(np.searchsorted(clock_s, seam.recorded_s, side="right"))
    rows: list[Seconds] = []
    times: list[Seconds] = []
    for turn in reversed(range(span.repeat)):
        chosen = np.arange(low, middle if turn == 0 else high, dtype=np.int64)
        when = clock_s[chosen] + (seam.shift_s - turn * span.period_s)
        fresh = when > after_s
        rows.append(chosen[fresh])
        times.append(when[fresh])
    return np.concatenate(rows), np.concatenate(times)


def first_live_row(clock_s: Seconds, span: Span, seam: Seam) -> int:
    """The row that comes next after the seam; the first of the loop when the recording ends there."""
    row = int(np.searchsorted(clock_s, seam.recorded_s, side="right"))
    return row if row < end_row(clock_s, span) else first_row(clock_s, span)


def first_row(clock_s: Seconds, span: Span) -> int:
    """The first row of the loop."""
    return int(np.searchsorted(clock_s, span.start_s, side="left"))


def end_row(clock_s: Seconds, span: Span) -> int:
    """The row after the last one of the loop."""
    return int(np.searchsorted(clock_s, span.start_s + span.period_s, side="left"))
