"""Deleting readings on somebody's word, at once and for good; their rollups and newest values follow.

Where only a part of a bucket is deleted, the bucket is made anew of what is left. Where what it was made of has expired
(`retention.py`), that cannot be done: such a bucket goes when all of it is deleted, and stays whole when not.

Cut off anywhere, the same deletion is made again: it finds less to do and ends with the same.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from allthings.historian import buckets, newest, settings
from allthings.historian.buckets import (
    ALWAYS,
    DAYS,
    FROM_READINGS,
    HOURS,
    LEVELS,
    MERGED,
    MINUTES,
    PARTIAL,
    Level,
    Span,
)
from allthings.historian.engine import Engine
from allthings.registry import Deletion

#: What each level is made of.
_SOURCES: Final = {MINUTES: None, HOURS: MINUTES, DAYS: HOURS}


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many readings (those that only rollups still tell of among them) and events a deletion is about."""

    readings: int
    events: int


class Deleting:
    """Makes deletions, one at a time; no rollup may run meanwhile. `bring_up` reflects all readings in the rollups,
    `floors` says whether any reading has expired yet."""

    def __init__(self, engine: Engine, bring_up: Callable[[], None], floors: Callable[[], bool]) -> None:
        self._work = engine.work
        self._query = engine.query
        self._bring_up = bring_up
        self._floors = floors

    def count(self, deletion: Deletion) -> Deleted:
        """What it would delete now."""
        where = _Where(deletion)
        span = Span(where.series, deletion.start_ns, deletion.end_ns, self._floors())
        value = self._value
        told = value(f"SELECT sum(n) FROM ({span.partials(DAYS, settings.NS_PER_DAY)})", where)
        kept = value(f"SELECT count() FROM readings FINAL WHERE {where.within('time')}", where)
        stays = value(
            f"SELECT countIf(position > {deletion.upto}) FROM readings FINAL WHERE {where.within('time')}", where
        )
        events = 0
        if not deletion.properties:
            events = value(f"SELECT count() FROM events FINAL WHERE {where.upto('time')}", where)
        return Deleted(max(told, kept) - stays, events)

    def run(self, deletion: Deletion) -> None:
        """Delete. Inserts leave out what it names already, so nothing of it comes any more."""
        # All levels are to stand at one position: a bucket that is made anew tells up to which readings it goes.
        self._bring_up()
        position = int(self._work.value(f"SELECT {MINUTES.rolled_up}"))
        where = _Where(deletion)
        self._drop("readings", where.upto("time"), where.bound)
        for level in LEVELS:
            self._make_anew(level, where, position)
        self._drop("newest", where.upto("time"), where.bound)
        self._work.run(f"INSERT INTO newest ({newest.COLUMNS}) {newest.made_of(where.series)}", where.bound)
        if not deletion.properties:
            self._drop("events", where.upto("time"), where.bound)

    def _make_anew(self, level: Level, where: _Where, position: int) -> None:
        """Drop the buckets that the span touches, and make those anew of which something is left."""
        source, every = _SOURCES[level], level.every_ns
        start, end = where.span
        touched = (start // every * every, -(-end // every) * every)
        bound = dict(where.bound)
        bucket = buckets.bucket("time" if source is None else "bucket", every)
        stays = self._cannot_be_made(level, where, bound)
        inside = _all([where.series, *buckets.times("bucket", *touched)])
        self._drop(level.table, f"{inside}{stays('bucket')}", bound)
        if source is None:
            made, rows = FROM_READINGS, f"readings FINAL WHERE position <= {position} AND "
            rows += _all([where.series, *buckets.times("time", *touched)])
        else:
            made, rows = MERGED, f"{source.table} FINAL WHERE {inside}"
        self._work.run(
            f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
            f"SELECT thing, property, {bucket} AS start, {made}, {position} FROM {rows}{stays(bucket)} "
            "GROUP BY thing, property, start",
            bound,
        )

    def _cannot_be_made(self, level: Level, where: _Where, bound: dict[str, Any]) -> Callable[[str], str]:
        """The condition that a bucket is none of those at an end of the span whose source has expired. Binds the
        series that have such."""
        every = level.every_ns
        ends = {each // every * every for each in where.span if each % every and each not in ALWAYS}
        conditions: list[tuple[int, str]] = []
        if ends and level.source_floor and self._floors():
            for place, edge in enumerate(sorted(ends)):
                rows = self._work.rows(
                    f"SELECT thing, property FROM floors FINAL WHERE {where.series} "
                    f"AND {level.source_floor} > {buckets.instant(edge)}",
                    where.bound,
                )
                if rows:
                    bound[f"stays_{place}"] = rows
                    conditions.append((edge, f"{{stays_{place}:Array(Tuple(String, String))}}"))

        def but(bucket: str) -> str:
            return "".join(
                f" AND NOT ({bucket} = {buckets.instant(edge)} AND (thing, property) IN {keys})"
                for edge, keys in conditions
            )

        return but

    def _drop(self, table: str, condition: str, bound: Mapping[str, Any]) -> None:
        """Delete rows, and wait until they are gone."""
        if self._work.value(f"SELECT count() FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT 1)", bound):
            self._work.run(f"ALTER TABLE {table} DELETE WHERE {condition} SETTINGS mutations_sync = 1", bound)

    def _value(self, statement: str, where: _Where) -> int:
        return int(self._query.value(statement, where.bound))


class _Where:
    """A deletion as SQL: conditions, and what is bound in them."""

    def __init__(self, deletion: Deletion) -> None:
        self.series = "thing IN {things:Array(String)}"
        self.bound: dict[str, Any] = {"things": list(deletion.things)}
        if deletion.properties:
            self.series += " AND property IN {properties:Array(String)}"
            self.bound["properties"] = list(deletion.properties)
        self.span = (
            ALWAYS[0] if deletion.start_ns is None else max(deletion.start_ns, ALWAYS[0]),
            ALWAYS[1] if deletion.end_ns is None else min(deletion.end_ns, ALWAYS[1]),
        )
        self._upto = deletion.upto

    def within(self, column: str) -> str:
        """That a row is of these series and in the span."""
        return _all([self.series, *buckets.times(column, *self.span)])

    def upto(self, column: str) -> str:
        """And that it stands in the log at or before the deletion."""
        return f"{self.within(column)} AND position <= {self._upto}"


def _all(conditions: list[str]) -> str:
    return " AND ".join(conditions)
