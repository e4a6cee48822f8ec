"""Days of a zone, and aggregates of all kinds, against a slow and obvious reckoning."""

from __future__ import annotations

import itertools
import math
import statistics
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from allthings.historian.aggregates import AGGREGATES, HELD, ROLLED
from allthings.historian.errors import QueryLimitError, QueryRefusedError
from allthings.historian.history import History
from allthings.historian.query import HistoryQuery, Series
from allthings.historian.retention import Keep, Retention
from allthings.historian.values import json_values
from allthings.things.calendar import Every, Grid
from allthings.things.errors import BadInputError
from tests.historian.blocks import T0, Row, S, decoded, end_of, ns
from tests.historian.test_rollups import Model, act, aggregate

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
ALL = (*AGGREGATES, "p10")


def at(text: str) -> int:
    return (
        int((datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * S
    )


def rows(series: Series) -> dict[int, dict[str, Any]]:
    columns = {}
    for name in series.table.column_names[1:]:
        values = json_values(series.table, name)
        columns[name] = [msgspec.json.decode(one) if isinstance(one, msgspec.Raw) else one for one in values]
    times = ns(series.table.column("time"))
    return {time: {name: values[row] for name, values in columns.items()} for row, time in enumerate(times)}


# The reckoning


def percentile(numbers: list[float], percent: float) -> float | None:
    if not numbers:
        return None
    place = (len(numbers) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(numbers) - 1)
    return sorted(numbers)[low] + (sorted(numbers)[high] - sorted(numbers)[low]) * (place - low)


def held(readings: dict[int, Any], query: HistoryQuery, begin: int, end: int) -> list[tuple[int, Any]]:
    """For how long each value held within a bucket."""
    times = sorted(time for time in readings if query.end_ns is None or time < query.end_ns)
    if query.start_ns is not None:
        begin = max(begin, query.start_ns)
    found = []
    for time, after in zip(times, [*times[1:], None], strict=False):
        known = [query.now_ns, query.end_ns, after, time + query.hold_ns if query.hold_ns is not None else None]
        until = min([each for each in known if each is not None], default=None)
        length = min(end, end if until is None else until) - max(begin, time)
        if length > 0:
            found.append((length, readings[time]))
    return found


def risen(readings: dict[int, Any], query: HistoryQuery, begin: int, end: int) -> float | None:
    low = max(begin, query.start_ns) if query.start_ns is not None else begin
    high = min(end, query.end_ns) if query.end_ns is not None else end
    last, total, known = None, 0.0, False
    for time in sorted(readings):
        if not isinstance(readings[time], int | float) or time >= high:
            continue
        number = float(readings[time])
        if time < low:
            known = True
        elif last is not None:
            step, known = number - last, True
            if step < 0:
                through = step + query.rollover if query.rollover is not None else -1.0
                rolled = query.rollover is not None and number >= 0 and 0 <= through < query.rollover / 2
                step = through if rolled else max(number, 0.0)
            total += step
        last = number
    return total if known else None


def state(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}"


def reckoned(readings: dict[int, Any], query: HistoryQuery) -> dict[int, dict[str, Any]]:
    inside = [
        time
        for time in sorted(readings)
        if (query.start_ns is None or time >= query.start_ns) and (query.end_ns is None or time < query.end_ns)
    ]
    if not readings:
        return {}
    if query.every is None:
        first = min(readings) if query.start_ns is None else query.start_ns
        last = max(max(readings) + 1, query.now_ns or 0) if query.end_ns is None else query.end_ns
        edges = [first, max(last, first)]
    else:
        stop = [query.end_ns or max(max(readings) + 1, query.now_ns or 0), *(time + 1 for time in inside)]
        start = query.start_ns if query.start_ns is not None else min(readings)
        edges = Grid(query.every, query.zone).edges(start, max(max(stop), start + 1))
    found = {}
    for begin, end in itertools.pairwise(edges):
        values = [(time, readings[time]) for time in inside if begin <= time < end]
        holding = held(readings, query, begin, end) if set(query.aggregates) & set(HELD) else []
        if not values and not holding:
            continue
        row = aggregate(values) if values else dict.fromkeys(ROLLED) | {"count": 0}
        numbers = [float(value) for _, value in values if isinstance(value, int | float)]
        row["stddev"] = statistics.stdev(numbers) if len(numbers) > 1 else None
        row |= {f"p{percent}": percentile(numbers, percent) for percent in (10, 50, 95, 99)}
        known = [(length, float(value)) for length, value in holding if isinstance(value, int | float)]
        weight = sum(length for length, _ in known)
        row["twa"] = sum(length * value for length, value in known) / weight if weight else None
        row["increase"] = risen(readings, query, begin, end) if holding or values else None
        seconds: dict[str, float] = {}
        for length, value in holding:
            seconds[state(value)] = seconds.get(state(value), 0) + length / S
        row["duration"] = seconds if holding else None
        found[begin] = row
    return found


def same(got: Any, want: Any) -> bool:
    if isinstance(want, dict):
        return isinstance(got, dict) and got.keys() == want.keys() and all(same(got[key], want[key]) for key in want)
    if isinstance(want, float) and not isinstance(got, bool):
        return got is not None and math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-9)
    return bool(got == want)


def check(history: History, model: Model, query: HistoryQuery) -> None:
    for series in history.history(query):
        got, want = rows(series), reckoned(model[series.thing, series.property], query)
        if query.every is None:
            got, want = dict(enumerate(got.values())), dict(enumerate(want.values()))
        assert got.keys() == want.keys(), (series.property, query)
        for time, row in got.items():
            for name in query.aggregates:
                assert same(row[name], want[time][name]), (
                    series.property,
                    time,
                    name,
                    row[name],
                    want[time][name],
                    query,
                )


# Against the reckoning

SERIES = [("a", "x"), ("a", "y"), ("b", "x")]
#: Few distinct times, at the edges of buckets of several zones and where their clocks are changed.
TIMES = [
    at(day) + offset
    for day in ("1936-12-31T23:40:28", "2026-03-28T23:00", "2026-03-29T22:00", "2026-04-04T15:00", "2011-12-30T10:00")
    for offset in (-1, 0, 59 * S, 15 * MINUTE, 13 * HOUR + 7 * MINUTE)
]
RECENT = [time for time in TIMES if time > at("2026-01-01")]
VALUES = st.one_of(
    st.integers(-100, 1000).map(lambda n: n / 8), st.integers(0, 10).map(float), st.sampled_from(["on", "off", True])
)
ACTIONS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(SERIES), st.sampled_from(TIMES), VALUES), min_size=1, max_size=8),
        st.one_of(st.none(), st.integers(0, 5)),
        st.one_of(st.none(), st.tuples(st.sampled_from([0, 0, 0, 1, 2]), st.booleans())),
    ),
    min_size=2,
    max_size=5,
)
WIDTHS = [
    Every(HOUR),
    Every(6 * HOUR),
    Every(1, "d"),
    Every(2, "d"),
    Every(1, "w"),
    Every(1, "mo"),
    Every(1, "y"),
    None,
]
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Amsterdam"]


