"""Answers to HistoryQuery: readings, aggregates, pages."""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from allthings.historian import buckets, settings
from allthings.historian.buckets import Dirty, Span
from allthings.historian.engine import Handles
from allthings.historian.errors import QueryLimitError
from allthings.historian.query import HistoryQuery, Series, make_token
from allthings.historian.stretches import joined
from allthings.historian.unrolled import Unrolled
from allthings.historian.values import TYPES, columns_of, typed_names
from allthings.things.times import TIME_NS_MIN

Key = tuple[str, str]

_AGGREGATE_SQL: Final = {
    "avg": "sum(total) / sum(numbers)",
    "min": "min(low)",
    "max": "max(high)",
    "sum": "sum(total)",
    "count": "sum(n)",
    "first": "argMin(first_value, first_time)",
    "last": "argMax(last_value, last_time)",
}
_VALUES: Final = frozenset({"first", "last"})


class Asking:
    """Answers queries. `floors` says whether any reading has expired yet.

    `unrolled` is given where all that is inserted passes through this process.
    """

    def __init__(self, handles: Handles, floors: Callable[[], bool], unrolled: Unrolled | None) -> None:
        self._handles = handles
        self._floors = floors
        self._unrolled = unrolled

    def answer(self, query: HistoryQuery) -> list[Series]:
        """The readings or aggregates of each series, in the order asked; see HistoryQuery."""
        keys = self.keys(query.series)
        if not keys:
            return []
        table = self._aggregates(query, keys) if query.aggregates else self._readings(query, keys)
        if table.num_rows > settings.ROWS_PER_QUERY_MAX:
            raise QueryLimitError(
                f"the answer has more than {settings.ROWS_PER_QUERY_MAX} rows; ask for fewer series or a lower limit"
            )
        return _pages(query, keys, dict(split(table)))

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

    def _readings(self, query: HistoryQuery, keys: list[Key]) -> pa.Table:
        span, parameters = self.span(keys, *query.span())
        return self._handles.arrow(
            "SELECT thing, property, time, number, text, kind FROM readings FINAL "
            f"WHERE {span.within()} {_order(query, keys)}",
            parameters,
        )

    def _aggregates(self, query: HistoryQuery, keys: list[Key]) -> pa.Table:
        span, parameters = self.span(keys, *query.span(), self.dirty(keys, *query.span()))
        columns = ", ".join(f"{_AGGREGATE_SQL[name]} AS {name}" for name in dict.fromkeys(query.aggregates))
        every = query.every_ns
        if every is None:
            partials = span.partials(buckets.DAYS, settings.NS_PER_DAY)
            start = query.start_ns if query.start_ns is not None else TIME_NS_MIN
            slot = f"any({buckets.instant(start)})" if query.start_ns is not None else "min(first_time)"
            group = "thing, property"
        else:
            partials = span.partials(buckets.fitting_level(every), every)
            slot, group = buckets.bucket("bucket", every), "thing, property, time"
        statement = f"SELECT thing, property, {slot} AS time, {columns} FROM ({partials}) GROUP BY {group}"
        if _is_small(query, keys):
            return in_order(self._handles.arrow(statement, parameters), descending=query.descending)
        return self._handles.arrow(f"{statement} {_order(query, keys)}", parameters)


def _slot_ns(start_ns: int | None, end_ns: int | None) -> int:
    """Dirty stretches are looked for within each hour, or, over long times, within each day."""
    if start_ns is None or end_ns is None or end_ns - start_ns > settings.DIRTY_BY_HOUR_NS_MAX:
        return settings.NS_PER_DAY
    return settings.NS_PER_HOUR


def _order(query: HistoryQuery, keys: list[Key]) -> str:
    """Order and limit. One row more than the limit tells that there is a next page."""
    direction = "DESC" if query.descending else "ASC"
    if len(keys) == 1:
        return f"ORDER BY thing {direction}, property {direction}, time {direction} LIMIT {query.limit + 1}"
    return (
        f"ORDER BY thing, property, time {direction} LIMIT {query.limit + 1} BY thing, property "
        f"LIMIT {settings.ROWS_PER_QUERY_MAX + 1}"
    )


