"""Minutes, hours and days are made of what came since the last time.

The invariant, at every moment and after every crash: with P the position of a level in `progress`,

1. every row of the level (for minutes: also of `newest` and `heard`) reflects all readings with positions up to P;
2. in a bucket whose source has expired, a row of version V reflects no reading beyond V. (Elsewhere it may: readers
   take every bucket with readings beyond P from the finer level anyway.)

A step reflects the readings in (P, Q]: it makes the buckets that they touch, writes these as version Q, and then moves
P to Q. Cut off anywhere, the step is done again and writes the same or newer rows over them.

Minutes. Most readings come in order, so most minutes touched lie after the newest minute of their series. These are
made of the new readings alone. The others (the minute that was under way, late readings, corrections) are made anew
of all their readings.

Hours are made of minutes, days of hours.

A bucket whose source has expired cannot be made anew. It is merged with the readings beyond its own version, so that
doing a step again adds nothing twice. A reading that comes a second time after it has expired is counted again: there
is nothing left to know it by.
"""

# ruff: noqa: S608 - statements are put together from constants and integers.

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from allthings.historian import newest, settings
from allthings.historian.buckets import DAYS, FROM_READINGS, HOURS, MERGED, MINUTES, PARTIAL, Level, bucket
from allthings.historian.engine import Handles
from allthings.log import block

_MINUTE: Final = bucket("time", MINUTES.every_ns)
#: The source of hours and days.
_SOURCES: Final = ((HOURS, MINUTES), (DAYS, HOURS))


@dataclass(frozen=True, slots=True)
class RollupReport:
    """What a rollup did: minutes reflect positions up to `position` now, after `readings` in `steps` steps."""

    position: int
    readings: int
    steps: int


@dataclass(frozen=True, slots=True)
class _New:
    """The readings that a statement is about, as a condition on them and what is bound in it."""

    where: str
    bound: dict[str, str] = field(default_factory=dict)

    @classmethod
    def between(cls, after: int, upto: int) -> _New:
        """Those with positions beyond `after` up to `upto`."""
        return cls(f"position > {after} AND position <= {upto}")

    def of_things(self, after: str, upto: str) -> _New:
        """Of these, those of things whose names come after `after`, up to `upto`."""
        return _New(
            f"{self.where} AND thing > {{after_thing:String}} AND thing <= {{upto_thing:String}}",
            {"after_thing": after, "upto_thing": upto},
        )


def at_once(took_s: float) -> float:
    """No rest between the parts of a rollup."""
    return 0.0


