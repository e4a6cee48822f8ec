"""Points of a plot: so few that they can be drawn, so chosen that the curve keeps its shape.

Largest-Triangle-Three-Buckets (S. Steinarsson, Downsampling Time Series for Visual Representation, 2013). The points
are chosen among the readings, or, when these are many, among the first, least, greatest and last values of the
minutes, hours or days that the span has. In the latter case least and greatest are placed within their bucket, as
where in it they lie is not kept; it is less than a pixel.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values are bound parameters.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from allthings.historian import buckets, settings
from allthings.historian.asking import Asking
from allthings.historian.buckets import Dirty, Level
from allthings.historian.engine import Handles
from allthings.historian.paging import Key, in_order, split
from allthings.historian.query import HistoryQuery, Series
from allthings.historian.values import columns_of
from allthings.things.types import Kind

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
#: Numbers, texts and kinds.
Value = tuple[pa.Array, pa.Array, pa.Array]

_TIME: Final = pa.timestamp("ns", tz="UTC")


class Plotting:
    """Answers queries with `points`."""

    def __init__(self, handles: Handles, asking: Asking) -> None:
        self._handles = handles
        self._asking = asking

    def answer(self, query: HistoryQuery) -> list[Series]:
        """About `points` points of each series, `time` and `value`; see HistoryQuery."""
        keys = self._asking.keys(query.series)
        if not keys:
            return []
        points = query.points or 0
        dirty = self._asking.dirty(keys, query.start_ns, query.end_ns)
        sizes = self._sizes(query, keys, dirty)
        groups: dict[Level | None, list[Key]] = {}
        for key in keys:
            groups.setdefault(_source(*sizes.get(key, (0, 0))), []).append(key)
        found: dict[Key, pa.Table] = {}
        for level, group in groups.items():
            table = self._readings(query, group) if level is None else self._rolled_up(query, group, level, dirty)
            found.update(
                (key, _chosen(rows, points, rolled_up=level is not None, typed=query.typed))
                for key, rows in split(table)
            )
        empty = _table(np.zeros(0, np.int64), _numbers(np.zeros(0)), typed=query.typed)
        return [Series(*key, found.get(key, empty)) for key in keys]

    def _sizes(self, query: HistoryQuery, keys: list[Key], dirty: Dirty | None) -> dict[Key, tuple[int, int]]:
        """Of each series, the number of readings and the length of time (ns) from the first to the last."""
        span, parameters = self._asking.span(keys, query.start_ns, query.end_ns, dirty)
        rows = self._handles.rows(
            "SELECT thing, property, sum(n), toInt64(dateDiff('s', min(first_time), max(last_time))) "
            f"FROM ({span.partials(buckets.DAYS, settings.NS_PER_DAY)}) GROUP BY thing, property",
            parameters,
        )
        return {(thing, name): (n, seconds * 1_000_000_000) for thing, name, n, seconds in rows}

    def _readings(self, query: HistoryQuery, keys: list[Key]) -> pa.Table:
        span, parameters = self._asking.span(keys, query.start_ns, query.end_ns)
        return self._handles.arrow(
            "SELECT thing, property, time, number, text, kind FROM readings FINAL "
            f"WHERE {span.within()} ORDER BY thing, property, time",
            parameters,
        )

    def _rolled_up(self, query: HistoryQuery, keys: list[Key], level: Level, dirty: Dirty | None) -> pa.Table:
        span, parameters = self._asking.span(keys, query.start_ns, query.end_ns, dirty)
        table = self._handles.arrow(
            f"SELECT thing, property, {buckets.bucket('bucket', level.every_ns)} AS time, "
            "min(first_time) AS since, argMin(first_value, first_time) AS first, min(low) AS least, "
            "max(high) AS most, max(last_time) AS until, argMax(last_value, last_time) AS last "
            f"FROM ({span.partials(level, level.every_ns)}) GROUP BY thing, property, time",
            parameters,
        )
        return in_order(table)


def _source(readings: int, length_ns: int) -> Level | None:
    """What a plot is made of: the readings, or the finest rollup with few enough rows."""
    if readings <= settings.PLOT_ROWS_MAX:
        return None
    for level in buckets.LEVELS:
        if min(readings, length_ns // level.every_ns) <= settings.PLOT_ROWS_MAX:
            return level
    return buckets.DAYS


def _chosen(table: pa.Table, points: int, *, rolled_up: bool, typed: bool) -> pa.Table:
    table = table.combine_chunks()
    if not rolled_up:
        value = tuple(_array(table, name) for name in ("number", "text", "kind"))
        times = _array(table, "time").view(pa.int64()).to_numpy()
        rows = largest_triangles(times, _floats(value[0]), points)
        return _table(times[rows], _taken(value, rows), typed=typed)
    first, last = _array(table, "first").flatten(), _array(table, "last").flatten()
    if _array(table, "least").null_count == len(table):
        # Nothing to draw: strings, JSON. One value of each bucket, evenly.
        rows = np.unique(np.linspace(0, table.num_rows - 1, min(points, table.num_rows)).astype(np.int64))
        times = _array(table, "until").view(pa.int64()).to_numpy()
        return _table(times[rows], _taken(last, rows), typed=typed)
    times, values = _expanded(table, _floats(first[0]), _floats(last[0]))
    rows = largest_triangles(times, values, points)
    return _table(times[rows], _numbers(values[rows]), typed=typed)


def _expanded(table: pa.Table, first: Floats, last: Floats) -> tuple[Times, Floats]:
    """First, least, greatest and last of each bucket as points, in order of time."""
    begin = _array(table, "since").view(pa.int64()).to_numpy()
    end = _array(table, "until").view(pa.int64()).to_numpy()
    third = (end - begin) // 3
    times = np.stack([begin, begin + third, end - third, end], axis=1).ravel()
    values = np.stack([first, _floats(_array(table, "least")), _floats(_array(table, "most")), last], axis=1).ravel()
    keep = ~np.isnan(values)
    keep[1:] &= times[1:] != times[:-1]
    return times[keep], values[keep]


def largest_triangles(times: Times, values: Floats, points: int) -> npt.NDArray[np.int64]:
    """The rows to keep of a curve; the first and the last are always among them. `times` are sorted."""
    if len(times) <= points:
        return np.arange(len(times))
    x = (times - times[0]).astype(np.float64)
    y = np.nan_to_num(values)
    edges = np.linspace(1, len(x) - 1, points - 1).astype(np.int64)
    sums_x, sums_y = np.concatenate(([0.0], x.cumsum())), np.concatenate(([0.0], y.cumsum()))
    chosen = np.empty(points, np.int64)
    chosen[0], chosen[-1] = 0, len(x) - 1
    at = 0
    for i in range(points - 2):
        start, end = edges[i], edges[i + 1]
        after = edges[i + 2] if i + 2 < len(edges) else len(x)
        next_x, next_y = (
            ((sums[after] - sums[end]) / (after - end) if after > end else last)
            for sums, last in ((sums_x, x[-1]), (sums_y, y[-1]))
        )
        area = np.abs((x[at] - next_x) * (y[start:end] - y[at]) - (x[at] - x[start:end]) * (next_y - y[at]))
        at = int(start + area.argmax())
        chosen[i + 1] = at
    return chosen


def _table(times: Times, value: Value, *, typed: bool) -> pa.Table:
    fields, columns = zip(*columns_of("value", *value, typed=typed), strict=True)
    return pa.Table.from_arrays(
        [pa.array(times).cast(_TIME), *columns], schema=pa.schema([pa.field("time", _TIME), *fields])
    )


def _taken(value: Iterable[pa.Array], rows: npt.NDArray[np.int64]) -> Value:
    number, text, kind = (part.take(pa.array(rows)) for part in value)
    return number, text, kind


def _numbers(values: Floats) -> Value:
    return pa.array(values), pa.nulls(len(values), pa.string()), pa.array(np.full(len(values), Kind.NUMBER, np.uint8))


def _array(table: pa.Table, name: str) -> Any:
    column = table.column(name).combine_chunks()
    return column if isinstance(column, pa.Array) else column.chunk(0)


def _floats(array: pa.Array) -> Floats:
    return array.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
