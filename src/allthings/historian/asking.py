"""Answers to HistoryQuery: which series are meant, which rollups can be used, and their readings."""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa

from allthings.historian import buckets, settings
from allthings.historian.buckets import Dirty, Slots, Span
from allthings.historian.engine import Handles
from allthings.historian.errors import QueryLimitError
from allthings.historian.paging import Key, gathered, paged, split
from allthings.historian.pieces import pieces
from allthings.historian.query import HistoryQuery, Series
from allthings.historian.stretches import Stretch, joined
from allthings.historian.unrolled import Unrolled

#: From when, and until when; None is unbounded.
Bounds: TypeAlias = tuple[int | None, int | None]


class Asking:
    """Answers queries. `floors` says whether any reading has expired yet.

    `unrolled` is given where all that is inserted passes through this process. `in_pieces`: aggregates
    that may be many are asked for piece by piece, until there is as much as is answered. That needs little memory, and
    one statement more.
    """

    def __init__(
        self, handles: Handles, floors: Callable[[], bool], unrolled: Unrolled | None, *, in_pieces: bool = True
    ) -> None:
        self.in_pieces = in_pieces
        self._handles = handles
        self._floors = floors
        self._unrolled = unrolled

    def answer(self, query: HistoryQuery) -> list[Series]:
        """The readings of each series, in the order asked; see HistoryQuery."""
        keys = self.keys(query.series)
        if not keys:
            return []
        spans = self.pieces(query, keys, query.span()) if _may_be_many(query, keys) else iter([query.span()])
        return paged(query, keys, gathered(query, (dict(split(self._readings(query, keys, span))) for span in spans)))

    def keys(self, asked: tuple[tuple[str, str | None], ...]) -> list[Key]:
        """The series that are asked for, each once, in order."""
        whole = [thing for thing, name in asked if name is None]
        known: dict[str, list[str]] = {}
        if whole:
            rows = self._handles.rows(
                "SELECT DISTINCT thing, property FROM ("
                "SELECT thing, property FROM newest WHERE has({things:Array(String)}, thing) UNION ALL "
                "SELECT thing, property FROM readings WHERE thing IN {things:Array(String)} "
                f"AND position > {buckets.MINUTES.rolled_up}) ORDER BY thing, property",
                {"things": whole},
            )
            for thing, name in rows:
                known.setdefault(thing, []).append(name)
        found: dict[Key, None] = {}
        for thing, name in asked:
            for each in [name] if name is not None else known.get(thing, []):
                found[thing, each] = None
        if len(found) > settings.SERIES_PER_QUERY_MAX:
            raise QueryLimitError(f"one query may ask for at most {settings.SERIES_PER_QUERY_MAX} series")
        return list(found)

    def dirty(self, keys: list[Key], start_ns: int | None, end_ns: int | None) -> Dirty | None:
        """The dirty stretches of a span, for `span`; None when a statement has to find its buckets by itself.

        Readings that come after this are not seen by a statement that uses it; it answers as of now.
        """
        dirty = self._unrolled.dirty(start_ns, end_ns) if self._unrolled else None
        if dirty is None:
            dirty = self._looked_for(keys, start_ns, end_ns)
        return None if any(dirty.values()) and self._floors() and self._expired(keys, dirty) else dirty

    def _looked_for(self, keys: list[Key], start_ns: int | None, end_ns: int | None) -> Dirty:
        """The dirty stretches of these series."""
        # The positions first: what is rolled up between the two questions only makes more buckets dirty than are.
        positions = dict(self._handles.rows("SELECT what, max(position) FROM progress GROUP BY what"))
        reached = {level: int(positions.get(level.table, 0)) for level in buckets.LEVELS}
        span, parameters = self.span(keys, start_ns, end_ns)
        ends = ", ".join(
            f"toUnixTimestamp64Nano({end}IfOrNull(time, position > {reached[level]}))"
            for level in buckets.LEVELS
            for end in ("min", "max")
        )
        slot = buckets.bucket("time", _slot_ns(start_ns, end_ns))
        rows = self._handles.rows(
            f"SELECT {ends} FROM readings WHERE {span.within()} AND position > {min(reached.values())} GROUP BY {slot}",
            parameters,
        )
        return {
            level: joined(
                (
                    (start // level.every_ns * level.every_ns, (end // level.every_ns + 1) * level.every_ns)
                    for start, end in (row[2 * place : 2 * place + 2] for row in rows)
                    if start is not None
                ),
                settings.DIRTY_STRETCHES_MAX,
            )
            for place, level in enumerate(buckets.LEVELS)
        }

    def floors(self, keys: list[Key]) -> dict[Key, int]:
        """Of each series that any have expired of, the time (ns) before which its readings are gone."""
        if not self._floors():
            return {}
        span, parameters = self.span(keys, None, None)
        rows = self._handles.rows(
            f"SELECT thing, property, max(raw) FROM floors FINAL WHERE {span.series} GROUP BY thing, property",
            parameters,
        )
        return {(thing, name): raw for thing, name, raw in rows}

    def _expired(self, keys: list[Key], dirty: Dirty) -> bool:
        """Whether the source of any dirty bucket has expired, of any of the series."""
        span, parameters = self.span(keys, None, None)
        floors = ", ".join(f"max({level.source_floor})" for level in buckets.LEVELS if level.source_floor)
        rows = self._handles.rows(f"SELECT {floors} FROM floors FINAL WHERE {span.series} HAVING count()", parameters)
        return any(
            dirty[level][:1] and dirty[level][0][0] < floor
            for row in rows
            for level, floor in zip(buckets.LEVELS, row, strict=False)
        )

    def span(
        self, keys: list[Key], start_ns: int | None, end_ns: int | None, dirty: Dirty | None = None
    ) -> tuple[Span, dict[str, Any]]:
        """The span as SQL, and the parameters bound in it."""
        things = {thing for thing, _ in keys}
        parameters: dict[str, Any]
        if len(things) == 1:
            # Cheaper than pairs, and the usual case.
            condition = "thing = {thing:String} AND property IN {properties:Array(String)}"
            parameters = {"thing": things.pop(), "properties": [name for _, name in keys]}
        else:
            condition, parameters = "(thing, property) IN {keys:Array(Tuple(String, String))}", {"keys": keys}
        return Span(condition, start_ns, end_ns, self._floors(), dirty), parameters

    def pieces(
        self, query: HistoryQuery, keys: list[Key], bounds: Bounds, slots: Slots | None = None
    ) -> Iterator[Stretch]:
        """A span in pieces, in the order of the answer: each of about so many readings as may be at once, or of so many
        slots, and of whole ones."""
        span, parameters = self.span(keys, *bounds)
        # About as many: what came twice or was corrected since the days were rolled up counts twice.
        newer = f"{span.within()} AND position > {buckets.DAYS.rolled_up}"
        days = self._handles.rows(
            "SELECT day, toInt64(sum(n)) FROM ("
            f"SELECT bucket AS day, n FROM {buckets.DAYS.table} FINAL WHERE {span.series} UNION ALL "
            f"SELECT {buckets.bucket('time', settings.NS_PER_DAY)} AS day, count() AS n FROM readings WHERE {newer} "
            "GROUP BY day) GROUP BY day ORDER BY day",
            parameters,
        )
        if slots is not None:
            most = len(keys) * (settings.NS_PER_DAY // slots.width_ns + 1)
            days = [(day, min(readings, most)) for day, readings in days]
        rows = min(settings.PIECE_ROWS_MAX, max(settings.PIECE_ROWS_MIN, query.limit * len(keys)))
        start, end = (edge if given is None else given for edge, given in zip(buckets.ALWAYS, bounds, strict=True))
        grain_ns, origin_ns = (slots.width_ns, slots.origin_ns) if slots else (1, 0)
        found = pieces((start, end), days, rows, grain_ns, origin_ns)
        return reversed(found) if query.descending else iter(found)

    def _readings(self, query: HistoryQuery, keys: list[Key], bounds: Bounds) -> pa.Table:
        span, parameters = self.span(keys, *bounds)
        return self._handles.arrow(
            "SELECT thing, property, time, number, text, kind FROM readings FINAL "
            f"WHERE {span.within()} {order(query, keys)}",
            parameters,
        )


def _may_be_many(query: HistoryQuery, keys: list[Key]) -> bool:
    """Whether a span may have many more readings than are answered, or these are many: the engine would take memory for
    all of them."""
    start, end = query.span()
    end = query.now_ns if end is None else end
    if start is None or end is None or end - start > settings.QUICK_READINGS_NS_MAX:
        return True
    return query.limit * len(keys) > settings.QUICK_ROWS_MAX


def _slot_ns(start_ns: int | None, end_ns: int | None) -> int:
    """Dirty stretches are looked for within each hour, or, over long times, within each day."""
    if start_ns is None or end_ns is None or end_ns - start_ns > settings.DIRTY_BY_HOUR_NS_MAX:
        return settings.NS_PER_DAY
    return settings.NS_PER_HOUR


def order(query: HistoryQuery, keys: list[Key]) -> str:
    """Order and limit. One row more than the limit tells that there is a next page."""
    direction = "DESC" if query.descending else "ASC"
    if len(keys) == 1:
        return f"ORDER BY thing {direction}, property {direction}, time {direction} LIMIT {query.limit + 1}"
    return (
        f"ORDER BY thing, property, time {direction} LIMIT {query.limit + 1} BY thing, property "
        f"LIMIT {settings.ROWS_PER_QUERY_MAX + 1}"
    )