@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    actions=ACTIONS,
    bounds=st.lists(st.sampled_from(RECENT), max_size=2),
    width=st.sampled_from(WIDTHS),
    zone=st.sampled_from(ZONES),
    names=st.sampled_from([tuple(ROLLED), ALL, ("twa",), ("increase", "duration"), ("p50", "stddev", "count")]),
    now=st.sampled_from([at("2026-03-29T12:00"), at("2026-04-06T12:00")]),
    hold=st.one_of(st.none(), st.just(20 * HOUR)),
    rollover=st.one_of(st.none(), st.just(10.0)),
)
@example(
    actions=[([(SERIES[0], at("2026-03-28T12:00"), "on"), (SERIES[0], at("2026-03-29T22:30"), 5.0)], None, None)] * 2,
    bounds=[],
    width=Every(1, "d"),
    zone="Europe/Berlin",
    names=ALL,
    now=at("2026-04-06T12:00"),
    hold=None,
    rollover=None,
)
def test_every_bucket_is_what_its_readings_make_it(
    history: History,
    actions: list[tuple[Any, ...]],
    bounds: list[int],
    width: Every | None,
    zone: str,
    names: tuple[str, ...],
    now: int,
    hold: int | None,
    rollover: float | None,
) -> None:
    model, blocks = act(history, actions)
    low, high = [*sorted(bounds), None, None][:2] if bounds else (None, None)
    # Hours over all the years would be many.
    low = RECENT[0] if low is None and width in (Every(HOUR), Every(6 * HOUR)) else low
    query = HistoryQuery(
        tuple(model),
        low,
        high,
        width,
        names,
        limit=100_000,
        zone=zone,
        now_ns=now,
        hold_ns=hold if "twa" in names or "duration" in names else None,
        rollover=rollover if "increase" in names else None,
    )
    event("fixed" if width and Grid(width, zone).fixed(low, high) else "not fixed")
    check(history, model, query)
    history.rollup(end_of(blocks))
    check(history, model, query)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("names", [("count", "last"), ("twa", "count"), ("p50",)])
