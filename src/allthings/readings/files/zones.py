"""Times that a clock on a wall shows, as UTC."""

from __future__ import annotations

from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from allthings.readings.files.piece import Ints, Mask
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN
from allthings.things.zones import BACK_NS_MAX, periods


class Located(NamedTuple):
    """Nanoseconds in UTC, and which rows have a time that no clock there has shown (the hour that is left out)."""

    utc: Ints
    missing: Mask


def to_utc(local: Ints, zone: ZoneInfo, previous_ns: int | None = None, *, repeats: bool = False) -> Located:
    """What clocks of a zone show as UTC, in the order of the file.

    Of an hour that comes twice, a time is the first one as long as times go on (or back, in a file with the newest
    first), and the second one from where they would not. `previous_ns`: the row before, in UTC. `repeats`: rows of
    several things may share a time.
    """
    bounded = np.clip(local, TIME_NS_MIN, TIME_NS_MAX)
    spans = periods(zone, int(bounded.min()) - BACK_NS_MAX, int(bounded.max()) + BACK_NS_MAX)
    offsets = np.array([span.offset_ns for span in spans], np.int64)
    begins = np.array([span.start_ns for span in spans], np.int64)
    ends = np.array([span.end_ns for span in spans], np.int64)
    # The first period whose clocks have not gone past a time yet.
    place = np.minimum(np.searchsorted(ends + offsets, bounded, side="right"), len(spans) - 1)
    following = np.minimum(place + 1, len(spans) - 1)
    early, late = local - offsets[place], local - offsets[following]
    missing: Mask = early < begins[place]
    missing &= place > 0
    twice = np.flatnonzero((following > place) & (late >= begins[following]) & ~missing)
    utc = early.copy()
    down = len(local) > 1 and float(np.mean(np.diff(local) < 0)) > 0.5
    for row in twice.tolist():
        before = int(utc[row - 1]) if row else previous_ns
        first, second = (late[row], early[row]) if down else (early[row], late[row])
        if before is None or (repeats and first == before):
            utc[row] = first
        else:
            utc[row] = first if (first < before) == down and first != before else second
    return Located(utc, missing)
