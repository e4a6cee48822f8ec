"""Asks for what holding.py counts with: the readings of a part of a span, and the last ones before it."""

# ruff: noqa: S608 - statements are put together from constants and integers; values of others are bound parameters.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian import buckets, settings
from allthings.historian.asking import Asking
from allthings.historian.engine import Handles
from allthings.historian.errors import QueryLimitError
from allthings.historian.holding import Before, Floats, Holding, Rules, Times
from allthings.historian.paging import Key, one, split
from allthings.historian.query import HistoryQuery
from allthings.historian.stretches import Stretch
from allthings.things.times import TIME_NS_MAX
from allthings.things.types import Kind

Rows = npt.NDArray[np.bool_]
_TIME: Final = pa.timestamp("ns", tz="UTC")


class Held:
    """Answers `twa`, `increase` and `duration`, some buckets at a time."""

    def __init__(self, handles: Handles, asking: Asking) -> None:
        self._handles = handles
        self._asking = asking

    def answer(
        self,
        query: HistoryQuery,
        keys: list[Key],
        edges: Sequence[int],
        bounds: Stretch,
        readings: int,
        floors: Mapping[Key, int],
    ) -> dict[Key, pa.Table]:
        """Of each series `time`, the beginnings of the buckets between `edges` in which something held, and a column
        for each aggregate.

        Only what lies within `bounds` is counted; about so many readings do. Buckets that begin before a series' floor
        are left out.
        """
        names = [name for name in ("twa", "increase", "duration") if name in query.aggregates]
        rules = Rules(
            TIME_NS_MAX if query.now_ns is None else query.now_ns,
            query.hold_ns,
            query.rollover,
            query.state,
            "duration" in names,
        )
        cut = np.array(edges, np.int64)
        cut[0], cut[-1] = max(cut[0], bounds[0]), min(cut[-1], bounds[1])
        groups: dict[int, list[Key]] = {}
        for key in keys:
            groups.setdefault(int(np.searchsorted(cut, floors.get(key, int(cut[0])))), []).append(key)
        holding: dict[Key, tuple[int, Holding]] = {}
        for begin, group in groups.items():
            if begin < len(cut) - 1:
                before = self._before(group, int(cut[begin]), counters="increase" in names)
                for key in group:
                    holding[key] = begin, Holding(cut[begin:], before.get(key), rules)
        for part in self._parts(keys, bounds, readings):
            for key, table in split(self._readings(keys, part, texts=rules.states)):
                if key in holding:
                    begin, one_ = holding[key]
                    _take(key, one_, table, int(cut[begin]), rules)
        starts = np.array(edges[:-1], np.int64)
        return {key: _table(starts[begin:], one_, names, query.state) for key, (begin, one_) in holding.items()}

    def _before(self, keys: list[Key], end_ns: int, *, counters: bool) -> dict[Key, Before]:
        """The last reading of each series before a time."""
        span, parameters = self._asking.span(keys, None, end_ns, self._asking.dirty(keys, None, end_ns))
        table = self._handles.arrow(
            "SELECT thing, property, max(last_time) AS time, (argMax(last_value, last_time) AS newest).1 AS number, "
            "newest.2 AS text, newest.3 AS kind, sum(numbers) AS counted, maxIf(bucket, numbers > 0) AS counted_in "
            f"FROM ({span.partials(buckets.DAYS, settings.NS_PER_DAY)}) GROUP BY thing, property",
            parameters,
        )
        times, numbers = one(table, "time").cast(pa.int64()).to_pylist(), _floats(one(table, "number")).tolist()
        names = _states(table).to_pylist()
        found = {}
        for row in range(table.num_rows):
            key = table.column("thing")[row].as_py(), table.column("property")[row].as_py()
            counter = numbers[row]
            if counters and np.isnan(counter) and table.column("counted")[row].as_py():
                counter = self._last_number(key, table.column("counted_in")[row].value, end_ns)
            found[key] = Before(times[row], numbers[row], names[row], counter)
        return found

    def _last_number(self, key: Key, start_ns: int, end_ns: int) -> float:
        """The last number of a series within the day that begins at a time; NaN when it has expired."""
        span, parameters = self._asking.span([key], start_ns, min(end_ns, start_ns + settings.NS_PER_DAY))
        rows = self._handles.rows(
            f"SELECT argMax(number, time) FROM readings FINAL WHERE {span.within()} AND number IS NOT NULL "
            "HAVING count()",
            parameters,
        )
        return float(rows[0][0]) if rows else float("nan")

    def _parts(self, keys: list[Key], bounds: Stretch, readings: int) -> Iterator[Stretch]:
        """A span in parts with not too many readings, cut at hours."""
        start, end = bounds
        if readings > settings.HELD_ROWS_PER_PART:
            span, parameters = self._asking.span(keys, *bounds, self._asking.dirty(keys, *bounds))
            hour = buckets.bucket("bucket", settings.NS_PER_HOUR)
            rows = self._handles.rows(
                f"SELECT {hour} AS hour, sum(n) FROM ({span.partials(buckets.HOURS, settings.NS_PER_HOUR)}) "
                "GROUP BY hour ORDER BY hour",
                parameters,
            )
            counted = 0
            for begin, count in rows:
                if counted and counted + count > settings.HELD_ROWS_PER_PART:
                    yield start, begin
                    start, counted = begin, 0
                counted += count
        yield start, end

    def _readings(self, keys: list[Key], part: Stretch, *, texts: bool) -> pa.Table:
        span, parameters = self._asking.span(keys, *part)
        return self._handles.arrow(
            f"SELECT thing, property, time, number{', text, kind' if texts else ''} FROM readings FINAL "
            f"WHERE {span.within()} ORDER BY thing, property, time",
            parameters,
        )


