"""Answers of several series as tables, and their pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from allthings.historian import settings
from allthings.historian.aggregates import VALUES
from allthings.historian.errors import QueryLimitError
from allthings.historian.query import HistoryQuery, Series, make_token
from allthings.historian.values import JSON_METADATA, TYPES, columns_of, typed_names
from allthings.things.calendar import Grid

Key = tuple[str, str]


def in_order(table: pa.Table, *, descending: bool = False) -> pa.Table:
    """The rows of each series together, and by time."""
    table = table.combine_chunks()
    if not table.num_rows:
        return table
    thing, property_ = (one(table, name).dictionary_encode().indices.to_numpy() for name in ("thing", "property"))
    time = one(table, "time").view(pa.int64()).to_numpy()
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


def gathered(query: HistoryQuery, parts: Iterable[Mapping[Key, pa.Table]]) -> dict[Key, pa.Table]:
    """The rows of all parts of a span, in the order of the answer; at least until a series has more than the limit."""
    found: dict[Key, list[pa.Table]] = {}
    rows: dict[Key, int] = {}
    for part in parts:
        for key, table in part.items():
            found.setdefault(key, []).append(table)
            rows[key] = rows.get(key, 0) + table.num_rows
        if max(rows.values(), default=0) > query.limit or sum(rows.values()) > settings.ROWS_PER_QUERY_MAX:
            break
    return {key: pa.concat_tables(tables) for key, tables in found.items()}


def paged(query: HistoryQuery, keys: list[Key], tables: Mapping[Key, pa.Table]) -> list[Series]:
    """All series up to one time, the least at which one of them reached the limit."""
    if sum(table.num_rows for table in tables.values()) > settings.ROWS_PER_QUERY_MAX:
        raise QueryLimitError(
            f"the answer has more than {settings.ROWS_PER_QUERY_MAX} rows; ask for fewer series or a lower limit"
        )
    cuts = [table.column("time")[query.limit].value for table in tables.values() if table.num_rows > query.limit]
    token = None
    if cuts:
        bound = min(cuts) if not query.descending else _end(query, max(cuts))
        token = make_token(bound)
        tables = {key: _before(table, bound, query.descending) for key, table in tables.items()}
    return [Series(*key, _answered(tables.get(key), query), token) for key in keys]


def _end(query: HistoryQuery, time_ns: int) -> int:
    """The end of a row that begins at a time."""
    return Grid(query.every, query.zone).end(time_ns) if query.every else time_ns + 1


def _before(table: pa.Table, bound: int, descending: bool) -> pa.Table:
    times = table.column("time").combine_chunks().view(pa.int64()).to_numpy()
    rows = len(times) - int(np.searchsorted(times[::-1], bound)) if descending else int(np.searchsorted(times, bound))
    return table.slice(0, rows)


def _answered(table: pa.Table | None, query: HistoryQuery) -> pa.Table:
    """The columns that are answered, out of the ones that were read."""
    time = pa.field("time", pa.timestamp("ns", tz="UTC"))
    names = query.aggregates or ("value",)
    if table is None:
        return pa.schema([time, *_empty_fields(names, query)]).empty_table()
    fields, columns = [time], [_as(time.type, one(table, "time"))]
    for name in dict.fromkeys(names):
        for field, column in _answered_columns(table, name, query):
            fields.append(field)
            columns.append(column)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _empty_fields(names: Sequence[str], query: HistoryQuery) -> Iterator[pa.Field]:
    for name in dict.fromkeys(names):
        if query.typed and (name in VALUES or name == "value"):
            yield from map(pa.field, typed_names(name), TYPES)
        else:
            yield _field(name, query)


def _field(name: str, query: HistoryQuery) -> pa.Field:
    """The column of an aggregate that has one type."""
    if name == "count":
        return pa.field(name, pa.int64())
    if name == "duration" and query.state is None:
        return pa.field(name, pa.string(), metadata=JSON_METADATA)
    return pa.field(name, pa.float64())


def _answered_columns(table: pa.Table, name: str, query: HistoryQuery) -> list[tuple[pa.Field, pa.Array]]:
    if name == "value":
        value = (one(table, "number"), one(table, "text"), one(table, "kind"))
        return columns_of(name, *value, typed=query.typed)
    if name in VALUES:
        return columns_of(name, *one(table, name).flatten(), typed=query.typed)
    field = _field(name, query)
    column = _as(field.type, one(table, name))
    # A bucket in which a value only held has no readings.
    return [(field, column.fill_null(0) if name == "count" else column)]


def _as(kind: pa.DataType, column: pa.Array) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def one(table: pa.Table, name: str) -> pa.Array:
    """A column in one piece."""
    column = table.column(name)
    if column.num_chunks != 1:
        column = column.combine_chunks()
    return column if isinstance(column, pa.Array) else column.chunk(0)
