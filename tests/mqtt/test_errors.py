"""Whose fault it is, and what a refused CONNECT is answered in."""

from __future__ import annotations

import pytest

from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import EncodeError, MqttError, RemoteError, UnsupportedVersionError
from allthings.mqtt.packets import Connack, Publish
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5, Version


@pytest.mark.parametrize(
    ("name", "level", "properties", "answer", "expected"),
    [
        ("MQIsdp", 4, b"", V3, "20020001"),
        ("MQTT", 3, b"", V3, "20020001"),
        ("MQTT", 6, b"\0", V5, "2003008400"),
        ("MQTT", 99, b"\3\x21\0\1", V5, "2003008400"),
        ("MQTT", 99, b"", V3, "20020001"),
        ("MQTT", 0x84, b"", V3, "20020001"),  # a bridge of mosquitto, which then tries 4
    ],
)
def test_another_version_is_answered_as_it_is_laid_out(
    name: str, level: int, properties: bytes, answer: Version, expected: str
) -> None:
    body = len(name).to_bytes(2, "big") + name.encode() + bytes([level, 2, 0, 60]) + properties + b"\0\1a"
    with pytest.raises(UnsupportedVersionError) as caught:
        decode(0x10, body, V5)
    error = caught.value
    assert (error.protocol_name, error.protocol_version, error.answer_version) == (name, level, answer)
    assert error.reason is ReasonCode.UNSUPPORTED_PROTOCOL_VERSION
    assert encode(Connack(reason_code=error.reason), error.answer_version).hex() == expected


def test_our_fault_is_not_theirs() -> None:
    with pytest.raises(EncodeError) as ours:
        encode(Publish("a/#"), V5)
    assert not isinstance(ours.value, RemoteError)
    with pytest.raises(RemoteError) as theirs:
        decode(0x30, b"\x00\x03a/#\x00", V5)
    assert ours.value.args == theirs.value.args
    assert isinstance(theirs.value, MqttError)
    assert (ours.value.reason, ours.value.section) == (ReasonCode.TOPIC_NAME_INVALID, "MQTT-3.3.2-2")
