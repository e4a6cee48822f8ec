"""Rollups against a model in plain Python, under everything that can happen to readings."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import T0, Row, S, decoded, end_of, ns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allthings.historian.history import History
from allthings.historian.query import AGGREGATES, HistoryQuery
from allthings.historian.values import json_values

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
Model = dict[tuple[str, str], dict[int, Any]]


def aggregate(values: list[tuple[int, Any]]) -> dict[str, Any]:
    """What the aggregates of a bucket have to be; values are sorted by time."""
    numbers = [float(value) for _, value in values if isinstance(value, int | float)]
    return {
        "avg": sum(numbers) / len(numbers) if numbers else None,
        "min": min(numbers, default=None),
        "max": max(numbers, default=None),
        "sum": sum(numbers) if numbers else None,
        "count": len(values),
        "first": values[0][1],
        "last": values[-1][1],
    }


def expected(
    readings: dict[int, Any], every: int | None, start: int | None, end: int | None
) -> dict[int | None, dict[str, Any]]:
    slots: dict[int | None, list[tuple[int, Any]]] = {}
    for time in sorted(readings):
        if (start is None or time >= start) and (end is None or time < end):
            slots.setdefault(time // every * every if every else None, []).append((time, readings[time]))
    return {slot: aggregate(values) for slot, values in slots.items()}


def check(history: History, model: Model, every: int | None, start: int | None, end: int | None) -> None:
    query = HistoryQuery(tuple(model), start, end, every, AGGREGATES)
    for series in history.history(query):
        want = expected(model[series.thing, series.property], every, start, end)
        times = ns(series.table.column("time"))
        got = {
            time if every else None: dict(zip(AGGREGATES, row, strict=True))
            for time, *row in zip(times, *(_values(series.table, name) for name in AGGREGATES), strict=True)
        }
        assert got == want, (series.thing, series.property, every, start, end)


def _values(table: Any, name: str) -> list[Any]:
    import msgspec

    return [
        msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value for value in json_values(table, name)
    ]


def check_all(history: History, model: Model, start: int | None, end: int | None) -> None:
    for every in (20 * S, MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, None):
        check(history, model, every, start, end)
    raw = history.history(HistoryQuery(tuple(model), start, end))
    for series in raw:
        readings = model[series.thing, series.property]
        want = [
            (time, readings[time])
            for time in sorted(readings)
            if (start is None or time >= start) and (end is None or time < end)
        ]
        assert list(zip(ns(series.table.column("time")), _values(series.table, "value"), strict=True)) == want
    rows = history.current().to_pylist()
    newest = {(row["thing"], row["property"]): row["time"].value for row in rows}
    assert newest == {key: max(readings) for key, readings in model.items() if readings}
    for row in rows:
        value = model[row["thing"], row["property"]][row["time"].value]
        assert (row["number"] if row["text"] is None else row["text"]) == value


SERIES = [("a", "x"), ("a", "y"), ("b", "x")]
#: Few distinct times, at the edges of buckets of all sizes, so that corrections and neighbours are common.
TIMES = sorted(
    {
        T0 + day * DAY + hour * HOUR + minute * MINUTE + second * S + nano
        for day in (-20_600, -1, 0, 1, 40)
        for hour in (0, 13)
        for minute in (0, 7)
        for second in (0, 59)
        for nano in (0, 999_999_999)
    }
)
VALUES = st.one_of(st.integers(-1000, 1000).map(lambda n: n / 8), st.sampled_from(["on", "off"]))
ROWS = st.lists(st.tuples(st.sampled_from(SERIES), st.sampled_from(TIMES), VALUES), min_size=1, max_size=12)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), ROWS),
        st.tuples(st.just("again"), st.integers(0, 5)),
        st.tuples(st.just("rollup"), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=ACTIONS, bounds=st.lists(st.sampled_from(TIMES), min_size=0, max_size=2))
def test_rollups_equal_readings(history: History, actions: list[tuple[str, Any]], bounds: list[int]) -> None:
    """After any mix of inserts, replays and rollups, each form of a question has the model's answer."""
    for table in ("readings", "readings_1m", "readings_1h", "readings_1d", "latest", "progress"):
        history._engine.work.run(f"TRUNCATE TABLE {table}")
    model: Model = {key: {} for key in SERIES}
    blocks = []
    for action, argument in actions:
        if action == "insert":
            block: dict[tuple[str, str, int], Row] = {}
            for (thing, name), time, value in argument:
                block[thing, name, time] = (thing, name, time, value)
                model[thing, name][time] = value
            blocks.append(decoded(len(blocks) + 1, list(block.values())))
            history.insert([blocks[-1]])
        elif action == "again" and blocks:
            history.insert(blocks[-1 - argument % len(blocks) :])
        elif action == "rollup":
            history.rollup(end_of(max(0, len(blocks) - argument)))
    low, high = [*sorted(bounds), None, None][:2] if bounds else (None, None)
    check_all(history, model, low, high)
    check_all(history, model, None, None)


def test_a_step_that_was_cut_off_is_done_again(history: History) -> None:
    """Wherever a rollup stops, the next one makes everything right, and answers are right in between."""
    model: Model = {("a", "x"): {T0 + i * 7 * S: float(i) for i in range(500)}}
    history.insert([decoded(1, [("a", "x", time, value) for time, value in model["a", "x"].items()])])
    history.rollup(end_of(1))
    model["a", "x"][T0 + 70 * S] = -5.0
    model["a", "x"][T0 + DAY] = 1.0
    history.insert([decoded(2, [("a", "x", T0 + 70 * S, -5.0), ("a", "x", T0 + DAY, 1.0)])])
    work = history._engine.work
    real = work.run
    for stop in range(5):
        calls = iter(range(stop))

        def run(statement: str, parameters: Any = None, calls: Any = calls) -> None:
            if next(calls, None) is None:
                raise OSError("cut off")
            real(statement, parameters)

        work.run = run  # type: ignore[method-assign]
        with pytest.raises(OSError, match="cut off"):
            history.rollup(end_of(2))
        work.run = real  # type: ignore[method-assign]
        check_all(history, model, None, None)
    report = history.rollup(end_of(2))
    assert (report.readings, report.steps, report.position) == (2, 1, end_of(2))
    check_all(history, model, None, None)
    assert history.rollup(end_of(2)).steps == 0


def test_a_large_backlog_is_rolled_up_in_steps(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.historian.settings.ROLLUP_STEP_ROWS", 100)
    model: Model = {("a", "x"): {}}
    for sequence in range(1, 11):
        rows = [("a", "x", T0 + (sequence * 50 + i) * 11 * S, float(i)) for i in range(50)]
        model["a", "x"].update({time: value for _, _, time, value in rows})
        history.insert([decoded(sequence, rows)])
    report = history.rollup(end_of(10))
    assert (report.readings, report.steps) == (500, 5)
    check_all(history, model, None, None)