def test_pages_of_days_make_the_whole(
    history: History, monkeypatch: pytest.MonkeyPatch, descending: bool, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr("allthings.historian.settings.SLOTS_PER_PART", 5)
    start = at("2026-03-01T12:00")
    values: list[Row] = [("t", "fast", start + i * HOUR, float(i)) for i in range(60 * 24)]
    values += [("t", "slow", start + i * 100 * HOUR, float(i)) for i in range(14)]
    history.insert([decoded(1, values)])
    history.rollup(end_of(1))
    keys, options = (("t", "fast"), ("t", "slow")), {"zone": "Europe/Berlin", "descending": descending}
    query = HistoryQuery(keys, None, None, Every(1, "d"), names, limit=1000, **options)  # type: ignore[arg-type]
    whole = {each.property: list(rows(each).items()) for each in history.history(query)}
    found: dict[str, list[Any]] = {"fast": [], "slow": []}
    after, count = None, 0
    while True:
        paged = HistoryQuery(keys, None, None, Every(1, "d"), names, limit=7, after=after, **options)  # type: ignore[arg-type]
        answer = history.history(paged)
        for each in answer:
            assert each.table.num_rows <= 7
            found[each.property] += rows(each).items()
        after, count = answer[0].next, count + 1
        if after is None:
            break
    assert found == whole
    assert 8 <= count <= 10
    assert len(whole["fast"]) == 61
    assert [time for time, _ in whole["fast"]] == sorted((time for time, _ in whole["fast"]), reverse=descending)


def test_a_long_series_is_held_some_readings_at_a_time(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.historian.settings.HELD_ROWS_PER_PART", 100)
    model: Model = {("t", "p"): {T0 + i * 7 * MINUTE: float(i * 37 % 11) for i in range(1000)}}
    history.insert([decoded(1, [("t", "p", time, value) for time, value in model["t", "p"].items()])])
    for every in (None, Every(1, "d"), Every(1, "w")):
        check(history, model, HistoryQuery((("t", "p"),), None, None, every, ALL, now_ns=T0 + 30 * DAY))


# What it means


def test_a_day_in_berlin(history: History) -> None:
    """95 hourly readings around the night in which clocks are put forward (public reports: 24, 23, 24, 24)."""
    start = at("2026-03-27T23:00")
    history.insert([decoded(1, [("t", "p", start + i * HOUR, 1.0) for i in range(95)])])
    for _ in range(2):
        (series,) = history.history(
            HistoryQuery((("t", "p"),), start, start + 95 * HOUR, Every(1, "d"), ("count", "sum"), zone="Europe/Berlin")
        )
        assert [row["count"] for row in rows(series).values()] == [24, 23, 24, 24]
        history.rollup(end_of(1))


def test_time_weighted_and_plain_averages_differ(history: History) -> None:
    """10 from the full hour on, then 100 three times within two minutes (public reports)."""
    minutes = {0: 10.0, 50: 100.0, 51: 100.0, 52: 100.0}
    history.insert([decoded(1, [("t", "p", T0 + minute * MINUTE, value) for minute, value in minutes.items()])])
    (series,) = history.history(HistoryQuery((("t", "p"),), T0, T0 + HOUR, Every(HOUR), ("avg", "twa")))
    assert rows(series)[T0] == {"avg": 77.5, "twa": 25.0}


def test_a_counter_is_set_back_and_rolls_over(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0 + i * HOUR, value) for i, value in enumerate([990.0, 999.0, 3.0, 5.0])])])
    for rollover, expected in ((None, 14.0), (1000.0, 15.0)):
        query = HistoryQuery((("t", "p"),), T0, T0 + DAY, Every(1, "d"), ("increase",), rollover=rollover)
        assert [row["increase"] for row in rows(history.history(query)[0]).values()] == [expected]
    # Half of it or more would be a rise that long: it was set back.
    query = HistoryQuery((("t", "p"),), T0, T0 + DAY, Every(1, "d"), ("increase",), rollover=5000.0)
    assert [row["increase"] for row in rows(history.history(query)[0]).values()] == [14.0]


def test_what_a_counter_rose_over_midnight_is_of_the_day_that_learns_it(history: History) -> None:
    values: list[Row] = [
        ("t", "p", T0 + 20 * HOUR, 5.0),
        ("t", "p", T0 + 20 * HOUR + 1, "ERR"),
        ("t", "p", T0 + 30 * HOUR, 8.0),
    ]
    values += [("t", "p", T0 + 100 * HOUR, 9.0)]
    history.insert([decoded(1, values)])
    query = HistoryQuery((("t", "p"),), T0, T0 + 5 * DAY, Every(1, "d"), ("increase",))
    assert [row["increase"] for row in rows(history.history(query)[0]).values()] == [None, 3.0, 0.0, 0.0, 1.0]
    late = HistoryQuery((("t", "p"),), T0 + DAY, T0 + 2 * DAY, Every(1, "d"), ("increase",))
    assert [row["increase"] for row in rows(history.history(late)[0]).values()] == [3.0]


