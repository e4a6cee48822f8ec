"""The lean encoder writes what the complete one writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.codec import encode
from allthings.mqtt.errors import EncodeError
from allthings.mqtt.packets import Publish
from allthings.mqtt.packets.publish import encode_publish
from allthings.mqtt.properties import Carrier, encode_raw
from allthings.mqtt.versions import V3, V5, Version

from .packet_strategies import publishes


def lean(packet: Publish, version: Version, properties: bytes | None) -> bytes:
    return encode_publish(
        packet.topic.encode(),
        packet.payload,
        packet.qos,
        packet.retain,
        packet.dup,
        packet.packet_id,
        properties,
        version,
    )


@given(st.data(), st.sampled_from([V3, V5]))
def test_same_as_the_packet(data: st.DataObject, version: Version) -> None:
    packet = data.draw(publishes(version))
    raw = encode_raw(packet.properties, Carrier.PUBLISH)
    assert lean(packet, version, raw) == encode(packet, version)


@pytest.mark.parametrize("size", [0, 119, 120, 121, 16_375, 16_376, 16_377, 2_097_150])
def test_around_the_digits_of_the_length(size: int) -> None:
    packet = Publish("a/b", bytes(size), 1, packet_id=9)
    assert lean(packet, V3, None) == encode(packet, V3)
    assert lean(packet, V5, b"") == encode(packet, V5)


def test_mqtt_3_leaves_the_properties_out() -> None:
    packet = Publish("a", b"x")
    assert lean(packet, V3, b"\x01\x01") == encode(packet, V3)


def test_no_packet_identifier() -> None:
    with pytest.raises(EncodeError):
        encode_publish(b"a", b"", 1, False, False, 0, None, V5)
