"""Do readings, minutes, hours and days agree in how many readings there were?

Each level counts the readings of its buckets, in a table of its own: so each is the proof of the others. Counted by
series and day. What has expired (`floors`) is not compared. To be called with rollups brought up, and none under way.
"""

# ruff: noqa: S608 - statements are put together from constants and integers.

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from allthings.historian.buckets import DAYS, HOURS, MINUTES, bucket, instant
from allthings.historian.engine import Handles
from allthings.historian.settings import NS_PER_DAY
from allthings.historian.stretches import Stretch
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN

_DAY: Final = bucket("time", NS_PER_DAY)
_ROLLED: Final = ((MINUTES, "m"), (HOURS, "h"), (DAYS, "d"))


class Difference(NamedTuple):
    """A day on which the levels of a property (`name`) of a thing disagree: readings, those of them that rollups
    reflect, and what the rollups count.

    `raw_kept` and `minutes_kept`: whether readings and minutes of that day have not expired.
    """

    thing: str
    name: str
    day_ns: int
    readings: int
    reflected: int
    minutes: int
    hours: int
    days: int
    raw_kept: bool
    minutes_kept: bool

    @property
    def lost_readings(self) -> int:
        """How many readings there were once that are there no more."""
        return max(0, max(self.minutes, self.hours, self.days) - self.readings) if self.raw_kept else 0

    @property
    def lost_minutes(self) -> int:
        """How many readings hours or days count that no minute does, nor any reading that is kept."""
        known = max(self.minutes, self.readings if self.raw_kept else 0)
        return max(0, max(self.hours, self.days) - known) if self.minutes_kept else 0

    @property
    def lost_hours(self) -> int:
        """How many readings days count that no finer level does."""
        known = max(self.hours, self.minutes if self.minutes_kept else 0, self.readings if self.raw_kept else 0)
        return max(0, self.days - known)


def differences(
    handles: Handles, span: Stretch, position: int, *, reflected_only: bool = False
) -> Iterator[Difference]:
    """All that differ in whole days around a span, day after day. `position`: how far rollups are.

    `reflected_only`: what came since does not make up for what is gone. A reading that was corrected since counts as
    gone then.
    """
    for start, end in _months(handles, span):
        statement = _statement(start, end, position, "o" if reflected_only else "n")
        yield from map(Difference._make, handles.rows(statement))


def _months(handles: Handles, span: Stretch) -> Iterator[Stretch]:
    """Those months of a span that any level has something of, so that one statement is not about too much."""
    start, end = _midnight(span[0]), _midnight(span[1] - 1) + NS_PER_DAY
    months: set[int] = set()
    for table in ("readings", *(level.table for level, _ in _ROLLED)):
        column = "time" if table == "readings" else "bucket"
        rows = handles.rows(
            f"SELECT DISTINCT toYYYYMM({column}) FROM {table} WHERE {column} >= {instant(start)} "
            f"AND {column} < {instant(end)}"
        )
        months |= {int(month) for (month,) in rows}
    for month in sorted(months):
        first = np.datetime64(f"{month // 100:04}-{month % 100:02}", "M")
        since, until = (int(each.astype("datetime64[D]").astype(np.int64)) * NS_PER_DAY for each in (first, first + 1))
        yield max(since, start), min(until, end)


def _midnight(time_ns: int) -> int:
    return min(max(time_ns, TIME_NS_MIN), TIME_NS_MAX) // NS_PER_DAY * NS_PER_DAY


def _statement(start: int, end: int, position: int, readings: str) -> str:
    within = f">= {instant(start)} AND {{}} < {instant(end)}"
    counts = [
        f"SELECT thing, property, {_DAY} AS day, count() AS n, countIf(position <= {position}) AS o, "
        "toUInt64(0) AS m, toUInt64(0) AS h, toUInt64(0) AS d "
        f"FROM readings FINAL WHERE time {within.format('time')} GROUP BY thing, property, day"
    ]
    for level, letter in _ROLLED:
        columns = ", ".join(
            f"sum({level.table}.n) AS {each}" if each == letter else f"toUInt64(0) AS {each}" for each in "nomhd"
        )
        counts.append(
            f"SELECT thing, property, {bucket('bucket', NS_PER_DAY)} AS day, {columns} FROM {level.table} FINAL "
            f"WHERE bucket {within.format('bucket')} GROUP BY thing, property, day"
        )
    return (
        f"SELECT c.thing, c.property, c.day, c.{readings} AS there, c.o, c.m, c.h, c.d, "
        "toBool(f.thing = '' OR c.day >= f.raw) AS raw_kept, "
        "toBool(f.thing = '' OR c.day >= f.minutes) AS minutes_kept FROM ("
        "SELECT thing, property, day, sum(n) AS n, sum(o) AS o, sum(m) AS m, sum(h) AS h, sum(d) AS d "
        f"FROM ({' UNION ALL '.join(counts)}) GROUP BY thing, property, day) AS c "
        "LEFT ANY JOIN (SELECT thing, property, raw, minutes FROM floors FINAL) AS f "
        "ON f.thing = c.thing AND f.property = c.property "
        "WHERE (raw_kept AND (there < greatest(c.m, c.h, c.d) OR c.m < c.o)) "
        "OR (minutes_kept AND (c.m < greatest(c.h, c.d) OR c.h < c.m)) OR c.h != c.d "
        "ORDER BY c.day, c.thing, c.property"
    )