def test_a_state_holds_over_days_without_readings(history: History) -> None:
    history.insert([decoded(1, [("t", "heat", T0 + 18 * HOUR, True), ("t", "heat", T0 + 54 * HOUR, False)])])
    query = HistoryQuery((("t", "heat"),), T0, None, Every(1, "d"), ("duration", "count"), now_ns=T0 + 60 * HOUR)
    assert list(rows(history.history(query)[0]).values()) == [
        {"duration": {"true": 6 * 3600}, "count": 1},
        {"duration": {"true": 24 * 3600}, "count": 0},
        {"duration": {"true": 6 * 3600, "false": 6 * 3600}, "count": 1},
    ]
    query = HistoryQuery((("t", "heat"),), T0, None, Every(1, "d"), ("duration",), now_ns=T0 + 60 * HOUR, state="false")
    assert [row["duration"] for row in rows(history.history(query)[0]).values()] == [0.0, 0.0, 21_600.0]


def test_a_span_from_the_epoch_on_begins_there(history: History) -> None:
    history.insert([decoded(1, [("t", "p", -2 * HOUR, 1.0), ("t", "p", HOUR, 2.0)])])
    query = HistoryQuery((("t", "p"),), 0, 4 * HOUR, Every(1, "d"), ("twa",), zone="Europe/Berlin", now_ns=DAY)
    assert [row["twa"] for row in rows(history.history(query)[0]).values()] == [1.75]


def test_states_are_few(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0 + i * S, float(i % 200)) for i in range(1000)])])
    query = HistoryQuery((("t", "p"),), T0, T0 + HOUR, None, ("duration",))
    with pytest.raises(QueryLimitError, match="p of t has more than 100"):
        history.history(query)
    query = HistoryQuery((("t", "p"),), T0, T0 + 1000 * S, None, ("duration",), state="7")
    assert [row["duration"] for row in rows(history.history(query)[0]).values()] == [5.0]


def test_expired_readings_leave_no_half_answers(history: History) -> None:
    """Counts and averages stay; what needs the readings is null where some are gone, and right from there on."""
    now = T0 + 100 * DAY
    history.insert([decoded(1, [("t", "p", T0 + i * 6 * HOUR, float(i)) for i in range(400)])])
    history.rollup(end_of(1))
    history.retain(now, Retention(Keep(raw_days=30, minutes_days=60)))
    query = HistoryQuery(
        (("t", "p"),), T0, now, Every(1, "d"), ("count", "p50", "twa", "increase"), zone="Europe/Berlin", now_ns=now
    )
    answer = rows(history.history(query)[0])
    known = [time for time, row in answer.items() if row["twa"] is not None]
    assert {row["count"] for row in list(answer.values())[1:-1]} == {4}
    assert 30 <= len(known) <= 61
    assert known == list(answer)[-len(known) :]
    for time in known[:-1]:
        assert answer[time]["increase"] == 4
        assert answer[time]["p50"] is not None
    assert all(answer[time]["p50"] is None for time in list(answer)[: -len(known)])


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"aggregates": ("p0",)}, "no aggregate"),
        ({"aggregates": ("p100",)}, "no aggregate; there are avg"),
        ({"aggregates": ("agv",)}, "did you mean avg"),
        ({"aggregates": ("avg",), "state": "on"}, "`state` goes with aggregate=duration"),
        ({"aggregates": ("avg",), "rollover": 100.0}, "`rollover` goes with aggregate=increase"),
        ({"aggregates": ("avg",), "hold_ns": 100}, "`hold` goes with aggregate=twa or duration"),
        ({"aggregates": ("increase",), "rollover": math.nan}, "above 0"),
        ({"aggregates": ("avg",), "every": Every(201, "y")}, "200 years"),
        ({"start_ns": T0 + 1, "end_ns": T0}, "`from` is after `to`"),
    ],
)
def test_what_makes_no_sense_is_refused(history: History, query: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryRefusedError, match=said):
        history.history(HistoryQuery((("t", "p"),), **query))


def test_an_unknown_zone_is_refused(history: History) -> None:
    with pytest.raises(BadInputError, match="did you mean Europe/Berlin"):
        history.history(HistoryQuery((("t", "p"),), None, None, Every(1, "d"), ("avg",), zone="Europe/Brelin"))


def test_too_many_buckets_are_refused(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0, 1.0), ("t", "p", T0 + 400 * DAY, 1.0)])])
    with pytest.raises(QueryLimitError, match="buckets"):
        history.history(HistoryQuery((("t", "p"),), None, None, Every(S), ("twa",)))
