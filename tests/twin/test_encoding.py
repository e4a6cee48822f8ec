"""Readings as JSON text say the same as current values do elsewhere."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.readings.decoded import DECODED, Decoded
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, format_time
from allthings.things.types import Kind
from allthings.twin.encoding import rows_json, together
from allthings.twin.live import Frame, current_values
from tests.readings.blocks import NOW_NS

Row = tuple[str, str, int, float | None, str | None, int, int]

NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(2**53), 2**53).map(float),
    st.sampled_from([0.0, -0.0, 1e9, 1e9 - 1, 123_456_789_012.0, 123_456_789_012.5, 1e21, 5e-324]),
)
JSON_TEXTS = st.sampled_from(["null", "[1,2]", '{"a":"\\n"}', None])
VALUES = st.one_of(
    st.tuples(NUMBERS, st.none(), st.just(Kind.NUMBER)),
    st.integers(2**53, 2**80).map(lambda n: (float(n), str(n), Kind.NUMBER)),
    st.tuples(st.sampled_from([0.0, 1.0]), st.none(), st.just(Kind.BOOLEAN)),
    st.tuples(st.none(), st.text(), st.just(Kind.STRING)),
    st.tuples(st.none(), JSON_TEXTS, st.just(Kind.JSON)),
)
TIMES = st.one_of(
    st.integers(TIME_NS_MIN, TIME_NS_MAX),
    st.sampled_from(
        [0, NS_PER_S, NOW_NS, NOW_NS // 1000 * 1000, NOW_NS // 10**6 * 10**6, NOW_NS // NS_PER_S * NS_PER_S]
    ),
)
NAMES = st.sampled_from(["pump-7", 'a"b', "weiß", "line\nbreak"])
ROWS = st.lists(st.tuples(NAMES, NAMES, TIMES, VALUES, TIMES), max_size=30)


def readings(rows: list[tuple[str, str, int, tuple[float | None, str | None, int], int]]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {name: [] for name in DECODED.names}
    for position, (thing, name, time, (number, text, kind), received) in enumerate(rows):
        row = (thing, name, time, number, text, int(kind), received, position)
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.RecordBatch.from_pydict(columns, DECODED)


def expected(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The slow way: object by object."""
    return [
        {
            "thing": one.thing,
            "property": one.property,
            "value": msgspec.json.decode(msgspec.json.encode(one.value)),
            "time": format_time(one.time_ns),
            "received": format_time(one.received_ns),
            "quality": one.quality,
        }
        for one in current_values(batch)
    ]


@given(rows=ROWS)
@settings(max_examples=200, deadline=None)
def test_the_same_as_object_by_object(rows: list[Any]) -> None:
    batch = readings(rows)
    texts = rows_json(batch).to_pylist()
    wanted = expected(batch)
    # Types too: an integer is no float.
    assert all(text.endswith("},") for text in texts)
    assert [repr(json.loads(text[:-1])) for text in texts] == [repr(one) for one in wanted]
    assert json.loads(b"[" + together(rows_json(batch)) + b"]") == wanted
    assert json.loads(b"[" + together(rows_json(batch)[1:]) + b"]") == wanted[1:]
    assert not any("\n" in text for text in texts)


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_times_have_as_many_digits_as_they_need(digits: int) -> None:
    times = [NOW_NS // 10 ** (9 - digits) * 10 ** (9 - digits) + n * NS_PER_S for n in range(3)]
    batch = readings([("a", "b", time, (1.0, None, Kind.NUMBER), time) for time in times])
    assert [json.loads(text[:-1])["time"] for text in rows_json(batch).to_pylist()] == list(map(format_time, times))


def test_part_of_a_batch() -> None:
    batch = readings([("a", "b", NOW_NS + n, (float(n), None, Kind.NUMBER), NOW_NS) for n in range(9)])
    chosen = batch.take(pa.array(np.array([1, 5])))
    assert rows_json(chosen).to_pylist() == [rows_json(batch).to_pylist()[place] for place in (1, 5)]
    assert rows_json(batch.slice(1, 1)).to_pylist() == rows_json(chosen).to_pylist()[:1]


def test_what_was_uploaded_is_said() -> None:
    """By the live feed, of whole frames and of parts of them."""
    batch = readings([("a", "x", NOW_NS, (1.0, None, Kind.NUMBER), NOW_NS), ("b", "x", 5, (2.0, None, Kind.NUMBER), 7)])
    for messages, origin in ((1, None), (0, "upload")):
        frame = Frame(Decoded(1, batch, messages=messages))
        for rows in ([0, 1], [1]):
            found = json.loads(b"[" + frame.json(np.array(rows)) + b"]")
            assert [one.get("origin") for one in found] == [origin] * len(rows)
            assert [{**one, "origin": None} for one in found] == [
                {**one, "origin": None} for place, one in enumerate(expected(batch)) if place in rows
            ]
