"""Buckets of time as people have them: hours, days, weeks, months and years of a zone.

A bucket is a stretch of a wall clock and a calendar; how long it takes follows from the zone: a day of 23 or 25 hours,
an hour that comes twice. Where the edges of buckets lie:

1. At the moment when the zone's clocks first show the wall time, or a later one. So a bucket whose beginning is
   skipped begins when clocks are put forward, and one that is skipped as a whole is none.
2. Clocks that are put back show some wall times again. Where the width fits into what they are put back by, each of
   these is another bucket (two hours from 2 to 3 o'clock); else the bucket is that much longer (a day of 25 hours).

Hours and less are counted from midnight, weeks from Monday, months from January. Of `n` at once: days from 1 January
1970, weeks from the Monday before, months and years from 1970, so that three months are a quarter.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN
from allthings.things.zones import BACK_NS_MAX, UTC, find_zone, periods

Unit: TypeAlias = Literal["ns", "d", "w", "mo", "y"]

_DAY_NS: Final = 86_400 * NS_PER_S
#: 1970-01-01 was a Thursday.
_MONDAY_NS: Final = -3 * _DAY_NS
_EPOCH_DAYS: Final = date(1970, 1, 1).toordinal()
#: About how long one of a unit is; months and years no shorter than the longest.
_NOMINAL_NS: Final[dict[Unit, int]] = {"ns": 1, "d": _DAY_NS, "w": 7 * _DAY_NS, "mo": 31 * _DAY_NS, "y": 366 * _DAY_NS}
_MONTHS: Final[dict[Unit, int]] = {"mo": 1, "y": 12}
#: Widths beyond this hold all the time that there is.
WIDTH_NS_MAX: Final = 200 * 366 * _DAY_NS


@dataclass(frozen=True, slots=True)
class Every:
    """The width of a bucket: so many of a unit. `ns` are nanoseconds, the others are a calendar's."""

    count: int
    unit: Unit = "ns"

    @property
    def nominal_ns(self) -> int:
        """About how long a bucket is; of months and years as long as the longest."""
        return self.count * _NOMINAL_NS[self.unit]


class Grid:
    """The edges of all buckets of a width in a zone.

    In UTC, widths below a day are counted from 1970, and may be any. In another zone they have to divide a day.
    Raises BadInputError.
    """

    def __init__(self, every: Every, zone: str = UTC) -> None:
        self._zone: ZoneInfo = find_zone(zone)
        self._utc = zone == UTC
        if not self._utc and every.unit == "ns" and _DAY_NS % every.count:
            raise BadInputError(
                "in a time zone hours, minutes and seconds have to divide a day, such as 1h, 2h, 3h, 4h, 6h, 8h, 12h; "
                "longer ones are 1d, 2d, 1w, 1mo, 1y"
            )
        self.every = every

    def fixed(self, start_ns: int | None, end_ns: int | None) -> tuple[int, int] | None:
        """Width and origin (ns) when in this span all buckets are equally long and follow each other, else None."""
        if self.every.unit in _MONTHS:
            return None
        width, origin = self.every.nominal_ns, _MONDAY_NS if self.every.unit == "w" else 0
        if self._utc:
            return width, origin % width
        start = TIME_NS_MIN if start_ns is None else start_ns
        end = TIME_NS_MAX if end_ns is None else end_ns
        reach = width + 2 * BACK_NS_MAX
        known = periods(self._zone, start - reach, end + reach)
        origin = (origin - known[0].offset_ns) % width
        for before, after in itertools.pairwise(known):
            forward = after.offset_ns - before.offset_ns
            # What is put back is part of a day; and an hour that is cut by clocks put forward is two.
            if self.every.unit != "ns" or forward % width or (forward > 0 and (after.start_ns - origin) % width):
                return None
        return width, origin

    def edges(self, start_ns: int, end_ns: int) -> list[int]:
        """The edges of the buckets that a span lies in: the first at or before its start, the last at or after its
        end, and all between."""
        if fixed := self.fixed(start_ns, end_ns):
            width, origin = fixed
            first = start_ns - (start_ns - origin) % width
            return list(range(first, max(end_ns, start_ns + 1) + width, width))
        reach = self.every.nominal_ns + 2 * BACK_NS_MAX
        found = list(self._edges(start_ns - reach, end_ns + reach))
        first = bisect_right(found, start_ns) - 1
        last = bisect_left(found, max(end_ns, start_ns + 1))
        return found[first : last + 1]

    def end(self, ns: int) -> int:
        """The end of the bucket that a time lies in."""
        return self.edges(ns, ns + 1)[1]

    def _edges(self, start_ns: int, end_ns: int) -> Iterator[int]:
        """All edges from `start_ns` to `end_ns`; in the first day there may be some that are none."""
        yielded = shown = None
        for period in periods(self._zone, start_ns, end_ns):
            begin, end = max(period.start_ns, start_ns), min(period.end_ns, end_ns + 1)
            wall = begin + period.offset_ns
            # What clocks have shown is before `shown`.
            back = 0 if shown is None else max(0, shown - wall)
            again = self.every.unit == "ns" and back % self.every.count == 0
            for edge in self._walls(wall if shown is None or (back and again) else shown, end + period.offset_ns):
                at = max(begin, edge - period.offset_ns)
                if at != yielded:
                    yield at
                yielded = at
            shown = end + period.offset_ns if shown is None else max(shown, end + period.offset_ns)

    def _walls(self, start: int, end: int) -> Iterator[int]:
        """The wall times of edges from `start` to before `end`."""
        if months := _MONTHS.get(self.every.unit):
            yield from _month_starts(self.every.count * months, start, end)
            return
        width, origin = self.every.nominal_ns, _MONDAY_NS if self.every.unit == "w" else 0
        yield from range(origin - (origin - start) // width * width, end, width)


def _month_starts(count: int, start: int, end: int) -> Iterator[int]:
    """Midnights of the first day of every `count`-th month, counted from January 1970."""
    first = date.fromordinal(_EPOCH_DAYS + start // _DAY_NS)
    month = ((first.year - 1970) * 12 + first.month - 1) // count * count
    while (at := _month_start(month)) < end:
        if at >= start:
            yield at
        month += count


def _month_start(month: int) -> int:
    year = 1970 + month // 12
    return (date(year, month % 12 + 1, 1).toordinal() - _EPOCH_DAYS) * _DAY_NS
