"""Which rows, of which tables, together make the readings of a span: the SQL behind every aggregate.

A *partial* is what is known of one series in one bucket: count, least, greatest and so on. Partials of disjoint sets of
readings can be merged. A span is covered once by four kinds of partials, coarsest first:

1. days that lie within the span and are clean;
2. hours that lie within the span, are clean, and are not covered by 1;
3. minutes likewise;
4. readings of all the rest.

A bucket is *dirty* when a reading in it has come (or was corrected) since its level was rolled up, which is told by
the log position. So the answer equals the one from the readings alone, however far behind the rollups are. To call a
clean bucket dirty makes an answer slower, not wrong. Which buckets are dirty is either asked within the statement, for
each series, or once beforehand as stretches of time in which those of all series lie (`Dirty`). The latter is far
quicker: what each level covers is then known too, and the index finds it.

Where readings have expired (`floors`), a minute stays with its rollup even when dirty, and only the readings since
the last rollup are added. Likewise an hour whose minutes have expired.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Final, NamedTuple

from allthings.historian.settings import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from allthings.historian.stretches import Stretch, within, without
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN


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


def bucket(column: str, every_ns: int, origin_ns: int = 0) -> str:
    """The start of the bucket that a time lies in; buckets are counted from an origin, else from the epoch in UTC."""
    if origin_ns:
        shift = f"toIntervalNanosecond({origin_ns})"
        return f"toStartOfInterval({column} - {shift}, toIntervalNanosecond({every_ns})) + {shift}"
    return f"toStartOfInterval({column}, toIntervalNanosecond({every_ns}))"


def instant(ns: int) -> str:
    """A time as an SQL literal."""
    return f"fromUnixTimestamp64Nano({ns}, 'UTC')"


def fitting_level(every_ns: int) -> Level | None:
    """The coarsest rollup whose buckets make up buckets of this length."""
    return next((level for level in reversed(LEVELS) if every_ns % level.every_ns == 0), None)


class Slots(NamedTuple):
    """Buckets that a question asks for. All of their edges lie on multiples of `grain_ns`.

    They are `width_ns` long and counted from an origin, or have these edges (whole seconds).
    """

    grain_ns: int
    width_ns: int = 0
    origin_ns: int = 0
    edges: Sequence[int] = ()

    @classmethod
    def equal(cls, width_ns: int, origin_ns: int) -> Slots:
        return cls(gcd(width_ns, origin_ns), width_ns, origin_ns)

    @classmethod
    def between(cls, edges: Sequence[int]) -> Slots:
        return cls(gcd(NS_PER_DAY, *edges), edges=edges)

    def of(self, column: str) -> str:
        """The start of the slot that a time lies in."""
        if not self.edges:
            return bucket(column, self.width_ns, self.origin_ns)
        seconds = ", ".join(str(edge // NS_PER_SECOND) for edge in self.edges)
        second = f"toUnixTimestamp64Second({bucket(column, NS_PER_SECOND)})"
        found = f"roundDown({second}, CAST([{seconds}], 'Array(Int64)'))"
        return f"fromUnixTimestamp64Nano({NS_PER_SECOND} * {found}, 'UTC')"


#: Of each level the stretches of time, made of whole buckets, outside of which no bucket of some series is dirty.
Dirty = Mapping[Level, Sequence[Stretch]]

#: Every time that a reading can have.
ALWAYS: Final[Stretch] = (TIME_NS_MIN, TIME_NS_MAX + NS_PER_DAY)


@dataclass(frozen=True, slots=True)
class Span:
    """Series and a span of time, as SQL.

    `series` is a condition on thing and property whose values are bound parameters. `start_ns` is inclusive, `end_ns`
    exclusive, None is unbounded. `floors` says whether any reading has expired yet; saying True is always right.
    `dirty` is None when it was not asked; none of its buckets may be one whose source has expired.
    """

    series: str = "1"
    start_ns: int | None = None
    end_ns: int | None = None
    floors: bool = True
    dirty: Dirty | None = None

    def within(self) -> str:
        """The condition that a reading lies in the span."""
        return _all([self.series, *times("time", *self._bounds())])

    def partials(self, top: Level | None, readings_every_ns: int) -> str:
        """A UNION of partials that covers the span once, using rollups up to `top`.

        Partials of readings are made in buckets of `readings_every_ns`.
        """
        levels = LEVELS[: LEVELS.index(top) + 1] if top else ()
        if self.dirty is None:
            return " UNION ALL ".join(self._by_subqueries(levels, readings_every_ns))
        return " UNION ALL ".join(self._by_stretches(levels, readings_every_ns, self.dirty))

    def _by_stretches(self, levels: Sequence[Level], every_ns: int, dirty: Dirty) -> Iterator[str]:
        """Each level the stretches that are clean there and that no coarser level has."""
        rest = [self._bounds()]
        for level in reversed(levels):
            covered = without(within(rest, self._whole(level)), dirty[level])
            if covered:
                rest = without(rest, covered)
                yield _rows(level, [self.series, _any("bucket", covered)])
        if rest:
            yield _aggregated(f"readings FINAL WHERE {_all([self.series, _any('time', rest)])}", every_ns)

    def _by_subqueries(self, levels: Sequence[Level], every_ns: int) -> Iterator[str]:
        """Each level the buckets that are clean there and that no coarser level has."""
        for level, coarser in zip(levels, (*levels[1:], None), strict=False):
            conditions = [self.series, *times("bucket", *self._whole(level)), f"NOT {self._is_dirty('bucket', level)}"]
            yield _rows(level, [*conditions, self._left_over("bucket", coarser)] if coarser else conditions)
        conditions = [self.within(), self._left_over("time", levels[0])] if levels else [self.within()]
        yield _aggregated(f"readings FINAL WHERE {_all(conditions)}", every_ns)
        if self.floors:
            beyond = ""
            for level in levels:
                if level.source_floor:
                    yield self._late(level, beyond, every_ns)
                    beyond = f" AND position <= {level.rolled_up}"

    def _is_dirty(self, column: str, level: Level) -> str:
        """The condition that the bucket of a level in which a column lies has to be made from the next finer one."""
        conditions = [self.within(), f"position > {level.rolled_up}"]
        dirty = (
            f"SELECT DISTINCT thing, property, {bucket('time', level.every_ns)} AS bucket "
            f"FROM readings WHERE {_all(conditions)}"
        )
        if self.floors and level.source_floor is not None:
            dirty = (
                f"SELECT dirty.thing, dirty.property, dirty.bucket FROM ({dirty}) AS dirty LEFT ANY JOIN "
                f"(SELECT thing, property, {level.source_floor} AS since FROM floors FINAL) AS floor "
                "ON floor.thing = dirty.thing AND floor.property = dirty.property "
                "WHERE floor.thing = '' OR dirty.bucket >= floor.since"
            )
        return f"((thing, property, {bucket(column, level.every_ns)}) IN ({dirty}))"

    def _late(self, level: Level, beyond: str, every_ns: int) -> str:
        """Readings that a level does not reflect yet, in buckets whose source has expired."""
        conditions = [
            self.series,
            *times("time", *self._whole(level)),
            f"position > {level.rolled_up}{beyond}",
            f"NOT {self._is_dirty('time', level)}",
        ]
        rows = (
            f"SELECT * FROM readings WHERE {_all(conditions)} ORDER BY position DESC LIMIT 1 BY thing, property, time"
        )
        return _aggregated(f"({rows})", every_ns)

    def _left_over(self, column: str, level: Level) -> str:
        """What a level does not cover. What a coarser one covers, this one could cover as well."""
        (start, end), bounds = self._whole(level), self._bounds()
        before = [f"{column} < {instant(start)}"] if start > bounds[0] else []
        after = [f"{column} >= {instant(end)}"] if end < bounds[1] else []
        return f"({' OR '.join([*before, *after, self._is_dirty(column, level)])})"

    def _bounds(self) -> Stretch:
        start, end = ALWAYS
        return (start if self.start_ns is None else self.start_ns), (end if self.end_ns is None else self.end_ns)

    def _whole(self, level: Level) -> Stretch:
        """The part of the span that whole buckets of a level make up; it may be empty."""
        start, end = self._bounds()
        start, end = -(-start // level.every_ns) * level.every_ns, end // level.every_ns * level.every_ns
        return start, max(start, end)


def _rows(level: Level, conditions: list[str]) -> str:
    return f"SELECT thing, property, bucket, {PARTIAL} FROM {level.table} FINAL WHERE {_all(conditions)}"


def _aggregated(readings: str, every_ns: int) -> str:
    return (
        f"SELECT thing, property, {bucket('time', every_ns)} AS bucket, {FROM_READINGS} "
        f"FROM {readings} GROUP BY thing, property, bucket"
    )


def times(column: str, start_ns: int | None, end_ns: int | None) -> list[str]:
    """The conditions that a column lies in a stretch; none where it is unbounded."""
    conditions = [f"{column} >= {instant(start_ns)}"] if start_ns is not None and start_ns > ALWAYS[0] else []
    return conditions + ([f"{column} < {instant(end_ns)}"] if end_ns is not None and end_ns < ALWAYS[1] else [])


def _all(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions) or "1"


def _any(column: str, stretches: Iterable[Stretch]) -> str:
    return f"({' OR '.join(_all(times(column, *stretch)) for stretch in stretches)})"
