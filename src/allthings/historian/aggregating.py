"""Aggregates of series, in buckets or over a whole span.

What the rollups hold comes from them (`buckets.py`), percentiles and the like from the readings, and how long values
held from `held.py`. Where buckets are equally long, one statement answers. Days that are longer or shorter than
others, months, and held values are answered some buckets at a time, until there are as many rows as were asked for.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian import buckets, settings
from allthings.historian.aggregates import HELD, ROLLED, spread
from allthings.historian.asking import Asking, order
from allthings.historian.buckets import Slots
from allthings.historian.engine import Handles
from allthings.historian.errors import QueryLimitError
from allthings.historian.held import Held
from allthings.historian.paging import Key, gathered, in_order, one, paged, split
from allthings.historian.query import HistoryQuery, Series
from allthings.things.calendar import Every, Grid

Tables = dict[Key, pa.Table]


class _Part(NamedTuple):
    """A part of the span that is answered at once. `slots` None: it is one bucket. `edges`, where they are known."""

    start_ns: int | None
    end_ns: int | None
    slots: Slots | None
    edges: Sequence[int] = ()


class Aggregating:
    """Answers queries with `aggregates`."""

    def __init__(self, handles: Handles, asking: Asking) -> None:
        self._handles = handles
        self._asking = asking
        self._held = Held(handles, asking)

    def answer(self, query: HistoryQuery) -> list[Series]:
        """The aggregates of each series, in the order asked; see HistoryQuery."""
        keys = self._asking.keys(query.series)
        if not keys:
            return []
        held = any(name in HELD for name in query.aggregates)
        start, end = query.span()
        if query.every is None:
            if held and None in (start, end):
                start, end = self._extent(query, keys)
            parts = iter([_Part(start, end, None, (start, end) if start is not None and end is not None else ())])
            return paged(query, keys, self._gathered(query, keys, parts))
        grid = Grid(query.every, query.zone)
        if (held or grid.fixed(start, end) is None) and _is_long(start, end, grid.every):
            start, end = self._extent(query, keys)
        fixed = grid.fixed(start, end)
        if fixed is not None and not held:
            parts = self._equal(query, keys, _Part(start, end, Slots.equal(*fixed)))
        elif start is None or end is None or start >= end:
            parts = iter([])
        else:
            parts = _parts(grid, start, end, len(keys), descending=query.descending)
        return paged(query, keys, self._gathered(query, keys, parts))

    def _extent(self, query: HistoryQuery, keys: list[Key]) -> tuple[int | None, int | None]:
        """The span as far as it has readings, or, for values that are held, from the first on to the present."""
        start, end = query.span()
        span, parameters = self._asking.span(keys, None, end, self._asking.dirty(keys, None, end))
        ((readings, first, last),) = self._handles.rows(
            f"SELECT sum(n), min(first_time), max(last_time) FROM ({span.partials(buckets.DAYS, settings.NS_PER_DAY)})",
            parameters,
        )
        if not readings:
            return start, start
        first = first if start is None else max(start, first)
        if end is None:
            end = max(last + 1, query.now_ns or 0) if any(name in HELD for name in query.aggregates) else last + 1
        return first, end

    def _gathered(self, query: HistoryQuery, keys: list[Key], parts: Iterator[_Part]) -> Tables:
        return gathered(query, (self._part(query, keys, part) for part in parts))

    def _equal(self, query: HistoryQuery, keys: list[Key], whole: _Part) -> Iterator[_Part]:
        """A span of equal buckets: at once, or, where these may be many, in pieces."""
        if whole.slots is None or not self._asking.in_pieces or _is_small(query, keys, whole):
            return iter([whole])
        pieces = self._asking.pieces(query, keys, (whole.start_ns, whole.end_ns), whole.slots)
        return (whole._replace(start_ns=start, end_ns=end) for start, end in pieces)

    def _part(self, query: HistoryQuery, keys: list[Key], part: _Part) -> Tables:
        held = [name for name in query.aggregates if name in HELD]
        if held and not part.edges:
            return {}  # there are no readings
        rolled = self._rolled(query, keys, part)
        tables, empty = dict(split(rolled)), rolled.schema.empty_table().drop_columns(["thing", "property"])
        spreads = {name: sql for name in query.aggregates if (sql := spread(name))}
        floors = self._asking.floors(keys) if held or spreads else {}
        if spreads:
            more = dict(split(self._spread(query, keys, part, spreads)))
            for key, table in tables.items():
                tables[key] = _with(table, _known(more.get(key), floors.get(key), part), spreads)
            empty = _with(empty, None, spreads)
        if held:
            readings = sum(int(pc.sum(table.column("readings")).as_py()) for table in tables.values())
            bounds = (
                part.edges[0] if part.start_ns is None else part.start_ns,
                part.edges[-1] if part.end_ns is None else part.end_ns,
            )
            for key, table in self._held.answer(query, keys, part.edges, bounds, readings, floors).items():
                if part.slots is None and key in tables and table.num_rows:
                    table = table.set_column(0, "time", tables[key].column("time"))
                tables[key] = _with_all(tables.get(key, empty), table, held)
        if query.descending and part.edges:
            tables = {key: table.sort_by([("time", "descending")]) for key, table in tables.items()}
        return tables

    def _rolled(self, query: HistoryQuery, keys: list[Key], part: _Part) -> pa.Table:
        """What comes of rollups, and `readings`, their number."""
        span, parameters = self._asking.span(
            keys, part.start_ns, part.end_ns, self._asking.dirty(keys, part.start_ns, part.end_ns)
        )
        columns = ", ".join(f"{ROLLED[name]} AS {name}" for name in dict.fromkeys(query.aggregates) if name in ROLLED)
        if part.slots is None:
            partials, group = span.partials(buckets.DAYS, settings.NS_PER_DAY), "thing, property"
            slot = "min(first_time)" if query.start_ns is None else f"any({buckets.instant(query.start_ns)})"
        else:
            grain = part.slots.grain_ns
            partials, group = span.partials(buckets.fitting_level(grain), grain), "thing, property, time"
            slot = part.slots.of("bucket")
        statement = (
            f"SELECT thing, property, {slot} AS time, {columns}{', ' if columns else ''}sum(n) AS readings "
            f"FROM ({partials}) GROUP BY {group}"
        )
        return self._ordered(query, keys, part, statement, parameters)

    def _spread(self, query: HistoryQuery, keys: list[Key], part: _Part, spreads: dict[str, str]) -> pa.Table:
        """What comes of the readings themselves."""
        span, parameters = self._asking.span(keys, part.start_ns, part.end_ns)
        columns = ", ".join(f"{sql} AS {name}" for name, sql in spreads.items())
        if part.slots is None:
            start = f"any({buckets.instant(query.start_ns)})" if query.start_ns is not None else "min(time)"
            slot, group = start, "thing, property"
        else:
            slot, group = part.slots.of("time"), "thing, property, slot"
        statement = (
            f"SELECT thing, property, slot AS time, {', '.join(spreads)} FROM ("
            f"SELECT thing, property, {slot} AS slot, {columns} FROM readings FINAL "
            f"WHERE {span.within()} GROUP BY {group})"
        )
        return self._ordered(query, keys, part, statement, parameters)

    def _ordered(
        self, query: HistoryQuery, keys: list[Key], part: _Part, statement: str, parameters: dict[str, Any]
    ) -> pa.Table:
        """The rows by series and time, and of each no more than are needed."""
        if part.edges or _is_small(query, keys, part):
            descending = query.descending and not part.edges
            return in_order(self._handles.arrow(statement, parameters), descending=descending)
        return self._handles.arrow(f"{statement} {order(query, keys)}", parameters)


def _is_small(query: HistoryQuery, keys: list[Key], part: _Part) -> bool:
    """Whether the answer has so few buckets that no limit is reached, and that they are better sorted here: the engine
    takes a fifth of the time of a chart for order and limit."""
    if part.slots is None:
        buckets_max = 1
    elif part.start_ns is None or part.end_ns is None:
        return False
    else:
        buckets_max = (part.end_ns - part.start_ns) // part.slots.width_ns + 2
    return buckets_max <= query.limit and buckets_max * len(keys) <= settings.SORTED_HERE_ROWS_MAX


def _is_long(start_ns: int | None, end_ns: int | None, every: Every) -> bool:
    """Whether a span is not known to be done in one part, so that it is better to know where its readings lie."""
    return start_ns is None or end_ns is None or end_ns - start_ns > settings.SLOTS_PER_PART * every.nominal_ns


def _parts(grid: Grid, start_ns: int, end_ns: int, series: int, *, descending: bool) -> Iterator[_Part]:
    """A span in parts of whole buckets. Raises QueryLimitError."""
    count = max(1, min(settings.SLOTS_PER_PART, settings.SLOT_ROWS_PER_PART // series))
    step = count * grid.every.nominal_ns
    if (end_ns - start_ns) // grid.every.nominal_ns > settings.SLOTS_MAX:
        raise QueryLimitError(
            f"the span has more than {settings.SLOTS_MAX:,} buckets; ask for a shorter one or for longer buckets"
        )
    fixed = grid.fixed(start_ns, end_ns)
    while start_ns < end_ns:
        if descending:
            edges = grid.edges(max(start_ns, end_ns - step), end_ns)
        else:
            edges = grid.edges(start_ns, min(end_ns, start_ns + step))
        slots = Slots.equal(*fixed) if fixed else Slots.between(edges)
        yield _Part(max(start_ns, edges[0]), min(end_ns, edges[-1]), slots, edges)
        if descending:
            end_ns = edges[0]
        else:
            start_ns = edges[-1]


def _known(table: pa.Table | None, floor_ns: int | None, part: _Part) -> pa.Table | None:
    """The rows of buckets that no reading has expired of."""
    if table is None or floor_ns is None or (part.start_ns is not None and part.start_ns >= floor_ns):
        return table
    if part.slots is None:
        return None
    return table.filter(pa.array(one(table, "time").view(pa.int64()).to_numpy() >= floor_ns))


def _at(table: pa.Table, times: pa.Array) -> pa.Table:
    """The rows of a table at these times, of nulls where it has none."""
    places = pc.index_in(times, value_set=one(table, "time"))
    return table.take(places).set_column(table.schema.get_field_index("time"), "time", times)


def _with(table: pa.Table, more: pa.Table | None, names: Iterable[str]) -> pa.Table:
    """A table with columns of another one, by time."""
    found = None if more is None else _at(more, one(table, "time"))
    for name in names:
        column = pa.nulls(table.num_rows, pa.float64()) if found is None else found.column(name)
        table = table.append_column(name, column)
    return table


def _with_all(table: pa.Table, more: pa.Table, names: Iterable[str]) -> pa.Table:
    """The same, with the rows of both."""
    times = pc.unique(pa.concat_arrays([one(table, "time"), one(more, "time")]))
    return _with(_at(table, times.take(pc.array_sort_indices(times))), more, names)