def _is_small(query: HistoryQuery, keys: list[Key]) -> bool:
    """Whether the answer has so few buckets that no limit is reached, and that they are better sorted here: the engine
    takes a fifth of the time of a chart for order and limit."""
    start, end = query.span()
    if query.every_ns is None:
        buckets_max = 1
    elif start is None or end is None:
        return False
    else:
        buckets_max = (end - start) // query.every_ns + 2
    return buckets_max <= query.limit and buckets_max * len(keys) <= settings.SORTED_HERE_ROWS_MAX


def in_order(table: pa.Table, *, descending: bool = False) -> pa.Table:
    """The rows of each series together, and by time."""
    table = table.combine_chunks()
    if not table.num_rows:
        return table
    thing, property_ = (_one(table, name).dictionary_encode().indices.to_numpy() for name in ("thing", "property"))
    time = _one(table, "time").view(pa.int64()).to_numpy()
    return table.take(pa.array(np.lexsort((-time if descending else time, property_, thing))))


def split(table: pa.Table) -> Iterator[tuple[Key, pa.Table]]:
    """The rows of each series, of a table sorted by thing and property; without those two columns."""
    table = table.combine_chunks()
    if not table.num_rows:
        return
    changes = {0}
    for name in ("thing", "property"):
        codes = table.column(name).combine_chunks().dictionary_encode().indices.to_numpy()
        changes.update((np.flatnonzero(np.diff(codes)) + 1).tolist())
    starts = sorted(changes)
    rest = table.drop_columns(["thing", "property"])
    for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
        key = table.column("thing")[start].as_py(), table.column("property")[start].as_py()
        yield key, rest.slice(start, end - start)


def _pages(query: HistoryQuery, keys: list[Key], tables: dict[Key, pa.Table]) -> list[Series]:
    """All series up to one time, the least at which one of them reached the limit."""
    cuts = [table.column("time")[query.limit].value for table in tables.values() if table.num_rows > query.limit]
    token = None
    if cuts:
        bound = max(cuts) + (query.every_ns or 1) if query.descending else min(cuts)
        token = make_token(bound)
        tables = {key: _before(table, bound, query.descending) for key, table in tables.items()}
    return [Series(*key, _answered(tables.get(key), query), token) for key in keys]


def _before(table: pa.Table, bound: int, descending: bool) -> pa.Table:
    times = table.column("time").combine_chunks().view(pa.int64()).to_numpy()
    rows = len(times) - int(np.searchsorted(times[::-1], bound)) if descending else int(np.searchsorted(times, bound))
    return table.slice(0, rows)


def _answered(table: pa.Table | None, query: HistoryQuery) -> pa.Table:
    """The columns that are answered, out of the ones that were read."""
    time = pa.field("time", pa.timestamp("ns", tz="UTC"))
    names = query.aggregates or ("value",)
    if table is None:
        return pa.schema([time, *_empty_fields(names, query.typed)]).empty_table()
    fields, columns = [time], [_as(time.type, _one(table, "time"))]
    for name in dict.fromkeys(names):
        for field, column in _answered_columns(table, name, query.typed):
            fields.append(field)
            columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _empty_fields(names: tuple[str, ...], typed: bool) -> Iterator[pa.Field]:
    for name in dict.fromkeys(names):
        if typed and (name in _VALUES or name == "value"):
            yield from map(pa.field, typed_names(name), TYPES)
        else:
            yield pa.field(name, pa.int64() if name == "count" else pa.float64())


def _answered_columns(table: pa.Table, name: str, typed: bool) -> list[tuple[pa.Field, pa.Array]]:
    if name == "value":
        value = (_one(table, "number"), _one(table, "text"), _one(table, "kind"))
        return columns_of(name, *value, typed=typed)
    if name in _VALUES:
        return columns_of(name, *_one(table, name).flatten(), typed=typed)
    type_ = pa.int64() if name == "count" else pa.float64()
    return [(pa.field(name, type_), _as(type_, _one(table, name)))]


def _as(kind: pa.DataType, column: pa.Array) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def _one(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    if column.num_chunks != 1:
        column = column.combine_chunks()
    return column if isinstance(column, pa.Array) else column.chunk(0)
