"""Rollups against a model in plain Python, under everything that can happen to readings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from allthings.historian.aggregates import ROLLED
from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.historian.values import json_values
from allthings.things.calendar import Every
from tests.historian.blocks import T0, Row, S, decoded, end_of, ns
from tests.historian.cutting import rolled_up

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
    query = HistoryQuery(tuple(model), start, end, Every(every) if every else None, tuple(ROLLED))
    for series in history.history(query):
        want = expected(model[series.thing, series.property], every, start, end)
        times = ns(series.table.column("time"))
        got = {
            time if every else None: dict(zip(ROLLED, row, strict=True))
            for time, *row in zip(times, *(_values(series.table, name) for name in ROLLED), strict=True)
        }
        assert got == want, (series.thing, series.property, every, start, end)


def _values(table: Any, name: str) -> list[Any]:
    import msgspec

    return [
        msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value for value in json_values(table, name)
    ]


ALL: tuple[int | None, ...] = (20 * S, MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, None)


def check_all(
    history: History, model: Model, start: int | None, end: int | None, everies: tuple[int | None, ...] = ALL
) -> None:
    for every in everies:
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
TIMES = [
    T0 + day * DAY + offset
    for day in (-20_600, 0, 40)
    for offset in (-1, 0, 59 * S, MINUTE - 1, MINUTE, 13 * HOUR + 7 * MINUTE)
]
VALUES = st.one_of(st.integers(-1000, 1000).map(lambda n: n / 8), st.sampled_from(["on", "off"]))
ROWS = st.lists(st.tuples(st.sampled_from(SERIES), st.sampled_from(TIMES), VALUES), min_size=1, max_size=8)
#: Blocks; after each perhaps some of the last ones once more, and perhaps a rollup, up to a block or two before.
ACTIONS = st.lists(
    st.tuples(
        ROWS,
        st.one_of(st.none(), st.integers(0, 5)),
        st.one_of(st.none(), st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.booleans())),
    ),
    min_size=2,
    max_size=5,
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    actions=ACTIONS,
    bounds=st.lists(st.sampled_from(TIMES), max_size=2),
    everies=st.tuples(st.sampled_from(ALL), st.sampled_from(ALL)),
    stretches=st.sampled_from([1, 16]),
    known=st.booleans(),
    rows=st.sampled_from([5, 1_000, 1_000]),
)
@example(
    # Late readings in several minutes that have some already.
    actions=[
        ([(SERIES[0], T0 + at, 1.0) for at in (0, MINUTE, 5 * MINUTE)], None, (0, True)),
        ([(SERIES[0], T0 + at + 30 * S, 2.0) for at in (0, MINUTE)], None, (0, True)),
    ],
    bounds=[],
    everies=(MINUTE, DAY),
    stretches=16,
    known=False,
    rows=1,
)
def test_rollups_equal_readings(
    history: History,
    actions: list[tuple[Any, ...]],
    bounds: list[int],
    everies: tuple[int | None, ...],
    stretches: int,
    known: bool,
    rows: int,
) -> None:
    """After any mix of inserts, replays and rollups, each form of a question has the model's answer.

    Whether dirty buckets are told as many stretches of time or as one, and are known or looked for, and whether the
    answer is made in pieces.
    """
    with pytest.MonkeyPatch.context() as patch:
        in_pieces(patch, rows)
        patch.setattr("allthings.historian.settings.DIRTY_STRETCHES_MAX", stretches)
        if not known:
            patch.setattr("allthings.historian.unrolled.Unrolled.dirty", lambda *_: None)
        _act_and_check(history, actions, bounds, everies)


def in_pieces(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Let answers be made in pieces of so many rows."""
    for name, value in (("PIECE_ROWS_MAX", rows), ("PIECE_ROWS_MIN", rows), ("SORTED_HERE_ROWS_MAX", 0)):
        patch.setattr(f"allthings.historian.settings.{name}", value)


