"""The rules of the native topics, one by one."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.decode import decode, decode_all
from allthings.readings.decoded import DECODED
from allthings.readings.model import Model
from allthings.readings.settings import (
    ELEMENTS_MAX,
    FAULTS_NAMED_MAX,
    NESTING_MAX,
    PAYLOAD_BYTES_MAX,
    PROPERTIES_MAX,
    TEXT_BYTES_MAX,
)
from allthings.things.times import NS_PER_S, TIME_NS_MIN, parse_time
from allthings.things.types import Kind
from tests.readings.blocks import NOW_NS, OBJECT, Message, decode_messages, entry_of, only_reason, rows_of, values_of

DAY_NS = 86_400 * NS_PER_S


def test_an_object_of_numbers_booleans_and_strings() -> None:
    decoded = decode_messages(Message(OBJECT, b'{"t":21.5,"n":3,"on":true,"mode":"heat"}'))
    assert decoded.readings.schema.equals(DECODED)
    assert [(row.property, row.value, row.kind) for row in rows_of(decoded)] == [
        ("t", 21.5, Kind.NUMBER),
        ("n", 3, Kind.NUMBER),
        ("on", True, Kind.BOOLEAN),
        ("mode", "heat", Kind.STRING),
    ]
    for row in rows_of(decoded):
        assert (row.thing, row.time_ns, row.received_ns) == ("a", NOW_NS, NOW_NS)
        assert row.position == block.position(7, 0)
    assert (decoded.messages, decoded.unclaimed, decoded.rejects, decoded.events) == (1, 0, [], [])


def test_positions_are_the_rows_of_the_block() -> None:
    messages = [
        Message("x/y", b"1"),
        Message("things/a/properties/p", b"1"),
        Message("things/b/properties", b'{"p":2}'),
    ]
    decoded = decode_messages(*messages, sequence=9)
    assert [(row.thing, row.position) for row in rows_of(decoded)] == [
        ("a", block.position(9, 1)),
        ("b", block.position(9, 2)),
    ]
    assert decoded.unclaimed == 1


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21.5", 21.5),
        (b" -3\n", -3),
        (b"true", True),
        (b"null", None),
        (b'"21.5"', "21.5"),
        (b"ON", "ON"),
        (b"True", "True"),
        (b"007", "007"),
        (b"+5", "+5"),
        (b"1,5", "1,5"),
        (b"two words\r\n", "two words"),
        ("größer".encode(), "größer"),
        (b'{"x":[1, 2]}', {"x": [1, 2]}),
        (b"[1,2]", [1, 2]),
    ],
)
def test_a_single_value(payload: bytes, value: Any) -> None:
    decoded = decode_messages(Message("things/a/properties/p", payload))
    assert not decoded.rejects
    found = values_of(decoded)["p"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"x":1', "no JSON"),
        (b"[1,2", "no JSON"),
        (b'"open', "no JSON"),
        (b"NaN", "neither NaN nor infinity"),
        (b"-Infinity", "neither NaN nor infinity"),
        (b"1e400", "out of range"),
        (b"-" + b"9" * 400, "beyond the range"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"[" * 100_000, "nested deeper"),
    ],
)
def test_a_single_value_that_is_refused(payload: bytes, reason: str) -> None:
    assert reason in only_reason(Message("things/a/properties/p", payload))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"t":21.5', "no JSON"),
        (b"", "empty"),
        (b"21.5", "neither an object"),
        (b'"text"', "neither an object"),
        (b"null", "neither an object"),
        (b"{}", "without a property"),
        (b'{"@time":0}', "without a property"),
        (b"[]", "array of 0 objects"),
        (b"[1]", "element 0: no object"),
        (b"[{}]", "element 0: an object without"),
        (b'{"t":NaN}', "no JSON"),
        (b'{"t":1e400}', "out of range"),
        (b'{"t":' + b"9" * 400 + b"}", "beyond the range"),
        (b'{"t":' + b"9" * 312 + b"}", "beyond the range"),
        (b'{"t":"\xff"}', "not UTF-8"),
        (b'{"t":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper"),
        (b'{"t":' + b"[" * (NESTING_MAX + 1) + b"]" * (NESTING_MAX + 1) + b"}", "nested deeper"),
        (b'{"":1}', "no property name"),
        (b'{"a/b":1}', "no property name"),
        (b'{"a\\u0000b":1}', "no property name"),
        (json.dumps({"x" * 129: 1}).encode(), "no property name"),
        (json.dumps({"t": "x" * (TEXT_BYTES_MAX + 1)}).encode(), "a text of 65,537 bytes"),
        (
            json.dumps({"t": "\u00e9" * (TEXT_BYTES_MAX // 2 + 1)}, ensure_ascii=False).encode(),
            "a text of 65,538 bytes",
        ),
        (json.dumps({"t": ["x" * TEXT_BYTES_MAX]}).encode(), "bytes as JSON"),
        (json.dumps(dict.fromkeys(map(str, range(PROPERTIES_MAX + 2)), 1)).encode(), "4,098 properties"),
        (b'{"t":1,"@time":"yesterday"}', "@time: 'yesterday' is no RFC 3339"),
        (b'{"t":1,"@time":null}', "@time"),
        (b'{"t":1,"@time":{}}', "@time"),
        (b'{"t":1,"@time":' + b"9" * 200 + b"}", "outside 1900 to 2262"),
        (b'{"t":1,"@time":1e300}', "outside 1900 to 2262"),
        (b'{"t":1,"@time":"2100-01-01T00:00:00Z"}', "days ahead"),
        (b" " * PAYLOAD_BYTES_MAX + b"{}", "larger than 1,048,576 bytes"),
    ],
)
def test_an_object_that_is_refused(payload: bytes, reason: str) -> None:
    decoded = decode_messages(Message(OBJECT, payload), Message(OBJECT, b'{"after":1}'))
    assert [reject.payload for reject in decoded.rejects] == [payload]
    assert reason in decoded.rejects[0].reason
    assert values_of(decoded) == {"after": 1}


def test_a_reject_is_kept_whole() -> None:
    decoded = decode_messages(Message("x", b""), Message(OBJECT, b"{", NOW_NS + 5, "dev-9"))
    (reject,) = decoded.rejects
    assert (reject.position, reject.received_ns, reject.client, reject.topic, reject.payload) == (
        block.position(7, 1),
        NOW_NS + 5,
        "dev-9",
        OBJECT,
        b"{",
    )


def test_the_most_nested_value_that_is_kept() -> None:
    value = "[" * NESTING_MAX + "]" * NESTING_MAX
    decoded = decode_messages(Message(OBJECT, f'{{"t":{value}}}'.encode()))
    assert decoded.readings.column("text").to_pylist() == [value]


def test_json_values_are_kept_compact() -> None:
    decoded = decode_messages(Message(OBJECT, b'{"o": {"x": [1, 2.5, null, "\\u00e9"]}, "z": null}'))
    assert decoded.readings.column("text").to_pylist() == ['{"x":[1,2.5,null,"é"]}', "null"]
    assert decoded.readings.column("number").null_count == 2
    assert decoded.readings.column("kind").to_pylist() == [Kind.JSON, Kind.JSON]


def test_integers_that_no_float_holds_are_exact_in_text() -> None:
    big = [2**53, 2**53 + 1, -(2**53) - 1, 2**64, 10**40]
    decoded = decode_messages(Message(OBJECT, json.dumps({str(n): n for n in big}).encode()))
    assert [row.value for row in rows_of(decoded)] == big
    assert decoded.readings.column("text").to_pylist() == [*map(str, big)]
    assert decoded.readings.column("number").to_pylist() == [float(n) for n in big]


def test_numbers_that_are_hard() -> None:
    decoded = decode_messages(Message(OBJECT, b'{"a":1e-400,"b":-0.0,"c":1.7976931348623157e308,"d":5e-324}'))
    numbers = decoded.readings.column("number").to_pylist()
    assert numbers == [0.0, 0.0, 1.7976931348623157e308, 5e-324]
    assert math.copysign(1, numbers[1]) == -1


def test_of_equal_names_the_last_wins() -> None:
    assert values_of(decode_messages(Message(OBJECT, b'{"t":1,"u":2,"t":3}'))) == {"t": 3, "u": 2}


@pytest.mark.parametrize(
    "time",
    ['"2026-09-21T12:00:00Z"', '"2026-09-21T14:00:00.5+02:00"', "1789992000", "1789992000123", "1789992000.25", "0"],
)
def test_the_devices_own_time(time: str) -> None:
    decoded = decode_messages(Message(OBJECT, f'{{"a":1,"@time":{time},"b":2}}'.encode()))
    assert [(row.property, row.time_ns, row.received_ns) for row in rows_of(decoded)] == [
        ("a", parse_time(json.loads(time)), NOW_NS),
        ("b", parse_time(json.loads(time)), NOW_NS),
    ]


def test_clocks_of_1900_and_one_day_ahead_are_kept() -> None:
    tomorrow_s = (NOW_NS + DAY_NS) // NS_PER_S
    decoded = decode_messages(
        Message(OBJECT, b'{"a":1,"@time":"1900-01-01T00:00:00Z"}'),
        Message(OBJECT, f'{{"a":1,"@time":{tomorrow_s}}}'.encode()),
        Message(OBJECT, f'{{"a":1,"@time":{tomorrow_s + 1}}}'.encode()),
    )
    assert [row.time_ns for row in rows_of(decoded)] == [TIME_NS_MIN, tomorrow_s * NS_PER_S]
    assert "1.0 days ahead" in decoded.rejects[0].reason


def test_an_array_of_objects() -> None:
    payload = b'[{"@time":1700000000,"a":1},{"@time":1700000001,"a":2,"b":true},{"a":3}]'
    assert [(row.property, row.time_ns, row.value) for row in rows_of(decode_messages(Message(OBJECT, payload)))] == [
        ("a", 1_700_000_000 * NS_PER_S, 1),
        ("a", 1_700_000_001 * NS_PER_S, 2),
        ("b", 1_700_000_001 * NS_PER_S, True),
        ("a", NOW_NS, 3),
    ]


def test_elements_without_a_time_do_not_replace_each_other_nor_what_follows() -> None:
    decoded = decode_messages(
        Message(OBJECT, b'[{"p":0},{"p":1},{"p":2}]', NOW_NS),
        Message("things/a/properties/p", b"3", NOW_NS + 1),
        Message(OBJECT, b'{"p":4}', NOW_NS + 2),
        Message("things/b/properties", b'{"p":5}', NOW_NS + 3),
        Message(OBJECT, b'{"p":6}', NOW_NS + 10),
    )
    times = [row.time_ns - NOW_NS for row in rows_of(decoded) if row.thing == "a"]
    # The gateway's times are apart within the block; the array's last is + 2, so + 1 and + 2 move behind it.
    assert times[:3] == [0, 1, 2]
    assert times[3] == 3
    assert times[-1] == 10
    assert [row.time_ns for row in rows_of(decoded) if row.thing == "b"] == [NOW_NS + 3]
    assert [row.received_ns for row in rows_of(decoded)][3] == NOW_NS + 1


def test_of_equal_times_in_one_message_the_last_wins() -> None:
    payload = b'[{"@time":5,"a":1,"b":1},{"@time":6,"a":9},{"@time":5,"a":2},{"@time":5,"c":3}]'
    found = [
        (row.property, row.time_ns // NS_PER_S, row.value) for row in rows_of(decode_messages(Message(OBJECT, payload)))
    ]
    assert found == [("b", 5, 1), ("a", 6, 9), ("a", 5, 2), ("c", 5, 3)]


def test_a_bad_element_leaves_the_others() -> None:
    payload = b'[{"@time":5,"a":1},{"@time":"no","a":2},3,{"x/y":1,"c":4}]'
    decoded = decode_messages(Message(OBJECT, payload))
    assert [row.value for row in rows_of(decoded)] == [1, 4]
    (reject,) = decoded.rejects
    assert reject.reason.startswith("element 1: @time: 'no' is no RFC 3339")
    assert "element 2: no object of properties" in reject.reason
    assert "'x/y' is no property name" in reject.reason


def test_too_many_elements() -> None:
    payload = b"[" + b"1," * ELEMENTS_MAX + b"1]"
    assert "100,001 objects" in only_reason(Message(OBJECT, payload))


def test_a_long_list_of_faults_is_cut() -> None:
    reason = only_reason(Message(OBJECT, b"[" + b"1," * 999 + b"1]"))
    assert reason.endswith(f"and {1000 - FAULTS_NAMED_MAX} more")
    assert len(reason) < 500


# Topics


@pytest.mark.parametrize(
    "topic",
    [
        "x",
        "thing/a/properties",
        "things",
        "things/a",
        "things/a/actions/go",
        "things/a/actions/go/result",
        "things/a/desired",
        "things/a/events",
        "things/a/other",
        "zigbee2mqtt/lamp",
        "/things/a/properties",
    ],
)
def test_topics_that_are_not_claimed(topic: str) -> None:
    decoded = decode_messages(Message(topic, b'{"a":1}'))
    assert (decoded.unclaimed, decoded.messages, decoded.readings.num_rows, decoded.rejects) == (1, 1, 0, [])


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("things//properties", "no thing name"),
        ("things/a b/properties", "no thing name"),
        ("things/ä/properties/t", "no thing name"),
        ("things/" + "x" * 129 + "/events/e", "no thing name"),
        ("things/a/properties/", "no property name"),
        ("things/a/properties/x/y", "no property name"),
        ("things/a/events/\x01", "no property name"),
    ],
)
def test_topics_with_bad_names_are_rejects(topic: str, reason: str) -> None:
    assert reason in only_reason(Message(topic, b"1"))


@pytest.mark.parametrize("topic", [OBJECT, "things/a/properties/p", "things/a/events/e"])
def test_an_empty_retained_message_only_clears(topic: str) -> None:
    decoded = decode_messages(Message(topic, b"", flags=block.FLAG_RETAIN))
    assert (decoded.unclaimed, decoded.rejects) == (1, [])
    assert "empty" in only_reason(Message(topic, b""))


# Events


def test_events() -> None:
    decoded = decode_messages(
        Message("things/a/events/alarm", b'{"level": 3, "@time": 1700000000}'),
        Message("things/a/events/alarm", b"fire!"),
        Message("things/a/events/alarm", b"7"),
    )
    assert [(event.name, event.data, event.time_ns, event.position) for event in decoded.events] == [
        ("alarm", '{"level":3,"@time":1700000000}', 1_700_000_000 * NS_PER_S, block.position(7, 0)),
        ("alarm", '"fire!"', NOW_NS, block.position(7, 1)),
        ("alarm", "7", NOW_NS, block.position(7, 2)),
    ]


@pytest.mark.parametrize("payload", [b"{bad", b"\xff", b"", b'{"@time":"no"}', b'"' + b"x" * TEXT_BYTES_MAX + b'"'])
def test_events_that_are_refused(payload: bytes) -> None:
    decoded = decode_messages(Message("things/a/events/alarm", payload))
    assert (len(decoded.rejects), decoded.events) == (1, [])


# Blocks


def test_a_block_of_readings_passes() -> None:
    row = {"thing": "a", "property": "p", "time": NOW_NS, "number": 1.5, "text": None, "kind": 0, "received": NOW_NS}
    batch = pa.RecordBatch.from_pylist([row, row | {"number": 2.5}], schema=block.READINGS)
    decoded = decode(Entry(3, block.encode(batch), NOW_NS), Model())
    assert [(row.value, row.position) for row in rows_of(decoded)] == [
        (1.5, block.position(3, 0)),
        (2.5, block.position(3, 1)),
    ]
    assert (decoded.messages, decoded.unclaimed) == (0, 0)


def test_an_empty_block() -> None:
    decoded = decode_messages()
    assert (decoded.messages, decoded.readings.num_rows, decoded.readings.schema) == (0, 0, DECODED)


def test_a_damaged_block_becomes_one_reject() -> None:
    data = entry_of([Message(OBJECT, b'{"t":1}')] * 5).data
    for size in range(len(data) - 8):
        decoded = decode(Entry(4, data[:size], NOW_NS), Model())
        assert decoded.messages in (0, 5)
        if decoded.messages == 0:
            (reject,) = decoded.rejects
            assert "block 4 of the log is damaged" in reject.reason
            assert (reject.payload, reject.received_ns) == (data[:size], NOW_NS)


def test_a_block_of_another_kind_is_damage() -> None:
    batch = pa.RecordBatch.from_pydict({"x": [1]})
    decoded = decode(Entry(4, block.encode(batch), NOW_NS), Model())
    assert "its columns are x" in decoded.rejects[0].reason


def test_many_threads_share_a_model() -> None:
    model = Model()
    entries = [
        entry_of(
            [Message(f"things/t{n % 50}/properties", f'{{"p{(n * 7 + s) % 90}":{n}}}'.encode()) for n in range(200)], s
        )
        for s in range(1, 40)
    ]
    with ThreadPoolExecutor(8) as pool:
        together = [rows_of(one) for one in pool.map(lambda entry: decode(entry, model), entries)]
    assert together == [rows_of(decode(entry, Model())) for entry in entries]


def test_changes_of_sessions_in_a_block_mean_nothing_here() -> None:
    """Blocks may hold them beside their messages, or nothing else."""
    plain = [entry_of([Message(OBJECT, b'{"t":%d}' % number)] * (number != 2), number) for number in range(1, 5)]
    changed = [
        Entry(entry.sequence, block.encode(block.with_changes(entry.batch, b"changes" * 100)), NOW_NS)
        for entry in plain
    ]
    expected = decode_all(plain, Model())
    for entries in (changed, [plain[0], changed[1], changed[2], plain[3]], [changed[1]] * 1):
        found = decode_all(entries, Model())
        rows = [row for decoded in found for row in rows_of(decoded)]
        sequences = {entry.sequence for entry in entries}
        wanted = [row for each in expected for row in rows_of(each) if block.sequence(row.position) in sequences]
        assert rows == wanted
        assert not any(decoded.rejects for decoded in found)
