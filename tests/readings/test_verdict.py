"""The gateway's verdict is the historian's."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings.decode import decode
from allthings.readings.model import Model
from allthings.readings.verdict import verdicts
from allthings.things.types import PropertyType
from tests.reaching import must_reach, reach

NOW = 1_800_000_000_000_000_000
MODEL = Model(
    {
        "lamp": {
            "level": PropertyType(type="number", minimum=0, maximum=100),
            "on": PropertyType(type="boolean"),
            "mode": PropertyType(type="string", enum=("eco", "full")),
            "name": PropertyType(type="string"),
            "count": PropertyType(type="integer"),
            "list": PropertyType(type="array", schema={"type": "array", "items": {"type": "number"}, "maxItems": 2}),
        }
    }
)


def judge(topic: str, *payloads: bytes, flags: int = 1) -> list[str]:
    return verdicts(topic, payloads, flags, NOW, MODEL)


def test_each_payload_has_its_verdict() -> None:
    found = judge("things/lamp/properties", b'{"level": 50}', b'{"level": "high"}', b'{"level": 101, "on": 1}', b"{")
    assert found[0] == ""
    assert found[1] == "property 'level': type is number, got 'high'"
    assert "property 'level': maximum is 100, got 101" in found[2]
    assert "property 'on': type is boolean, got 1" in found[2]
    assert found[3].startswith("no JSON")


def test_other_topics_of_a_thing() -> None:
    assert judge("things/lamp/properties/mode", b"eco", b"warp") == [
        "",
        "property 'mode': enum allows ['eco', 'full'], got 'warp'",
    ]
    assert judge("things/lamp/properties/unknown", b"anything", b"1") == ["", ""]
    assert judge("things/lamp/events/alarm", b'{"a": 1}') == [""]
    assert judge("things/lamp/actions/x/result", b"not JSON at all") == [""]
    assert judge("things/lamp/properties/level", b"", flags=5) == [""]
    assert judge("things/lamp/properties/level", b"") == ["the payload is empty"]
    assert judge("things/lamp/properties") == []


class _Block:
    sequence = 7
    stored_ns = NOW
    data = b""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch


_VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-200, 200),
    st.sampled_from([2**53, -(2**53), 10**400, "x" * 70_000, "é" * 40_000, [1], {"a": 1}, [[]] * 3, "", "null"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["eco", "x", "12", "full"]),
    st.text(max_size=4),
)
_NAMES = ["level", "on", "mode", "name", "count", "list", "other", "@time", "@x", "a/b", "", "é", "y" * 129, "\x7f"]
_DOCUMENT = st.dictionaries(st.sampled_from(_NAMES), _VALUE, max_size=4)
_PAYLOAD = st.one_of(
    st.binary(max_size=12),
    _DOCUMENT.map(lambda one: json.dumps(one).encode()),
    st.lists(_DOCUMENT, max_size=3).map(lambda one: json.dumps(one).encode()),
    _VALUE.map(lambda one: json.dumps(one).encode()),
    st.sampled_from(
        [b"[]", b"{}", b"NaN", b"1e400", b"-inf", b" 12 ", b"1.10", b'"\\ud800"', b'{"level":1,"level":"x"}']
    ),
)
_TAILS = ["properties", "properties/level", "properties/mode", "properties/name", "properties/count", "properties/a/b"]
_TAILS += ["properties/list", "properties/@time", "properties/", "events/e", "events/", "actions/a", ""]


@must_reach("accepted", "rejected")
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(_TAILS), st.lists(_PAYLOAD, max_size=6), st.sampled_from([0, 1, 2, 5]))
def test_the_historian_agrees(tail: str, payloads: list[bytes], flags: int) -> None:
    topic = f"things/lamp/{tail}"
    count = len(payloads)
    columns: list[Any] = [
        pa.array([NOW] * count).cast(block.MESSAGES.field("received").type),
        pa.array([topic] * count, pa.string()),
        pa.array(payloads, pa.binary()),
        pa.array(["c"] * count, pa.string()).dictionary_encode(),
        pa.array([flags] * count, pa.uint8()),
        pa.nulls(count, pa.binary()),
    ]
    decoded = decode(_Block(pa.RecordBatch.from_arrays(columns, schema=block.MESSAGES)), MODEL)
    rejected = {reject.position: reject.reason for reject in decoded.rejects}
    expected = [rejected.get(block.position(7, row), "") for row in range(count)]
    reach("accepted", expected.count(""))
    reach("rejected", len(rejected))
    assert verdicts(topic, payloads, flags, NOW, MODEL) == expected
