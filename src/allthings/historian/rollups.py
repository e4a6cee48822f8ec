"""Minutes, hours and days are made of what came since the last time.

The invariant, at every moment and after every crash: with P the position in `progress`,

1. every minute, hour, day and `latest` row reflects all readings with positions up to P;
2. a row of version V reflects no reading beyond V in a bucket whose source has expired. (Elsewhere it may: readers
   take every bucket with readings beyond P from the finer level anyway.)

A step reflects the readings in (P, Q]. It finds the buckets that they touch, makes these anew (minutes of readings,
hours of minutes, days of hours), writes them as version Q, and then moves P to Q. Cut off anywhere, the step is done
again and writes the same or newer rows over them.

A bucket whose source has expired cannot be made anew. It is merged with the readings beyond its own version, so that
doing a step again adds nothing twice. A reading that comes a second time after it has expired is counted again: there
is nothing left to know it by.
"""

# ruff: noqa: S608 - statements are put together from constants and integers.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from allthings.historian import buckets, settings
from allthings.historian.buckets import DAYS, FROM_READINGS, HOURS, MERGED, MINUTES, PARTIAL, Level, bucket
from allthings.historian.engine import Handles
from allthings.log import block

_LATEST: Final = "time, number, text, kind, received, position"


@dataclass(frozen=True, slots=True)
class RollupReport:
    """What a rollup did: it reflects positions up to `position` now, after `readings` in `steps` steps."""

    position: int
    readings: int
    steps: int


