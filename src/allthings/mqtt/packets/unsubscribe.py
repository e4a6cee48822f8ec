"""UNSUBSCRIBE and UNSUBACK (MQTT 5 sections 3.10, 3.11)."""

from __future__ import annotations

import msgspec

from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.filters import check_topic_filter
from allthings.mqtt.packets.identifier import encode_packet_id, read_packet_id
from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import UNSUBACK_CODES, ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader, encode_string


class Unsubscribe(msgspec.Struct, frozen=True, omit_defaults=True):
    """At least one topic filter."""

    packet_id: int
    topic_filters: tuple[str, ...]
    properties: Properties = NO_PROPERTIES


class Unsuback(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason code a filter, in the same order; MQTT 3.1.1 has none (section 3.11.3 there)."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...] = ()
    properties: Properties = NO_PROPERTIES


def check_unsubscribe(packet: Unsubscribe, version: Version) -> None:
    """[MQTT-3.10.3-2] and each filter's own rules. Raises ProtocolError."""
    if not packet.topic_filters:
        raise ProtocolError("UNSUBSCRIBE has no topic filter", "MQTT-3.10.3-2")
    for topic_filter in packet.topic_filters:
        check_topic_filter(topic_filter, shared=version == V5)


def decode_unsubscribe(flags: int, body: bytes, version: Version) -> Unsubscribe:
    """Raises MalformedPacketError or ProtocolError."""
    reader = Reader(body, "UNSUBSCRIBE")
    packet_id = read_packet_id(reader)
    properties = decode_properties(reader, Carrier.UNSUBSCRIBE) if version == V5 else NO_PROPERTIES
    topic_filters = []
    while reader:
        topic_filters.append(reader.string("a topic filter"))
    packet = Unsubscribe(packet_id, tuple(topic_filters), properties)
    check_unsubscribe(packet, version)
    return packet


def encode_unsubscribe(packet: Unsubscribe, version: Version) -> tuple[int, bytes]:
    """Raises EncodeError or ProtocolError."""
    check_unsubscribe(packet, version)
    body = bytearray(encode_packet_id(packet.packet_id, "UNSUBSCRIBE"))
    if version == V5:
        body += encode_properties(packet.properties, Carrier.UNSUBSCRIBE)
    for topic_filter in packet.topic_filters:
        body += encode_string(topic_filter, "a topic filter")
    return 2, bytes(body)  # [MQTT-3.10.1-1]


def decode_unsuback(flags: int, body: bytes, version: Version) -> Unsuback:
    """Raises MalformedPacketError or ProtocolError."""
    reader = Reader(body, "UNSUBACK")
    packet_id = read_packet_id(reader)
    if version != V5:
        reader.finish()
        return Unsuback(packet_id)
    properties = decode_properties(reader, Carrier.UNSUBACK)
    codes = tuple(check_reason(code, UNSUBACK_CODES, "UNSUBACK", "MQTT-3.11.3-2") for code in reader.rest())
    if not codes:
        raise ProtocolError("UNSUBACK has no reason code", "3.11.3")
    return Unsuback(packet_id, codes, properties)


def encode_unsuback(packet: Unsuback, version: Version) -> tuple[int, bytes]:
    """MQTT 3.1.1 leaves the reason codes out."""
    head = encode_packet_id(packet.packet_id, "UNSUBACK")
    if version != V5:
        return 0, head
    if not packet.reason_codes:
        raise ProtocolError("UNSUBACK has no reason code", "3.11.3")
    for code in packet.reason_codes:
        check_reason(code, UNSUBACK_CODES, "UNSUBACK", "MQTT-3.11.3-2")
    return 0, head + encode_properties(packet.properties, Carrier.UNSUBACK) + bytes(packet.reason_codes)
