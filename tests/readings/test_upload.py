"""Bulk uploads: the same rows in every format give the same readings."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings import upload as upload_module
from allthings.readings import upload_columns, upload_rows
from allthings.readings.arrow_bounds import stream_of, uncompressed_bytes
from allthings.readings.model import Model
from allthings.readings.settings import UPLOAD_BLOCK_BYTES_MAX, UPLOAD_BYTES_MAX, UPLOAD_ERRORS_MAX, UPLOAD_ROWS_MAX
from allthings.readings.upload import Upload, parse_upload, split
from allthings.readings.values import python_value
from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.times import NS_PER_S
from allthings.things.types import PropertyType
from tests.reaching import must_reach, reach
from tests.readings.blocks import NOW_NS

STREAM = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
T = "2026-09-01T00:00:00Z"
T_NS = 1_788_220_800 * NS_PER_S
MODEL = Model({"typed": {"n": PropertyType("number", minimum=0, maximum=10), "s": PropertyType("string")}})


def arrow(columns: dict[str, Any] | pa.Table, compression: str | None = None, file: bool = False) -> bytes:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    sink = io.BytesIO()
    writer = pa.ipc.new_file if file else pa.ipc.new_stream
    with writer(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as out:
        out.write_table(table)
    return sink.getvalue()


def lines(*rows: Any) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def parse(data: bytes, media_type: str, model: Model = MODEL) -> Upload:
    found = parse_upload(data, media_type, NOW_NS, model)
    assert found.readings.schema.equals(block.READINGS)
    found.readings.validate(full=True)
    return found


def rows_of(upload: Upload) -> list[tuple[str, str, int, Any]]:
    batch = upload.readings
    columns = [batch.column(name).to_pylist() for name in ("thing", "property", "number", "text", "kind")]
    times = batch.column("time").cast(pa.int64()).to_pylist()
    return [
        (thing, name, time_ns, python_value(number, text, kind))
        for thing, name, number, text, kind, time_ns in zip(*columns, times, strict=True)
    ]


def errors_of(upload: Upload) -> list[tuple[int, str]]:
    return [(error.row, error.reason) for error in upload.errors]


ROWS = [
    ("a", "t", T, 21.5),
    ("a", "t", "2026-09-01T00:00:01.5+00:00", 3),
    ("b", "on", T, True),
    ("b", "mode", T, "heat"),
]
EXPECTED = [
    ("a", "t", T_NS, 21.5),
    ("a", "t", T_NS + NS_PER_S * 3 // 2, 3),
    ("b", "on", T_NS, True),
    ("b", "mode", T_NS, "heat"),
]
KEYS = ("thing", "property", "time", "value")
OBJECTS = [dict(zip(KEYS, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (lines(*OBJECTS), NDJSON),
        (lines(*OBJECTS).replace(b"\n", b"\r\n\n") + b"\n", "application/jsonl; charset=utf-8"),
        (json.dumps(OBJECTS, indent=2).encode(), "application/json"),
        (json.dumps({"readings": OBJECTS}).encode(), "Application/JSON"),
        ("\n".join([",".join(KEYS), *(",".join(map(str, row)) for row in ROWS)]).encode(), "text/csv"),
        (
            b'value,extra,time,property,"thing"\r\n'
            + "".join(f'"{v}",x,{t},{p},{n}\r\n' for n, p, t, v in ROWS).encode(),
            "text/csv",
        ),
        (
            lines(
                {"thing": "a", "time": T, "values": {"t": 21.5}},
                {"thing": "a", "@time": "2026-09-01T00:00:01.5Z", "t": 3},
                {"thing": "b", "time": T_NS // NS_PER_S, "values": {"on": True, "mode": "heat"}},
            ),
            NDJSON,
        ),
    ],
)
def test_the_same_rows_in_every_text_format(data: bytes, media_type: str) -> None:
    upload = parse(data, media_type)
    assert rows_of(upload) == EXPECTED
    assert (upload.refused, upload.errors) == (0, [])
    assert set(upload.readings.column("received").cast(pa.int64()).to_pylist()) == {NOW_NS}


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("file", [False, True])
def test_arrow_streams_and_files(compression: str | None, file: bool) -> None:
    columns = {
        "thing": pa.array(["a", "a", "b"]).dictionary_encode(),
        "property": ["t", "u", "t"],
        "time": pa.array([T_NS, T_NS + 1, T_NS + 2], pa.timestamp("ns", "UTC")),
        "value": [1.5, 2.0, -3.25],
    }
    kind = STREAM if not file else "application/vnd.apache.arrow.file"
    assert rows_of(parse(arrow(columns, compression, file), kind)) == [
        ("a", "t", T_NS, 1.5),
        ("a", "u", T_NS + 1, 2),
        ("b", "t", T_NS + 2, -3.25),
    ]


def one(time: pa.Array | None = None, value: pa.Array | None = None, **more: pa.Array) -> bytes:
    count = len(time if time is not None else value if value is not None else next(iter(more.values())))
    columns: dict[str, Any] = {"thing": ["a"] * count, "property": [f"p{n}" for n in range(count)]}
    if time is not None:
        columns["time"] = time
    if not more:
        columns["value"] = value if value is not None else [1.0] * count
    return arrow(columns | more)


@pytest.mark.parametrize(
    "time",
    [
        pa.array([T_NS // NS_PER_S], pa.timestamp("s")),
        pa.array([T_NS // 1_000_000], pa.timestamp("ms", "Asia/Shanghai")),
        pa.array([T_NS // 1_000], pa.timestamp("us", "UTC")),
        pa.array([T_NS], pa.timestamp("ns")),
        pa.array([T_NS // 1_000]),
        pa.array([T_NS]),
        pa.array([20260901]),
        pa.array(["20260901"]),
        pa.array(["20260901000000"]),
        pa.array(["20260901T080000+0800"]),
        pa.array([" 2026-W36-2 "]),
        pa.array([str(T_NS // 1_000)]),
        pa.array([datetime.date(2026, 9, 1)]),
        pa.array([T_NS // NS_PER_S]),
        pa.array([T_NS // 1_000_000]),
        pa.array([T_NS / NS_PER_S]),
        pa.array([T]),
        pa.array(["2026-09-01T00:00:00"]),
        pa.array(["2026-09-01 02:00:00+02:00"], pa.large_string()),
        pa.array([T]).dictionary_encode(),
        pa.array([str(T_NS // NS_PER_S)]),
    ],
)
def test_times_of_any_form(time: pa.Array) -> None:
    assert rows_of(parse(one(time), STREAM))[0][2] == T_NS


def test_without_a_time_rows_are_a_nanosecond_apart() -> None:
    expected = [NOW_NS, NOW_NS + 1, NOW_NS + 2]
    assert [row[2] for row in rows_of(parse(one(value=pa.array([1, 2, 3])), STREAM))] == expected
    assert [row[2] for row in rows_of(parse(one(pa.array([None] * 3, pa.timestamp("s"))), STREAM))] == expected
    assert [row[2] for row in rows_of(parse(b"thing,property,value\na,p,1\na,p,2\na,p,3", "text/csv"))] == expected
    assert [
        row[2] for row in rows_of(parse(b"thing,property,time,value\na,p,,1\na,p,,2\na,p,,3", "text/csv"))
    ] == expected
    rows = [{"thing": "a", "property": "p", "value": n} for n in range(3)]
    assert [row[2] for row in rows_of(parse(lines(*rows), NDJSON))] == expected


@pytest.mark.parametrize(
    ("times", "bad"),
    [
        (pa.array([0, 9 * 10**18, -9 * 10**18, T_NS // NS_PER_S]), {2, 3}),
        (pa.array([0.0, float("nan"), float("inf"), 1e300]), {2, 3, 4}),
        (pa.array([0, 2**62, -(2**62), 1], pa.timestamp("s")), {2, 3}),
        (pa.array([0, (NOW_NS + 2 * 86_400 * NS_PER_S) // NS_PER_S]), {2}),
        (pa.array([T, "yesterday", "", "1789992000", "1789992000.5", "9" * 400, "2100-01-01T00:00:00Z"]), {2, 6, 7}),
        (pa.array(["1850-01-01T00:00:00Z", T]), {1}),
    ],
)
def test_times_that_are_refused(times: pa.Array, bad: set[int]) -> None:
    upload = parse(one(times), STREAM)
    assert {row for row, _ in errors_of(upload)} == bad
    assert upload.refused == len(bad)
    assert len(upload.readings) == len(times) - len(bad)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pa.array([1, None, 2**60 + 1, -(2**63)]), [1, None, 2**60 + 1, -(2**63)]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([1.5, None, 1e308]), [1.5, None, 1e308]),
        (pa.array([1.5], pa.float32()), [1.5]),
        (pa.array([np.float16(0.5)], pa.float16()), [0.5]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.array(["21.5", "", None, "[1]"]), ["21.5", "", None, "[1]"]),
        (pa.array(["x", "y"], pa.large_string()).dictionary_encode(), ["x", "y"]),
        (pa.nulls(2), [None, None]),
        (pc.cast(pa.array([1.25]), pa.decimal128(9, 4)), [1.25]),
    ],
)
def test_arrow_values(value: pa.Array, expected: list[Any]) -> None:
    found = [row[3] for row in rows_of(parse(one(value=value), STREAM))]
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_number_and_text_in_place_of_a_value() -> None:
    data = one(number=pa.array([1.5, None, None]), text=pa.array([None, "x", None]))
    assert [row[3] for row in rows_of(parse(data, STREAM))] == [1.5, "x", None]
    assert [row[3] for row in rows_of(parse(one(number=pa.array([1.5])), STREAM))] == [1.5]


@pytest.mark.parametrize("value", [pa.array([float("nan"), 1.0, float("inf"), float("-inf")])])
def test_arrow_numbers_that_are_none(value: pa.Array) -> None:
    upload = parse(one(value=value), STREAM)
    assert [row for row, reason in errors_of(upload) if "neither NaN nor infinity" in reason] == [1, 3, 4]
    assert [row[3] for row in rows_of(upload)] == [1]


def csv(*values: str, name: str = "p", thing: str = "a") -> bytes:
    return "\n".join(["thing,property,time,value", *(f'{thing},{name},{T},"{v}"' for v in values)]).encode()


def test_csv_values() -> None:
    texts = (
        "1",
        "-.5",
        "+1e3",
        "5.",
        "007",
        "true",
        "FALSE",
        "null",
        "heat",
        " 1",
        "[1, 2]",
        "{bad",
        "1_0",
        "0x1f",
        "9007199254740993",
    )
    expected = [1, -0.5, 1000, 5, 7, True, False, None, "heat", " 1", [1, 2], "{bad", "1_0", "0x1f", 9007199254740993]
    assert [row[3] for row in rows_of(parse(csv(*texts), "text/csv"))] == expected
    # All numbers take another way through; the result is the same.
    assert [row[3] for row in rows_of(parse(csv("1", "-.5", "9007199254740993"), "text/csv"))] == [
        1,
        -0.5,
        9007199254740993,
    ]


@pytest.mark.parametrize("texts", [("1", "nan", "-inf", "1e400"), ("x", "NaN", "Infinity", "-1e400")])
def test_csv_numbers_that_are_none(texts: tuple[str, ...]) -> None:
    upload = parse(csv(*texts), "text/csv")
    assert [row for row, _ in errors_of(upload)] == [2, 3, 4]
    assert len(upload.readings) == 1


def test_csv_lines_of_another_length_are_refused_by_number() -> None:
    data = b'thing,property,time,value\na,p,,1\na,p\na,p,,"two\nlines"\na,p,,3,4\nb c,p,,4\na,p,,5\n'
    upload = parse(data, "text/csv")
    assert [(row, reason[:20]) for row, reason in errors_of(upload)] == [
        (2, "2 fields, the header"),
        (4, "5 fields, the header"),
        (5, "'b c' is no thing na"),
    ]
    assert [row[3] for row in rows_of(upload)] == [1, "two\nlines", 5]


def test_csv_empty_values_and_declared_texts() -> None:
    assert errors_of(parse(csv("x", "", "1"), "text/csv")) == [(2, "the value is empty")]
    upload = parse(csv("1.10", "true", "", "[1]", name="s", thing="typed"), "text/csv")
    assert [row[3] for row in rows_of(upload)] == ["1.10", "true", "", "[1]"]


@pytest.mark.parametrize("media_type", ["text/csv", NDJSON, STREAM])
def test_declared_types_hold_in_every_format(media_type: str) -> None:
    numbers = [5, 11, -1, 10]
    data = {
        "text/csv": csv(*map(str, numbers), name="n", thing="typed"),
        NDJSON: lines(*({"thing": "typed", "property": "n", "time": T, "value": n} for n in numbers)),
        STREAM: arrow({"thing": ["typed"] * 4, "property": ["n"] * 4, "value": numbers}),
    }[media_type]
    upload = parse(data, media_type)
    assert [row[3] for row in rows_of(upload)] == [5, 10]
    assert [row for row, _ in errors_of(upload)] == [2, 3]
    assert "maximum is 10, got 11" in upload.errors[0].reason


def test_a_wrong_kind_for_a_declared_type() -> None:
    upload = parse(arrow({"thing": ["typed", "free"], "property": ["n", "n"], "value": ["x", "x"]}), STREAM)
    assert [(row, "type is number" in reason) for row, reason in errors_of(upload)] == [(1, True)]
    upload = parse(arrow({"thing": ["typed", "typed"], "property": ["n", "s"], "value": [None, True]}), STREAM)
    assert [row[3] for row in rows_of(upload)] == [None]
    assert "type is string" in upload.errors[0].reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("[1]", "no JSON object"),
        ("{", "no JSON"),
        ('{"thing":"a"}', "needs thing, property, time and value"),
        ('{"thing":"a b","property":"p","value":1}', "no thing name"),
        ('{"thing":1,"property":"p","value":1}', "no thing name"),
        ('{"thing":["a"],"property":"p","value":1}', "no thing name"),
        ('{"property":"p","value":1}', "no thing name"),
        ('{"thing":"a","property":{},"value":1}', "no property name"),
        ('{"thing":"a","property":"x/y","value":1}', "no property name"),
        ('{"thing":"a","property":"p","value":1,"time":"no"}', "no RFC 3339"),
        ('{"thing":"a","property":"p","value":1,"time":true}', "@time"),
        ('{"thing":"a","values":[]}', "values is no object"),
        ('{"thing":"a","values":{}}', "values is no object"),
        ('{"thing":"a","values":{"p":1},"x":1}', "'x' next to"),
        ('{"@time":5,"p":1}', "no thing name"),
        ('{"thing":"a","property":"p","value":' + "[" * 70 + "]" * 70 + "}", "nested deeper"),
        ('{"thing":"a","values":{"x/y":1,"p":2}}', "no property name"),
    ],
)
def test_json_rows_that_are_refused(row: str, reason: str) -> None:
    good = '{"thing":"a","property":"good","value":1}'
    upload = parse(f"{good}\n{row}\n{good}".encode(), NDJSON)
    assert [(number, reason in told) for number, told in errors_of(upload)] == [(2, True)]
    assert [one[1] for one in rows_of(upload) if one[1] == "good"] == ["good", "good"]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"", "application/json"),
        (b"[{]", "application/json"),
        (b"3", "application/json"),
        (b'{"readings":3}', "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"", "text/csv"),
        (b"thing,property,time\na,p,1", "text/csv"),
        (b"thing,thing,property,value\na,a,p,1", "text/csv"),
        (b"thing,property,value\na,p,\xff\xfe", "text/csv"),
        (b"", STREAM),
        (b"ARROW1\0\0", STREAM),
        (b"no arrow at all", STREAM),
        (arrow({"thing": ["a"], "property": ["p"]}), STREAM),
        (arrow({"thing": [1], "property": ["p"], "value": [{"x": 1}]}), STREAM),
        (arrow({"thing": [b"\xff"], "property": ["p"], "value": [1]}), STREAM),
        (arrow({"thing": ["a"], "property": ["p"], "value": [1], "time": [True]}), STREAM),
        (b"{}", "text/plain"),
    ],
)
def test_uploads_that_cannot_be_read_at_all(data: bytes, media_type: str) -> None:
    with pytest.raises(BadInputError):
        parse(data, media_type)


def test_uploads_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LimitExceededError, match="bytes in one upload"):
        parse(b" " * (UPLOAD_BYTES_MAX + 1), "text/csv")
    with pytest.raises(LimitExceededError, match="lines"):
        parse(b"\n" * (UPLOAD_ROWS_MAX + 1), NDJSON)
    with pytest.raises(LimitExceededError, match="readings"):
        parse(b"[" + b"0," * UPLOAD_ROWS_MAX + b"0]", "application/json")
    rows = UPLOAD_ROWS_MAX + 1
    many = pa.table(
        {"thing": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int8)), ["a"]), "x": pa.nulls(rows)}
    )
    with pytest.raises(LimitExceededError, match="rows"):
        parse(arrow(many), STREAM)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    zeros = pa.table({"thing": ["a"], "property": ["p"], "value": ["\0" * 300_000_000]})
    data = arrow(zeros, "zstd")
    assert len(data) < 1_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(LimitExceededError, match="once decompressed"):
        parse(data, STREAM)
    assert pa.total_allocated_bytes() - before < 10_000_000


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_sizes_are_read_from_metadata(compression: str | None) -> None:
    table = pa.table({"thing": pa.array(["a"] * 10_000).dictionary_encode(), "s": ["x" * 100] * 10_000})
    for file in (False, True):
        size = uncompressed_bytes(stream_of(arrow(table, compression, file)))
        assert 1_080_000 <= size <= 1_100_000


def read_or_refused(data: bytes, media_type: str) -> str:
    try:
        parse(data, media_type)
    except (BadInputError, LimitExceededError):
        return "refused"
    return "read"


@must_reach("read", "refused")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_arrow_is_refused_or_read_but_never_worse(data: st.DataObject) -> None:
    stream = bytearray(arrow({"thing": ["a"] * 3, "property": ["p"] * 3, "value": [1.0, 2.0, 3.0]}, "lz4"))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(stream)) | st.integers(0, len(stream)))
    reach(read_or_refused(bytes(stream[:end]), STREAM))


@must_reach("read", "refused")
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.sampled_from(upload_module.MEDIA_TYPES))
def test_any_bytes_are_refused_or_read(data: bytes, media_type: str) -> None:
    reach(read_or_refused(b"thing,property,value\n" + data if media_type == "text/csv" else data, media_type))


@must_reach("rows", "refused rows")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "typed", "b c"]),
            st.sampled_from(["n", "p", "x/y"]),
            st.sampled_from([T, "2026-09-01T00:00:01Z", "no", "2100-01-01T00:00:00Z", 5]),
            st.integers(-20, 20) | st.floats(-20, 20) | st.integers(-(2**62), 2**62),
        ),
        max_size=8,
    )
)
def test_formats_agree(rows: list[tuple[Any, ...]]) -> None:
    header = ",".join(KEYS) + "\n"
    found = [
        parse(lines(*(dict(zip(KEYS, row, strict=True)) for row in rows)), NDJSON),
        parse((header + "".join(f"{a},{b},{c},{d!r}\n" for a, b, c, d in rows)).encode(), "text/csv"),
    ]
    reach("rows", len(rows_of(found[0])))
    reach("refused rows", len(errors_of(found[0])))
    assert rows_of(found[0]) == rows_of(found[1])
    assert [row for row, _ in errors_of(found[0])] == [row for row, _ in errors_of(found[1])]


def test_errors_are_listed_up_to_a_bound_and_counted() -> None:
    upload = parse(csv(*["nan"] * (UPLOAD_ERRORS_MAX + 5)), "text/csv")
    assert (len(upload.errors), upload.refused) == (UPLOAD_ERRORS_MAX, UPLOAD_ERRORS_MAX + 5)


def test_splitting_keeps_the_order_and_bounds_the_blocks() -> None:
    rows = 400_000
    names = [f"thing-{n % 70_000}" for n in range(rows)]
    table = {"thing": names, "property": ["p"] * rows, "value": np.random.default_rng(1).random(rows)}
    readings = parse(arrow(table), STREAM).readings
    parts = list(split(readings))
    assert len(parts) > 1
    assert all(len(block.encode(part)) < UPLOAD_BLOCK_BYTES_MAX for part in parts)
    joined = pa.Table.from_batches(parts).unify_dictionaries()
    assert joined.column("thing").to_pylist() == names
    assert joined.column("number").combine_chunks().equals(readings.column("number"))
    assert list(split(readings.slice(0, 0))) == []


def test_splitting_long_texts() -> None:
    upload = parse(arrow({"thing": ["a"] * 300, "property": ["p"] * 300, "value": ["x" * 65_000] * 300}), STREAM)
    parts = list(split(upload.readings))
    assert sum(part.num_rows for part in parts) == 300
    assert all(part.nbytes < UPLOAD_BLOCK_BYTES_MAX for part in parts)


def test_parsers_are_those_of_the_media_types() -> None:
    assert upload_columns.parse_csv(csv("1"), NOW_NS, MODEL).readings.num_rows == 1
    assert upload_rows.parse_ndjson(b"", NOW_NS, MODEL).readings.num_rows == 0
