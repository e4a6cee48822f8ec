"""Columns as JSON, CSV and Arrow."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allthings.historian.query import Series
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN, format_time, parse_time
from allthings.web import tables

TIME = pa.timestamp("ns", tz="UTC")


def table(times: list[int], values: list[Any], field: pa.Field | None = None) -> pa.Table:
    field = field or pa.field("value", pa.float64())
    return pa.Table.from_arrays(
        [pa.array(times, TIME), pa.array(values, field.type)], schema=pa.schema([pa.field("time", TIME), field])
    )


def answered(*series: Series) -> Any:
    return json.loads(b"".join(tables.json_answer(series, {("t", "p"): "kPa"})))


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.integers(TIME_NS_MIN, TIME_NS_MAX), min_size=1, max_size=20), st.sampled_from([1, 1_000, 10**6, 10**9])
)
def test_times_are_exact(times: list[int], step: int) -> None:
    times = [time // step * step for time in times]
    texts = tables.rfc3339(pa.array(times, TIME)).to_pylist()
    assert [parse_time(text) for text in texts] == times
    assert len({len(text) for text in texts}) == 1
    if step == 10**9:
        assert texts == [format_time(time) for time in times]


@hypothesis_settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats()), max_size=30))
def test_numbers_are_exact(values: list[float | None]) -> None:
    points = answered(Series("t", "p", table(list(range(len(values))), values)))["series"][0]["points"]
    expected = [value if value is not None and math.isfinite(value) else None for value in values]
    assert [point[1] for point in points] == expected


def test_several_series_alike_empty_and_of_other_types() -> None:
    numbers, empty = table([1, 2], [1.5, None]), table([], [])
    texts = table([3], ["a,b"], pa.field("value", pa.string()))
    for tables_ in ([numbers, empty, table([10**9], [7.0])], [numbers, empty, texts], [empty, empty]):
        together = answered(*(Series("t", "p", each) for each in tables_))["series"]
        alone = [answered(Series("t", "p", each))["series"][0] for each in tables_]
        values = [[point[1] for point in each["points"]] for each in together]
        assert values == [[point[1] for point in each["points"]] for each in alone]
        assert [[parse_time(point[0]) for point in each["points"]] for each in together] == [
            each.column("time").cast(pa.int64()).to_pylist() for each in tables_
        ]


@hypothesis_settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text()), max_size=30))
def test_texts_are_escaped(values: list[str | None]) -> None:
    field = pa.field("value", pa.string())
    points = answered(Series("t", "p", table(list(range(len(values))), values, field)))["series"][0]["points"]
    assert [point[1] for point in points] == values


def test_json_text_is_passed_on() -> None:
    field = pa.field("value", pa.string(), metadata={b"allthings": b"json"})
    values = ['{"a":[1]}', None, "true", '"x"']
    points = answered(Series("t", "p", table([0, 1, 2, 3], values, field)))["series"][0]["points"]
    assert [point[1] for point in points] == [{"a": [1]}, None, True, "x"]


def test_answer() -> None:
    assert answered() == {"series": [], "next": None}
    answer = answered(Series("t", "p", table([0], [1.5]), "n"), Series('"', "p", table([], []), "n"))
    assert answer["series"][0] == {
        "thing": "t",
        "property": "p",
        "unit": "kPa",
        "columns": ["time", "value"],
        "points": [["1970-01-01T00:00:00Z", 1.5]],
    }
    assert answer["series"][1]["thing"] == '"'
    assert answer["series"][1]["points"] == []
    assert answer["next"] == "n"


def test_long_answers_come_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 3)
    rows = list(range(10))
    series = Series("t", "p", table(rows, [float(row) for row in rows]))
    pieces = list(tables.json_answer([series], {}))
    assert len(pieces) > 4
    assert [point[1] for point in json.loads(b"".join(pieces))["series"][0]["points"]] == rows
    whole = tables.one_table([series], ["value"])
    assert b"".join(tables.csv_chunks(whole)).count(b"\n") == 11
    stream = pa.ipc.open_stream(b"".join(tables.arrow_chunks(whole)))
    assert [batch.num_rows for batch in stream] == [3, 3, 3, 1]


def test_one_table_of_equal_types() -> None:
    whole = tables.one_table(
        [Series("a", "p", table([1], [1.0])), Series("b", "q", table([2, 3], [2.0, None]))], ["value"]
    )
    assert whole.column("thing").to_pylist() == ["a", "b", "b"]
    assert whole.column("value").to_pylist() == [1.0, 2.0, None]
    read = pa.ipc.open_stream(b"".join(tables.arrow_chunks(whole))).read_all()
    assert read.column("property").to_pylist() == ["p", "q", "q"]


def test_one_table_of_several_types_is_json() -> None:
    text = table([1], ["a"], pa.field("value", pa.string()))
    empty = table([], [], pa.field("value", pa.bool_()))
    whole = tables.one_table(
        [Series("a", "p", table([1, 2], [1.0, None])), Series("b", "p", text), Series("c", "p", empty)], ["value"]
    )
    assert whole.column("value").to_pylist() == ["1", None, '"a"']


def test_nothing_is_an_empty_table() -> None:
    whole = tables.one_table([], ["avg"])
    assert whole.column_names == ["thing", "property", "time", "avg"]
    assert pa.ipc.open_stream(b"".join(tables.arrow_chunks(whole))).read_all().num_rows == 0