class Rollups:
    """Brings rollups up to the readings. One at a time; the caller sees to that."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles

    def position(self) -> int:
        """The position up to which every reading is reflected."""
        return int(self._handles.value(f"SELECT {buckets.ROLLED_UP}"))

    def newest(self) -> int:
        """The greatest position of any reading, or the one reached when there is none beyond it."""
        reached = self.position()
        beyond = self._handles.value(f"SELECT max(position) FROM readings WHERE position > {reached}")
        return max(reached, int(beyond))

    def bring_up(self, position: int, floors: bool) -> RollupReport:
        """Reflect every reading up to `position`; all of these must have been inserted before."""
        reached = self.position()
        readings = steps = 0
        for after, upto, rows in self._steps(reached, position):
            self._step(after, upto, floors)
            reached, readings, steps = upto, readings + rows, steps + 1
        if reached < position:
            self._move(position)
        return RollupReport(max(reached, position), readings, steps)

    def _steps(self, after: int, upto: int) -> Iterator[tuple[int, int, int]]:
        """Ranges of positions with about ROLLUP_STEP_ROWS readings each; they end where blocks end."""
        counts = self._handles.rows(
            f"SELECT intDiv(position, {block.ROWS_MAX}) AS sequence, count() FROM readings "
            f"WHERE position > {after} AND position <= {upto} GROUP BY sequence ORDER BY sequence"
        )
        bounds, rows, taken = [after], list[int](), 0
        for i, (sequence, count) in enumerate(counts):
            taken += count
            if taken >= settings.ROLLUP_STEP_ROWS or i == len(counts) - 1:
                bounds.append(min(upto, block.position(sequence + 1, 0) - 1))
                rows.append(taken)
                taken = 0
        for (start, end), count in zip(pairwise(bounds), rows, strict=True):
            yield start, end, count

    def _step(self, after: int, upto: int, floors: bool) -> None:
        new = f"position > {after} AND position <= {upto}"
        late = floors and self._any_late(new)
        self._handles.run(
            f"INSERT INTO readings_1m (thing, property, bucket, {PARTIAL}, version) "
            f"SELECT thing, property, {bucket('time', MINUTES.every_ns)} AS bucket, {FROM_READINGS}, {upto} "
            f"FROM readings FINAL WHERE (thing, property, {bucket('time', MINUTES.every_ns)}) IN "
            f"({_touched(MINUTES, new, late)}) GROUP BY thing, property, bucket"
        )
        if late:
            self._merge_late(MINUTES, new, upto)
        for level, source in ((HOURS, MINUTES), (DAYS, HOURS)):
            self._handles.run(
                f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
                f"SELECT thing, property, {bucket('bucket', level.every_ns)} AS upper, {MERGED}, {upto} "
                f"FROM {source.table} FINAL WHERE (thing, property, {bucket('bucket', level.every_ns)}) IN "
                f"({_touched(level, new, late)}) GROUP BY thing, property, upper"
            )
            if late and level.source_floor:
                self._merge_late(level, new, upto)
        self._handles.run(
            f"INSERT INTO latest (thing, property, {_LATEST}) "
            f"SELECT thing, property, newest.1, newest.2, newest.3, newest.4, newest.5, newest.6 FROM ("
            f"SELECT thing, property, argMax(tuple({_LATEST}), tuple(time, position)) AS newest "
            f"FROM readings WHERE {new} GROUP BY thing, property)"
        )
        self._move(upto)

    def _move(self, position: int) -> None:
        self._handles.run(f"INSERT INTO progress (what, position) VALUES ('rollup', {position})")

    def _any_late(self, new: str) -> bool:
        """Whether any new reading lies before the floor of any series."""
        return bool(
            self._handles.value(
                f"SELECT (SELECT min(time) FROM readings WHERE {new}) < (SELECT max(raw) FROM floors FINAL)"
            )
        )

    def _merge_late(self, level: Level, new: str, upto: int) -> None:
        """Merge new readings into buckets whose source has expired."""
        of = bucket("time", level.every_ns)
        late = _expired(level, new)
        readings = (
            f"SELECT thing, property, {of} AS bucket, time, number, text, kind, position FROM readings "
            f"WHERE {new} AND (thing, property, {of}) IN ({late}) "
            "ORDER BY position DESC LIMIT 1 BY thing, property, time"
        )
        versions = (
            f"SELECT thing, property, bucket, version FROM {level.table} FINAL "
            f"WHERE (thing, property, bucket) IN ({late})"
        )
        added = (
            f"SELECT n.thing AS thing, n.property AS property, n.bucket AS bucket, {FROM_READINGS} "
            f"FROM ({readings}) AS n LEFT ANY JOIN ({versions}) AS old "
            "ON n.thing = old.thing AND n.property = old.property AND n.bucket = old.bucket "
            "WHERE n.position > old.version GROUP BY thing, property, bucket"
        )
        kept = (
            f"SELECT thing, property, bucket, {PARTIAL} FROM {level.table} FINAL "
            f"WHERE (thing, property, bucket) IN ({late})"
        )
        self._handles.run(
            f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
            f"SELECT thing, property, bucket, {MERGED}, {upto} FROM ({kept} UNION ALL {added}) "
            "GROUP BY thing, property, bucket"
        )


def _touched(level: Level, new: str, late: bool) -> str:
    """The buckets that new readings lie in and whose source is there."""
    if late and level.source_floor:
        return _by_floor(level, new, f"floor.thing = '' OR new.bucket >= floor.{level.source_floor}")
    return f"SELECT DISTINCT thing, property, {bucket('time', level.every_ns)} FROM readings WHERE {new}"


def _expired(level: Level, new: str) -> str:
    """The buckets that new readings lie in and whose source has expired."""
    return _by_floor(level, new, f"floor.thing != '' AND new.bucket < floor.{level.source_floor}")


def _by_floor(level: Level, new: str, condition: str) -> str:
    return (
        "SELECT new.thing, new.property, new.bucket FROM ("
        f"SELECT DISTINCT thing, property, {bucket('time', level.every_ns)} AS bucket FROM readings WHERE {new}"
        ") AS new LEFT ANY JOIN (SELECT thing, property, raw, minutes FROM floors FINAL) AS floor "
        f"ON floor.thing = new.thing AND floor.property = new.property WHERE {condition}"
    )