def emptied(history: History) -> None:
    """Take everything out of a history."""
    for table in ("readings", "readings_1m", "readings_1h", "readings_1d", "newest", "heard", "progress", "anew"):
        history._engine.work.run(f"TRUNCATE TABLE {table}")
    if history._unrolled:
        history._unrolled.look()


def _act_and_check(
    history: History, actions: list[tuple[Any, ...]], bounds: list[int], everies: tuple[int | None, ...]
) -> None:
    model, blocks = act(history, actions)
    low, high = [*sorted(bounds), None, None][:2] if bounds else (None, None)
    check_all(history, model, low, high, everies)
    history.rollup(end_of(blocks))
    check_all(history, model, None, None, (*everies, MINUTE, DAY))


def act(history: History, actions: list[tuple[Any, ...]]) -> tuple[Model, int]:
    """Do all this to an emptied history; what is in it then, and of how many blocks."""
    emptied(history)
    model: Model = {key: {} for key in SERIES}
    blocks = []
    for rows, again, rollup in actions:
        block: dict[tuple[str, str, int], Row] = {}
        for (thing, name), time, value in rows:
            block[thing, name, time] = (thing, name, time, value)
            model[thing, name][time] = value
        blocks.append(decoded(len(blocks) + 1, list(block.values())))
        history.insert([blocks[-1]])
        if again is not None:
            history.insert(blocks[-1 - again % len(blocks) :])
        if rollup is not None:
            history.rollup(end_of(max(0, len(blocks) - rollup[0])), upper=rollup[1])
    return model, len(blocks)


def test_a_step_that_was_cut_off_is_done_again(history: History) -> None:
    """Wherever a rollup stops, answers are right, and the next one makes the rollups right."""
    model: Model = {("a", "x"): {}}
    for stop in range(20):
        # A late reading, a correction, the minute under way, and new ones.
        base = T0 + stop * 90 * S
        rows = [("a", "x", time, float(stop)) for time in (T0 - DAY, base - 90 * S, base, base + S, base + 70 * S)]
        model["a", "x"].update({time: value for _, _, time, value in rows})
        history.insert([decoded(stop + 1, rows)])
        if rolled_up(history, end_of(stop + 1), stop):
            break
        check(history, model, MINUTE, None, None)
        check(history, model, DAY, None, None)
    else:
        pytest.fail("a rollup takes more statements than were counted on")
    assert stop > 5
    check_all(history, model, None, None)
    report = history.rollup(end_of(stop + 1))
    assert (report.readings, report.steps, report.position) == (0, 0, end_of(stop + 1))


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


def test_many_readings_a_minute_are_rolled_up_in_ranges_of_things(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a rest after each, and wherever one is cut off, all of the step is done again."""
    monkeypatch.setattr("allthings.historian.settings.ROLLUP_STEP_ROWS", 100)
    monkeypatch.setattr("allthings.historian.settings.ROLLUP_PART_ROWS", 20)
    names = [("a", "x"), ("a", "y"), ("b'{%\\", "x"), ("c", "x"), ("建筑", "x")]
    model: Model = {name: {} for name in names}

    def insert(sequence: int) -> None:
        rows = []
        for name in names:
            # The minute under way, the next one, and a late reading.
            times = [T0 + (sequence * 11 + i) * 7 * S for i in range(12)] + [T0 - sequence * DAY]
            rows += [(*name, time, float(sequence)) for time in times]
            model[name].update(dict.fromkeys(times, float(sequence)))
        history.insert([decoded(sequence, rows)])

    rests: list[float] = []

    def rest(took_s: float) -> float:
        rests.append(took_s)
        return 0.0

    insert(1)
    history.rollup(end_of(1), upper=False, rest=rest)
    assert len(rests) == 3, "a has enough for a range, b and c together, and what is left"
    check_all(history, model, None, None)
    for sequence in range(2, 20):
        stop = 3 * sequence
        insert(sequence)
        if rolled_up(history, end_of(sequence), stop):
            break
        check(history, model, MINUTE, None, None)
        check(history, model, DAY, None, None)
    else:
        pytest.fail("a rollup takes more statements than were counted on")
    assert stop > 20
    check_all(history, model, None, None)
