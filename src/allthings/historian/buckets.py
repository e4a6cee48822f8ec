"""Which rows, of which tables, together make the readings of a span: the SQL behind every aggregate.

A *partial* is what is known of one series in one bucket: count, least, greatest and so on. Partials of disjoint sets of
readings can be merged. A span is covered once by four kinds of partials, coarsest first:

1. days that lie within the span and are clean;
2. hours that lie within the span, are clean, and are not covered by 1;
3. minutes likewise;
4. readings of all the rest.

A bucket is *dirty* when a reading in it has come (or was corrected) since its level was rolled up, which is told by
the log position. So the answer equals the one from the readings alone, however far behind the rollups are. Which
buckets these are is either asked within the statement, or, since they mostly are a few and each kind of partials needs
them, once beforehand (`Dirty`).

Where readings have expired (`floors`), a minute stays with its rollup even when dirty, and only the readings since
the last rollup are added. Likewise an hour whose minutes have expired.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from allthings.historian.settings import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE


class Level(NamedTuple):
    """A rollup: its table, the length of its buckets, and the column of `floors` that says where its source begins.

    Its source is the next finer level, or the readings. Hours and days are dropped together, so days always have
    their source. How far each level is (`rolled_up`) differs, but a coarser one is never farther than a finer one.
    """

    table: str
    every_ns: int
    source_floor: str | None

    @property
    def rolled_up(self) -> str:
        """The log position up to which readings are reflected here, as a subquery."""
        return f"(SELECT max(position) FROM progress WHERE what = '{self.table}')"


MINUTES: Final = Level("readings_1m", NS_PER_MINUTE, "raw")
HOURS: Final = Level("readings_1h", NS_PER_HOUR, "minutes")
DAYS: Final = Level("readings_1d", NS_PER_DAY, None)
#: Finest first.
LEVELS: Final = (MINUTES, HOURS, DAYS)

#: The columns of a partial, after thing, property, bucket.
PARTIAL: Final = "n, numbers, low, high, total, first_time, first_value, last_time, last_value"
FROM_READINGS: Final = (
    "count() AS n, count(number) AS numbers, min(number) AS low, max(number) AS high, sum(number) AS total, "
    "min(time) AS first_time, argMin(tuple(number, text, kind), time) AS first_value, "
    "max(time) AS last_time, argMax(tuple(number, text, kind), time) AS last_value"
)
MERGED: Final = (
    "sum(n), sum(numbers), min(low), max(high), sum(total), "
    "min(first_time), argMin(first_value, first_time), max(last_time), argMax(last_value, last_time)"
)


def bucket(column: str, every_ns: int) -> str:
    """The start of the bucket that a time lies in; buckets are aligned to the epoch in UTC."""
    return f"toStartOfInterval({column}, toIntervalNanosecond({every_ns}))"


def instant(ns: int) -> str:
    """A time as an SQL literal."""
    return f"fromUnixTimestamp64Nano({ns}, 'UTC')"


def fitting_level(every_ns: int) -> Level | None:
    """The coarsest rollup whose buckets make up buckets of this length."""
    return next((level for level in reversed(LEVELS) if every_ns % level.every_ns == 0), None)


#: Of each level the dirty buckets of some series within a span: thing, property, start in nanoseconds.
Dirty = Mapping[Level, frozenset[tuple[str, str, int]]]


def dirty_parameters(dirty: Dirty | None) -> dict[str, list[tuple[str, str, int]]]:
    """What has to be bound for a span that knows its dirty buckets."""
    return {_parameter(level): list(keys) for level, keys in (dirty or {}).items() if keys}


def _parameter(level: Level) -> str:
    return f"dirty_{level.table}"


@dataclass(frozen=True, slots=True)
class Span:
    """Series and a span of time, as SQL.

    `series` is a condition on thing and property whose values are bound parameters. `start_ns` is inclusive, `end_ns`
    exclusive, None is unbounded. `floors` says whether any reading has expired yet; saying True is always right.
    `known` are the dirty buckets, None when they were not asked; none of them may be one whose source has expired.
    """

    series: str = "1"
    start_ns: int | None = None
    end_ns: int | None = None
    floors: bool = True
    known: Dirty | None = None

    def within(self) -> str:
        """The condition that a reading lies in the span."""
        return _all([self.series, *times("time", self.start_ns, self.end_ns)])

    def partials(self, top: Level | None, readings_every_ns: int) -> str:
        """A UNION of partials that covers the span once, using rollups up to `top`.

        Partials of readings are made in buckets of `readings_every_ns`.
        """
        levels = LEVELS[: LEVELS.index(top) + 1] if top else ()
        levels = tuple(level for level in levels if not self._empty(level))
        found = [self._rolled_up(level, coarser) for level, coarser in zip(levels, (*levels[1:], None), strict=False)]
        found.append(self._of_readings(levels[0] if levels else None, readings_every_ns))
        parts = [part for part in found if part]
        if self.floors and self.known is None:
            beyond = ""
            for level in levels:
                if level.source_floor:
                    parts.append(self._late(level, beyond, readings_every_ns))
                    beyond = f" AND position <= {level.rolled_up}"
        return " UNION ALL ".join(parts)

    def dirty(self, level: Level) -> str:
        """The dirty buckets of a level that have to be made from the next finer one: a subquery of keys."""
        conditions = [self.within(), f"position > {level.rolled_up}"]
        buckets = (
            f"SELECT DISTINCT thing, property, {bucket('time', level.every_ns)} AS bucket "
            f"FROM readings WHERE {_all(conditions)}"
        )
        if not self.floors or level.source_floor is None:
            return buckets
        return (
            f"SELECT dirty.thing, dirty.property, dirty.bucket FROM ({buckets}) AS dirty LEFT ANY JOIN "
            f"(SELECT thing, property, {level.source_floor} AS since FROM floors FINAL) AS floor "
            "ON floor.thing = dirty.thing AND floor.property = dirty.property "
            "WHERE floor.thing = '' OR dirty.bucket >= floor.since"
        )

    def _rolled_up(self, level: Level, coarser: Level | None) -> str:
        conditions = [self.series, *times("bucket", *self._whole(level))]
        dirty = self._is_dirty("bucket", level)
        if dirty:
            conditions.append(f"NOT ({dirty})")
        if coarser:
            left_over = self._left_over("bucket", coarser)
            if not left_over:
                return ""
            conditions.append(left_over)
        return f"SELECT thing, property, bucket, {PARTIAL} FROM {level.table} FINAL WHERE {_all(conditions)}"

    def _of_readings(self, coarser: Level | None, every_ns: int) -> str:
        conditions = [self.within()]
        if coarser:
            left_over = self._left_over("time", coarser)
            if not left_over:
                return ""
            conditions.append(left_over)
        return (
            f"SELECT thing, property, {bucket('time', every_ns)} AS bucket, {FROM_READINGS} "
            f"FROM readings FINAL WHERE {_all(conditions)} GROUP BY thing, property, bucket"
        )

    def _late(self, level: Level, beyond: str, every_ns: int) -> str:
        """Readings that a level does not reflect yet, in buckets whose source has expired."""
        conditions = [
            self.series,
            *times("time", *self._whole(level)),
            f"position > {level.rolled_up}{beyond}",
            f"(thing, property, {bucket('time', level.every_ns)}) NOT IN ({self.dirty(level)})",
        ]
        rows = (
            f"SELECT * FROM readings WHERE {_all(conditions)} ORDER BY position DESC LIMIT 1 BY thing, property, time"
        )
        return (
            f"SELECT thing, property, {bucket('time', every_ns)} AS bucket, {FROM_READINGS} "
            f"FROM ({rows}) GROUP BY thing, property, bucket"
        )

    def _left_over(self, column: str, level: Level) -> str:
        """What a level does not cover, "" when nothing. What a coarser one covers, this one could cover as well."""
        start, end = self._whole(level)
        parts = [f"{column} < {instant(start)}"] if start is not None and start != self.start_ns else []
        if end is not None and end != self.end_ns:
            parts.append(f"{column} >= {instant(end)}")
        dirty = self._is_dirty(column, level)
        if dirty:
            parts.append(dirty)
        return f"({' OR '.join(parts)})" if parts else ""

    def _is_dirty(self, column: str, level: Level) -> str:
        """The condition that the bucket of a level in which a column lies is dirty; "" when none is."""
        start = bucket(column, level.every_ns)
        if self.known is None:
            return f"(thing, property, {start}) IN ({self.dirty(level)})"
        keys = self.known[level]
        if not keys:
            return ""
        starts = [key[2] for key in keys]
        # The bounds are what the index can use.
        bounds = times(column, min(starts), max(starts) + level.every_ns)
        listed = f"{{{_parameter(level)}:Array(Tuple(String, String, Int64))}}"
        return _all([*bounds, f"(thing, property, toUnixTimestamp64Nano({start})) IN {listed}"])

    def _empty(self, level: Level) -> bool:
        start, end = self._whole(level)
        return start is not None and end is not None and start >= end

    def _whole(self, level: Level) -> tuple[int | None, int | None]:
        """The part of the span that whole buckets of a level make up."""
        every = level.every_ns
        start = None if self.start_ns is None else -(-self.start_ns // every) * every
        end = None if self.end_ns is None else self.end_ns // every * every
        if start is not None and end is not None:
            end = max(start, end)
        return start, end


def times(column: str, start_ns: int | None, end_ns: int | None) -> list[str]:
    """The conditions that a column lies in a span; none where it is unbounded."""
    conditions = [f"{column} >= {instant(start_ns)}"] if start_ns is not None else []
    return conditions + ([f"{column} < {instant(end_ns)}"] if end_ns is not None else [])


def _all(conditions: list[str]) -> str:
    return " AND ".join(conditions)