def _take(key: Key, holding: Holding, table: pa.Table, begin_ns: int, rules: Rules) -> None:
    """Hand readings on. Raises QueryLimitError when there are too many states."""
    times: Times = one(table, "time").view(pa.int64()).to_numpy()
    known = table.slice(int(np.searchsorted(times, begin_ns)))
    times, numbers = times[len(times) - known.num_rows :], _floats(one(known, "number"))
    if not rules.states:
        holding.take(times, numbers)
        return
    encoded = _states(known).dictionary_encode()
    names, places = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    if rules.state is not None:
        place = names.index(rules.state).as_py()
        names, places = pa.array([rules.state]), np.where(places == place, 0, -1)
    if len(names) > settings.STATES_MAX:
        _refuse(key)
    holding.take(times, numbers, (places, names.to_pylist()))
    if len(holding.states) > settings.STATES_MAX:
        _refuse(key)


def _refuse(key: Key) -> None:
    raise QueryLimitError(
        f"{key[1]} of {key[0]} has more than {settings.STATES_MAX} different values: duration is for states; name one "
        "with `state`"
    )


def _states(table: pa.Table) -> pa.Array:
    """Values as names of states: texts as they are, all others as in JSON."""
    number, kind = one(table, "number"), one(table, "kind")
    boolean = pc.if_else(pc.equal(number, 1), "true", "false")
    other = pc.if_else(pc.equal(kind, int(Kind.BOOLEAN)), boolean, pc.cast(number, pa.string()))
    return pc.coalesce(one(table, "text").cast(pa.string()), other)


def _table(starts: Times, holding: Holding, names: Sequence[str], state: str | None) -> pa.Table:
    holding.finish()
    rows = (holding.held > 0) | (holding.readings > 0)
    columns: dict[str, pa.Array] = {"time": pa.array(starts[rows]).cast(_TIME)}
    for name in names:
        if name == "duration":
            columns[name] = _durations(holding, rows) if state is None else _duration(holding, rows, state)
        else:
            values = holding.time_weighted() if name == "twa" else holding.increase()
            columns[name] = pa.array(values[rows], from_pandas=True)
    return pa.table(columns)


def _duration(holding: Holding, rows: Rows, state: str) -> pa.Array:
    """The seconds of one state; null where nothing held."""
    of = holding.states.get(state, np.zeros(len(rows), np.int64))
    return pa.array((of / settings.NS_PER_SECOND)[rows], mask=holding.held[rows] == 0)


def _durations(holding: Holding, rows: Rows) -> pa.Array:
    """JSON objects: of each state that held in a bucket, the seconds; null where nothing held."""
    seconds = {name: (of[rows] / settings.NS_PER_SECOND).tolist() for name, of in holding.states.items()}
    objects = []
    for row, held in enumerate(holding.held[rows].tolist()):
        found = {name: _short(of[row]) for name, of in seconds.items() if of[row]}
        objects.append(msgspec.json.encode(found).decode() if held else None)
    return pa.array(objects, pa.string())


def _short(seconds: float) -> float | int:
    return int(seconds) if seconds.is_integer() else seconds


def _floats(array: pa.Array) -> Floats:
    return array.cast(pa.float64()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