class Rollups:
    """Brings rollups up to the readings. One call at a time; the caller sees to that.

    `moved` is called when a level has reached a position.
    """

    def __init__(self, handles: Handles, moved: Callable[[Level, int], None] | None) -> None:
        self._handles = handles
        self._moved = moved
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End a rollup under way after its step; the rest is done another time."""
        self._stopped.set()

    def goes_on(self) -> bool:
        """Whether nobody has called `stop`."""
        return not self._stopped.is_set()

    def position(self, level: Level = MINUTES) -> int:
        """The position up to which every reading is reflected."""
        return int(self._handles.value(f"SELECT {level.rolled_up}"))

    def newest(self) -> int:
        """The greatest position of any reading, or the one reached when there is none beyond it."""
        reached = self.position()
        beyond = self._handles.value(f"SELECT max(position) FROM readings WHERE position > {reached}")
        return max(reached, int(beyond))

    def bring_up(
        self, position: int, *, floors: bool, upper: bool, rest: Callable[[float], float] = at_once
    ) -> RollupReport:
        """Reflect every reading up to `position` in minutes and, with `upper`, in hours and days.

        All readings up to it must have been inserted. `floors` says whether anything has expired yet, `rest` for how
        many seconds to rest after work that took so many.
        """
        reached, readings, steps = self.position(), 0, 0
        for after, upto, rows, dense in self._steps(reached, position):
            for new in self._parts(_New.between(after, upto), dense=dense):
                if self._stopped.is_set():
                    return RollupReport(reached, readings, steps)
                began = time.monotonic()
                self._minutes(new, upto, floors=floors, dense=dense)
                self._stopped.wait(rest(time.monotonic() - began))
            self._move(MINUTES, upto)
            reached, readings, steps = upto, readings + rows, steps + 1
        if reached < position:
            reached = position
            self._move(MINUTES, reached)
        if upper:
            for level, source in _SOURCES:
                self._bring_up_level(level, source, reached, floors, rest)
        return RollupReport(reached, readings, steps)

    def _bring_up_level(
        self, level: Level, source: Level, reached: int, floors: bool, rest: Callable[[float], float]
    ) -> None:
        after = self.position(level)
        for upto in self._versions(source, after, reached):
            if self._stopped.is_set():
                return
            began = time.monotonic()
            self._merge(level, source, after, upto, floors)
            self._move(level, upto)
            self._stopped.wait(rest(time.monotonic() - began))
            after = upto

    def _move(self, level: Level, position: int) -> None:
        self._handles.run(f"INSERT INTO progress (what, position) VALUES ('{level.table}', {position})")
        if self._moved:
            self._moved(level, position)

    # What is done in one step

    def _steps(self, after: int, upto: int) -> Iterator[tuple[int, int, int, bool]]:
        """Ranges of positions that end where blocks end, how many readings each has, and whether these are dense.

        A step is bounded by the minutes that it makes, which are kept in memory; there are at most as many as
        readings, and far fewer when these are dense.
        """
        new = _New.between(after, upto).where
        counts = self._handles.rows(
            f"SELECT intDiv(position, {block.ROWS_MAX}) AS sequence, count() FROM readings "
            f"WHERE {new} GROUP BY sequence ORDER BY sequence"
        )
        rows = sum(count for _, count in counts)
        made = rows
        if rows > settings.ROLLUP_STEP_ROWS // 10:
            made = self._handles.value(f"SELECT uniqCombined(14)(thing, property, {_MINUTE}) FROM readings WHERE {new}")
        dense = made < min(rows // 4, settings.ROLLUP_STEP_ROWS // 2)
        most = settings.ROLLUP_DENSE_ROWS if dense else settings.ROLLUP_STEP_ROWS
        rows = 0
        for i, (sequence, count) in enumerate(counts):
            rows += count
            if rows >= most or i == len(counts) - 1:
                end = min(upto, block.position(sequence + 1, 0) - 1)
                yield after, end, rows, dense
                after, rows = end, 0

    def _parts(self, new: _New, *, dense: bool) -> Iterator[_New]:
        """What a step does at once: all of it, or a range of things, so that a large step can rest in between."""
        if not dense:
            yield new
            return
        counts = self._handles.rows(
            f"SELECT thing, count() FROM readings WHERE {new.where} GROUP BY thing ORDER BY thing"
        )
        after, rows = "", 0
        for i, (thing, count) in enumerate(counts):
            rows += count
            if rows >= settings.ROLLUP_PART_ROWS or i == len(counts) - 1:
                yield new.of_things(after, thing)
                after, rows = thing, 0

    def _versions(self, source: Level, after: int, upto: int) -> Iterator[int]:
        """The same for hours and days: versions of their source, each with not too many rows before it."""
        counts = self._handles.rows(
            f"SELECT version, count() FROM {source.table} WHERE version > {after} AND version <= {upto} "
            "GROUP BY version ORDER BY version"
        )
        rows = 0
        for version, count in counts:
            rows += count
            if rows >= settings.ROLLUP_STEP_ROWS:
                yield version
                rows = 0
        if after < upto:
            yield upto

    # Minutes

    def _minutes(self, new: _New, upto: int, *, floors: bool, dense: bool) -> None:
        late = floors and self._any_late(MINUTES, new)
        columns = f"thing, property, bucket, {PARTIAL}, version"
        minute = f"(thing, property, {_MINUTE})"
        available = f"AND {minute} NOT IN ({_expired(MINUTES, new)})" if late else ""
        # Many buckets of few readings are cheapest made one after another in the order of the table.
        in_order = f"optimize_aggregation_in_order = {int(not dense)}"
        self._list_anew(new)
        # The index of positions is enough to find every new reading, and only new ones are wanted.
        self._handles.run(
            f"INSERT INTO readings_1m ({columns}) "
            f"SELECT thing, property, {_MINUTE} AS bucket, {FROM_READINGS}, {upto} FROM readings FINAL "
            f"WHERE {new.where} AND {minute} NOT IN (SELECT thing, property, bucket FROM anew) {available} "
            "GROUP BY thing, property, bucket "
            f"SETTINGS use_skip_indexes_if_final_exact_mode = 0, {in_order}",
            new.bound,
        )
        if self._handles.value("SELECT count() FROM anew"):
            self._handles.run(
                f"INSERT INTO readings_1m ({columns}) "
                f"SELECT thing, property, {_MINUTE} AS bucket, {FROM_READINGS}, {upto} FROM readings FINAL "
                f"WHERE {minute} IN (SELECT thing, property, bucket FROM anew) {available} "
                f"GROUP BY thing, property, bucket SETTINGS {in_order}",
                new.bound,
            )
        if late:
            self._merge_late(MINUTES, new, upto)
        self._handles.run(f"INSERT INTO newest ({newest.COLUMNS}) {newest.made_of(new.where)}", new.bound)
        self._handles.run(f"INSERT INTO heard (thing, received, position) {newest.heard_in(new.where)}", new.bound)

    def _list_anew(self, new: _New) -> None:
        """Put the minutes into `anew` that new readings lie in and that hold older ones, or may."""
        handles = self._handles
        last = f"SELECT thing, property, {bucket('max(time)', MINUTES.every_ns)} AS newest FROM newest GROUP BY 1, 2"
        handles.run("TRUNCATE TABLE anew")
        # The earliest minute of each series; in most cases it is the only one that is not new.
        earliest = bucket("n.earliest", MINUTES.every_ns)
        handles.run(
            f"INSERT INTO anew (thing, property, bucket) SELECT n.thing, n.property, {earliest} "
            f"FROM (SELECT thing, property, min(time) AS earliest FROM readings WHERE {new.where} "
            f"GROUP BY thing, property) AS n "
            f"INNER JOIN ({last}) AS l ON l.thing = n.thing AND l.property = n.property "
            f"WHERE {earliest} <= l.newest",
            new.bound,
        )
        behind = (
            f"SELECT a.thing AS thing, a.property AS property, l.newest AS newest FROM anew AS a "
            f"INNER JOIN ({last}) AS l ON l.thing = a.thing AND l.property = a.property WHERE a.bucket < l.newest"
        )
        if handles.value(f"SELECT count() FROM ({behind})"):
            handles.run(
                "INSERT INTO anew (thing, property, bucket) SELECT DISTINCT n.thing, n.property, n.bucket FROM ("
                f"SELECT thing, property, {_MINUTE} AS bucket FROM readings WHERE {new.where} "
                f"AND (thing, property) IN (SELECT thing, property FROM ({behind}))) AS n "
                f"INNER JOIN ({last}) AS l ON l.thing = n.thing AND l.property = n.property "
                "WHERE n.bucket <= l.newest",
                new.bound,
            )

    # Hours and days

    def _merge(self, level: Level, source: Level, after: int, upto: int, floors: bool) -> None:
        of = bucket("bucket", level.every_ns)
        touched = (
            f"SELECT DISTINCT thing, property, {of} AS upper FROM {source.table} "
            f"WHERE version > {after} AND version <= {upto}"
        )
        new = _New.between(after, upto)
        late = floors and level.source_floor is not None and self._any_late(level, new)
        if late:
            touched += f" AND (thing, property, upper) NOT IN ({_expired(level, new)})"
        self._handles.run(
            f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
            f"SELECT thing, property, {of} AS upper, {MERGED}, {upto} FROM {source.table} FINAL "
            f"WHERE (thing, property, {of}) IN ({touched}) GROUP BY thing, property, upper",
            new.bound,
        )
        if late:
            self._merge_late(level, new, upto)

    # Buckets whose source has expired

    def _any_late(self, level: Level, new: _New) -> bool:
        """Whether any new reading lies before any series' floor."""
        return bool(
            self._handles.value(
                f"SELECT (SELECT min(time) FROM readings WHERE {new.where}) < "
                f"(SELECT max({level.source_floor}) FROM floors FINAL)",
                new.bound,
            )
        )

    def _merge_late(self, level: Level, new: _New, upto: int) -> None:
        """Merge new readings into buckets whose source has expired."""
        of = bucket("time", level.every_ns)
        late = _expired(level, new)
        readings = (
            f"SELECT thing, property, {of} AS bucket, time, number, text, kind, position FROM readings "
            f"WHERE {new.where} AND (thing, property, {of}) IN ({late}) "
            "ORDER BY position DESC LIMIT 1 BY thing, property, time"
        )
        kept = f"FROM {level.table} FINAL WHERE (thing, property, bucket) IN ({late})"
        added = (
            f"SELECT n.thing AS thing, n.property AS property, n.bucket AS bucket, {FROM_READINGS} "
            f"FROM ({readings}) AS n LEFT ANY JOIN (SELECT thing, property, bucket, version {kept}) AS old "
            "ON n.thing = old.thing AND n.property = old.property AND n.bucket = old.bucket "
            "WHERE n.position > old.version GROUP BY thing, property, bucket"
        )
        self._handles.run(
            f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
            f"SELECT thing, property, bucket, {MERGED}, {upto} "
            f"FROM (SELECT thing, property, bucket, {PARTIAL} {kept} UNION ALL {added}) "
            "GROUP BY thing, property, bucket",
            new.bound,
        )


def _expired(level: Level, new: _New) -> str:
    """The buckets that new readings lie in and whose source has expired."""
    return (
        "SELECT new.thing, new.property, new.bucket FROM ("
        f"SELECT DISTINCT thing, property, {bucket('time', level.every_ns)} AS bucket FROM readings WHERE {new.where}"
        f") AS new INNER JOIN (SELECT thing, property, {level.source_floor} AS since FROM floors FINAL) AS floor "
        "ON floor.thing = new.thing AND floor.property = new.property WHERE new.bucket < floor.since"
    )
