"""The gateway's verdict is the historian's."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from allthings.log import block
from allthings.readings.decode import decode
from allthings.readings.model import Model
from allthings.readings.verdict import verdicts
from allthings.things.types import PropertyType

NOW = 1_800_000_000_000_000_000
MODEL = Model(
    {
        "lamp": {
            "level": PropertyType(type="number", minimum=0, maximum=100),
            "on": PropertyType(type="boolean"),
            "mode": PropertyType(type="string", enum=("eco", "full")),
            "name": PropertyType(type="string"),
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
    st.none(), st.booleans(), st.integers(-200, 200), st.floats(allow_nan=False), st.sampled_from(["eco", "x"])
)
_DOCUMENT = st.dictionaries(
    st.sampled_from(["level", "on", "mode", "name", "other", "@time", "a/b"]), _VALUE, max_size=4
)
_PAYLOAD = st.one_of(st.binary(max_size=12), _DOCUMENT.map(lambda one: json.dumps(one).encode()), st.just(b"[]"))


@given(st.sampled_from(["", "/level", "/mode", "/a/b"]), st.lists(_PAYLOAD, max_size=6))
def test_the_historian_agrees(tail: str, payloads: list[bytes]) -> None:
    topic = "things/lamp/properties" + tail
    count = len(payloads)
    columns: list[Any] = [
        pa.array([NOW] * count).cast(block.MESSAGES.field("received").type),
        pa.array([topic] * count, pa.string()),
        pa.array(payloads, pa.binary()),
        pa.array(["c"] * count, pa.string()).dictionary_encode(),
        pa.array([1] * count, pa.uint8()),
        pa.nulls(count, pa.binary()),
    ]
    decoded = decode(_Block(pa.RecordBatch.from_arrays(columns, schema=block.MESSAGES)), MODEL)
    rejected = {reject.position: reject.reason for reject in decoded.rejects}
    expected = [rejected.get(block.position(7, row), "") for row in range(count)]
    assert verdicts(topic, payloads, 1, NOW, MODEL) == expected
