"""Columns as JSON, CSV and Arrow."""

from __future__ import annotations

import csv as python_csv
import io
import json
import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allthings.historian.query import Series
from allthings.readings.model import Model
from allthings.readings.upload import parse_upload
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN, format_time, parse_time
from allthings.things.types import Kind
from allthings.web import points, tables

TIME = pa.timestamp("ns", tz="UTC")


def table(times: list[int], values: list[Any], field: pa.Field | None = None) -> pa.Table:
    field = field or pa.field("value", pa.float64())
    return pa.Table.from_arrays(
        [pa.array(times, TIME), pa.array(values, field.type)], schema=pa.schema([pa.field("time", TIME), field])
    )


def answered(*series: Series) -> Any:
    return json.loads(b"".join(points.json_answer(series, {("t", "p"): "kPa"})))


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
    pieces = list(points.json_answer([series], {}))
    assert len(pieces) > 4
    assert [point[1] for point in json.loads(b"".join(pieces))["series"][0]["points"]] == rows
    whole = tables.one_table([typed("t", [(float(row), None, Kind.NUMBER) for row in rows])], ["value"])
    assert b"".join(tables.csv_chunks(whole)).count(b"\n") == 11
    stream = pa.ipc.open_stream(b"".join(tables.arrow_chunks(whole)))
    assert [batch.num_rows for batch in stream] == [3, 3, 3, 1]


Row = tuple[float | None, str | None, Kind]


def typed(thing: str, rows: list[Row]) -> Series:
    """A series of a typed answer, a second apart."""
    numbers, texts, kinds = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "time": pa.array([row * 10**9 for row in range(len(rows))], TIME),
        "number": pa.array(numbers, pa.float64()),
        "text": pa.array(texts, pa.string()),
        "kind": pa.array(map(int, kinds), pa.uint8()),
    }
    return Series(thing, "p", pa.table(columns))


VALUES = st.one_of(
    st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.none(), st.just(Kind.NUMBER)),
    st.integers(2**53, 2**90).map(lambda n: (float(n), str(n), Kind.NUMBER)),
    st.tuples(st.sampled_from([0.0, 1.0]), st.none(), st.just(Kind.BOOLEAN)),
    st.tuples(st.none(), st.text(), st.just(Kind.STRING)),
    st.tuples(st.none(), st.sampled_from(["5", "true", "null", "", " x ", "=1", "-2", '"'])).map(
        lambda pair: (pair[0], pair[1], Kind.STRING)
    ),
    st.tuples(st.none(), st.sampled_from(["null", "[1,2]", '{"a":"\\n"}']), st.just(Kind.JSON)),
)


@hypothesis_settings(deadline=None)
@given(st.lists(VALUES, max_size=20))
def test_a_table_says_every_value_and_is_read_back_as_it_was(rows: list[Row]) -> None:
    whole = tables.one_table([typed("a", rows), typed("b", [])], ["value"])
    assert whole.schema.equals(tables.one_table([], ["value"]).schema)
    expected = [(number, text, int(kind)) for number, text, kind in rows]
    arrow = b"".join(tables.arrow_chunks(whole))
    csv = b"".join(tables.csv_chunks(whole))
    cells = [row["value"] for row in python_csv.DictReader(io.StringIO(csv.decode(), newline=""))]
    texts = [(cell, text) for cell, (_, text, kind) in zip(cells, rows, strict=True) if kind == Kind.STRING]
    assert [cell for cell, _ in texts] == [text for _, text in texts]
    for data, media_type in ((arrow, "application/vnd.apache.arrow.stream"), (csv, "text/csv")):
        read = parse_upload(data, media_type, 0, Model())
        assert not read.refused
        columns = [read.readings.column(name).to_pylist() for name in ("number", "text", "kind")]
        assert list(zip(*columns, strict=True)) == expected


def test_formulas_are_neutralised_on_demand() -> None:
    rows: list[Row] = [
        (None, "=1+1", Kind.STRING),
        (None, " @x", Kind.STRING),
        (None, "\tx", Kind.STRING),
        (None, "a=1", Kind.STRING),
        (-5.0, None, Kind.NUMBER),
    ]
    csv = b"".join(tables.csv_chunks(tables.one_table([typed("-t", rows)], ["value"]), spreadsheet_safe=True))
    found = list(python_csv.DictReader(io.StringIO(csv.decode(), newline="")))
    assert [row["value"] for row in found] == ["'=1+1", "' @x", "'\tx", "a=1", "-5"]
    assert {row["thing"] for row in found} == {"'-t"}


def test_values_of_buckets_have_columns_of_their_own() -> None:
    time = pa.array([0], TIME)
    columns = {"time": time, "count": pa.array([3]), "first": pa.array([None], pa.float64())}
    columns |= {"first_text": pa.array(["eco"]), "first_kind": pa.array([2], pa.uint8()), "avg": pa.array([1.5])}
    whole = tables.one_table([Series("t", "p", pa.table(columns))], ["count", "first", "avg"])
    assert whole.to_pylist()[0]["first_kind"] == "string"
    assert b"".join(tables.csv_chunks(whole)) == (
        b"thing,property,time,count,first,avg\nt,p,1970-01-01T00:00:00Z,3,eco,1.5\n"
    )


def test_nothing_is_an_empty_table() -> None:
    whole = tables.one_table([], ["avg"])
    assert whole.column_names == ["thing", "property", "time", "avg"]
    assert pa.ipc.open_stream(b"".join(tables.arrow_chunks(whole))).read_all().num_rows == 0
    assert b"".join(tables.csv_chunks(whole)) == b"thing,property,time,avg\n"
