"""Questions about the history, and their answers."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from allthings.historian.errors import QueryLimitError, QueryRefusedError
from allthings.historian.history import History
from allthings.historian.plot import largest_triangles
from allthings.historian.query import HistoryQuery, make_token, read_token
from allthings.historian.values import json_values
from allthings.readings.decoded import Event, Reject
from allthings.things.calendar import Every
from allthings.things.errors import NotFoundError
from tests.historian.blocks import T0, Row, S, decoded, end_of, ns


def values(table: pa.Table, name: str = "value") -> list[Any]:
    return [
        msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value for value in json_values(table, name)
    ]


def test_values_come_back_as_what_they_were(history: History) -> None:
    big = 2**60 + 1
    kinds: dict[str, list[Any]] = {
        "numbers": [1.5, -2.0, 1e300],
        "switch": [True, False, True],
        "words": ["", "on", 'a "quoted" ü\n'],
        "json": [{"a": [1, None]}, [], None],
        "mixed": [1.5, "x", {"a": 1}],
        "big": [big, 1, -big],
    }
    rows: list[Row] = [("t", name, T0 + i, v) for name, series in kinds.items() for i, v in enumerate(series)]
    history.insert([decoded(1, rows)])
    answers = {series.property: series for series in history.history(HistoryQuery((("t", None),)))}
    assert {name: values(series.table) for name, series in answers.items()} == kinds
    types = {name: str(series.table.schema.field("value").type) for name, series in answers.items()}
    assert types == {
        "numbers": "double",
        "switch": "bool",
        "words": "string",
        "json": "string",
        "mixed": "string",
        "big": "string",
    }
    assert answers["words"].table.schema.field("value").metadata is None
    query = HistoryQuery((("t", None),), aggregates=("count", "first", "last"))
    for series in history.history(query):
        first, *_, last = kinds[series.property]
        assert [values(series.table, name)[0] for name in ("count", "first", "last")] == [3, first, last]


def test_a_series_that_is_not_there_has_an_empty_answer(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0, 1.0)])])
    series = history.history(HistoryQuery((("t", "q"), ("nobody", None))))
    assert [(each.thing, each.property, each.table.num_rows) for each in series] == [("t", "q", 0)]
    assert series[0].table.column_names == ["time", "value"]
    assert history.history(HistoryQuery((("nobody", None),))) == []


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("every", [None, 60 * S])
def test_pages_make_the_whole_without_gaps(history: History, descending: bool, every: int | None) -> None:
    rows: list[Row] = [("t", "fast", T0 + i * 10 * S, float(i)) for i in range(500)]
    rows += [("t", "slow", T0 + i * 600 * S + 5, float(i)) for i in range(20)]
    history.insert([decoded(1, rows)])
    options: dict[str, Any] = {
        "every": Every(every) if every else None,
        "aggregates": ("count", "first") if every else (),
        "descending": descending,
    }
    keys = (("t", "fast"), ("t", "slow"))
    whole = {each.property: each.table for each in history.history(HistoryQuery(keys, limit=10_000, **options))}
    found: dict[str, list[pa.Table]] = {"fast": [], "slow": []}
    after, count = None, 0
    while True:
        answer = history.history(HistoryQuery(keys, limit=7, after=after, **options))
        assert all(each.table.num_rows <= 7 for each in answer)
        for each in answer:
            found[each.property].append(each.table)
        after, count = answer[0].next, count + 1
        if after is None:
            break
    assert count > 5
    for name, table in whole.items():
        pages = [page for page in found[name] if page.num_rows]
        assert pa.concat_tables(pages).to_pydict() == table.to_pydict(), name
    times = ns(whole["fast"].column("time"))
    assert times == sorted(times, reverse=descending)


def test_bounds_are_inclusive_and_exclusive_to_the_nanosecond(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0 + i, float(i)) for i in range(5)])])
    history.rollup(end_of(1))
    (series,) = history.history(HistoryQuery((("t", "p"),), T0 + 1, T0 + 4))
    assert values(series.table) == [1.0, 2.0, 3.0]
    (series,) = history.history(HistoryQuery((("t", "p"),), T0 + 1, T0 + 4, Every(60 * S), ("count", "sum")))
    assert (values(series.table, "count"), values(series.table, "sum")) == ([3], [6.0])


@pytest.mark.parametrize(
    "query",
    [
        HistoryQuery(()),
        HistoryQuery((("t", "p"),), every=Every(0), aggregates=("avg",)),
        HistoryQuery((("t", "p"),), every=Every(60 * S)),
        HistoryQuery((("t", "p"),), aggregates=("median",)),
        HistoryQuery((("t", "p"),), points=2),
        HistoryQuery((("t", "p"),), points=100, aggregates=("avg",)),
        HistoryQuery((("t", "p"),), limit=0),
        HistoryQuery((("t", "p"),), start_ns=1 << 63),
        HistoryQuery((("t", "p"),), after="nonsense"),
        HistoryQuery((("t", "p"),), after="ä"),
    ],
)
def test_what_cannot_be_asked_is_refused(history: History, query: HistoryQuery) -> None:
    with pytest.raises(QueryRefusedError):
        history.history(query)


def test_too_many_series_are_refused(history: History) -> None:
    with pytest.raises(QueryLimitError):
        history.history(HistoryQuery(tuple((f"t{i}", "p") for i in range(2_001))))


def test_names_are_never_sql(history: History) -> None:
    evil = "x' OR 1=1 -- {a:String} \\' %s"
    history.insert([decoded(1, [(evil, evil, T0, 1.0), ("t", "p", T0, 2.0)])])
    for keys in ((((evil, evil)),), ((evil, None),), ((evil, evil), ("'", '"'))):
        series = history.history(HistoryQuery(tuple(keys)))
        assert [(each.thing, values(each.table)) for each in series if each.table.num_rows] == [(evil, [1.0])]
    assert history.current([(evil, evil)]).num_rows == 1


def test_tokens_hold_any_time() -> None:
    for bound in (0, -(2**63), 2**63 + 5, T0):
        assert read_token(make_token(bound)) == bound


def test_current_is_the_greatest_time_as_last_corrected(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0 + 5, 1.0), ("t", "q", T0, "a")])])
    history.rollup(end_of(1))
    history.insert([decoded(2, [("t", "p", T0 + 5, 2.0), ("t", "p", T0 + 4, 9.0)])])
    row = history.current([("t", "p"), ("t", "none")]).to_pylist()
    assert [(each["number"], each["time"].value) for each in row] == [(2.0, T0 + 5)]
    history.rollup(end_of(2))
    assert [each["number"] for each in history.current().to_pylist()] == [2.0, None]
    assert history.current([]).num_rows == 0


# Plots


def triangles_by_the_book(times: list[int], ys: list[float], points: int) -> list[int]:
    """The algorithm as the thesis has it, one point at a time, over the same buckets."""
    n, chosen, at = len(times), [0], 0
    edges = [int(edge) for edge in np.linspace(1, n - 1, points - 1)]
    for i in range(points - 2):
        after = range(edges[i + 1], edges[i + 2]) if i + 2 < len(edges) else range(edges[i + 1], n)
        next_x = sum(times[j] - times[0] for j in after) / len(after)
        next_y = sum(ys[j] for j in after) / len(after)
        ax, ay = times[at] - times[0], ys[at]
        areas = [
            abs((ax - next_x) * (ys[j] - ay) - (ax - (times[j] - times[0])) * (next_y - ay))
            for j in range(edges[i], edges[i + 1])
        ]
        at = edges[i] + areas.index(max(areas))
        chosen.append(at)
    return [*chosen, n - 1]


@pytest.mark.parametrize(("n", "points"), [(4, 3), (101, 10), (1000, 999), (5000, 300)])
def test_lttb_is_lttb(n: int, points: int) -> None:
    times = [T0 + i * 7 + (i * i) % 5 for i in range(n)]
    ys = [math.sin(i / 30) + (i * 7919 % 13) / 13 for i in range(n)]
    got = largest_triangles(np.array(times), np.array(ys), points)
    assert got.tolist() == triangles_by_the_book(times, ys, points)


def test_a_plot_of_few_readings_is_of_readings(history: History) -> None:
    rows: list[Row] = [("t", "p", T0 + i * S, math.sin(i / 50)) for i in range(3000)]
    rows += [("t", "w", T0 + i * S, f"w{i}") for i in range(30)]
    history.insert([decoded(1, rows)])
    plot, words = history.history(HistoryQuery((("t", None),), points=200))
    known = {(row[2], row[3]) for row in rows}
    points = list(zip(ns(plot.table.column("time")), values(plot.table), strict=True))
    assert len(points) == 200
    assert known >= set(points)
    assert words.table.num_rows == 30


def test_a_plot_of_many_readings_keeps_the_extremes(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.historian.settings.PLOT_ROWS_MAX", 500)
    rows: list[Row] = [("t", "p", T0 + i * 20 * S, math.sin(i / 100)) for i in range(6000)]
    rows[3333] = ("t", "p", rows[3333][2], 50.0)
    rows[4444] = ("t", "p", rows[4444][2], -50.0)
    history.insert([decoded(1, rows)])
    for _ in range(2):
        (plot,) = history.history(HistoryQuery((("t", "p"),), points=100))
        times, found = ns(plot.table.column("time")), values(plot.table)
        assert plot.table.num_rows == 100
        assert (max(found), min(found)) == (50.0, -50.0)
        assert times == sorted(set(times))
        assert (times[0], times[-1]) == (rows[0][2], rows[-1][2])
        history.rollup(end_of(1))


# Rejects and events


def test_rejects_are_listed_until_they_are_resolved(history: History) -> None:
    payload = bytes(range(256))
    rejects = [Reject(5 << 20 | i, T0 + i, "c", f"things/{i % 2}/properties", "reason", payload) for i in range(10)]
    history.insert([decoded(5, [], rejects=rejects)])
    page = history.rejects(4)
    assert page.items == rejects[:-5:-1]
    rest = history.rejects(100, page.next)
    assert (rest.items, rest.next) == (rejects[5::-1], None)
    assert history.reject(rejects[3].position) == rejects[3]
    assert history.count_rejects(topic="things/1/properties") == 5
    again = Reject(rejects[0].position, T0, "c", "things/0/properties", "another reason", payload)
    replay = decoded(6, [], rejects=[again], replayed=[rejects[3].position])
    for _ in range(2):
        history.insert([replay])
        assert history.count_rejects() == 9
        assert history.reject(again.position).reason == "another reason"
        assert [each.position for each in history.rejects(10, reason="another reason").items] == [again.position]
        with pytest.raises(NotFoundError):
            history.reject(rejects[3].position)
        history.insert([decoded(5, [], rejects=rejects)])


def test_events_come_newest_first(history: History) -> None:
    events = [Event((1 << 20) + i, T0 + i // 2, T0, "t" if i % 3 else "u", "alarm", f'{{"n":{i}}}') for i in range(9)]
    history.insert([decoded(1, [], events=events), decoded(1, [], events=events)])
    first = history.events(limit=4)
    second = history.events(limit=100, after=first.next)
    assert [*first.items, *second.items] == events[::-1]
    assert [event.position for event in history.events("u").items] == [events[i].position for i in (6, 3, 0)]
    assert history.events(start_ns=T0 + 1, end_ns=T0 + 2).items == events[3:1:-1]
    for token in ("x", "1-x", "1", "-1--1"):
        with pytest.raises(QueryRefusedError):
            history.events(after=token)


def test_strange_clocks_are_kept(history: History) -> None:
    times = [(year - 1970) * 31_556_952 * S + 123_456_789 for year in (1900, 1969, 1970, 1999, 2038, 2106, 2107, 2261)]
    history.insert([decoded(1, [("t", "p", time, float(i)) for i, time in enumerate(times)])])
    history.rollup(end_of(1))
    (series,) = history.history(HistoryQuery((("t", "p"),)))
    assert ns(series.table.column("time")) == times
    (series,) = history.history(HistoryQuery((("t", "p"),), every=Every(86_400 * S), aggregates=("count",)))
    assert ns(series.table.column("time")) == [time // (86_400 * S) * 86_400 * S for time in times]
    assert history.current().to_pylist()[0]["time"].value == times[-1]
    assert history.disk_bytes() > 0


# The same key more than once


@pytest.mark.parametrize("rolled_up", [False, True])
def test_a_key_that_came_twice_within_an_insert_is_one_reading(history: History, rolled_up: bool) -> None:
    """Merges do not run: what is answered must not count on them, nor on what an insert may drop by itself."""
    for table in ("readings", "readings_1m", "readings_1h", "readings_1d"):
        history._engine.work.run(f"SYSTEM STOP MERGES {table}")
    n = 9_000  # several granules
    sent: list[Row] = [("t", "p", T0 + i * S, -1.0) for i in range(n)]
    again = [sent[0], *(("t", "p", T0 + i * S, float(i)) for i in range(n))]  # the first one three times
    history.insert([decoded(1, sent), decoded(2, again)])
    parts = "SELECT count(), sum(rows) FROM system.parts WHERE active AND table = 'readings'"
    assert history._engine.query.rows(parts) == [(1, 2 * n + 1)]
    if rolled_up:
        report = history.rollup(end_of(2))
        assert report.position == end_of(2)
    expect_one_reading_a_second(history, n)
    # A replay, a correction of all, one late reading, again twice within an insert.
    late: Row = ("t", "p", T0 - 3600 * S, 7.0)
    history.insert([decoded(2, again)])
    history.insert([decoded(3, sent), decoded(4, again), decoded(5, [late, late])])
    if rolled_up:
        history.rollup(end_of(5))
    expect_one_reading_a_second(history, n, late=7.0)
    query = HistoryQuery((("t", "p"),), T0 - 3600 * S, T0, Every(60 * S), ("count", "sum"))
    (series,) = history.history(query)
    assert (values(series.table, "count"), values(series.table, "sum")) == ([1], [7.0])


def expect_one_reading_a_second(history: History, n: int, late: float | None = None) -> None:
    """Each way to ask says that second i has the value i, once."""
    (raw,) = history.history(HistoryQuery((("t", "p"),), T0, limit=n + 1))
    assert values(raw.table) == [float(i) for i in range(n)]
    assert ns(raw.table.column("time")) == [T0 + i * S for i in range(n)]
    (minutes,) = history.history(HistoryQuery((("t", "p"),), T0, None, Every(60 * S), ("count", "sum", "first")))
    assert values(minutes.table, "count") == [60] * (n // 60)
    assert values(minutes.table, "sum") == [60.0 * i + 59 * 30 for i in range(0, n, 60)]
    assert values(minutes.table, "first") == [float(i) for i in range(0, n, 60)]
    total = n * (n - 1) / 2 + (late or 0.0)
    count = n + (late is not None)
    (whole,) = history.history(HistoryQuery((("t", "p"),), aggregates=("count", "sum", "min", "max")))
    assert [values(whole.table, name)[0] for name in ("count", "sum", "min", "max")] == [count, total, 0.0, n - 1.0]
    assert history.sql("SELECT count(), sum(number) FROM readings").rows == [[count, total]]
    assert history.sql("SELECT count() FROM readings WHERE number < 0").rows == [[0]]
    for table in ("readings_1m", "readings_1h", "readings_1d"):
        assert history.sql(f"SELECT sum(count), sum(sum) FROM {table}").rows == [[count, total]], table
    assert [row["number"] for row in history.current().to_pylist()] == [n - 1.0]
