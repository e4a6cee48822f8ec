"""PUBLISH (MQTT 5 section 3.3): an application message."""

from __future__ import annotations

import msgspec

from allthings.mqtt.errors import EncodeError, MalformedPacketError, ProtocolError
from allthings.mqtt.filters import check_topic_name, decode_topic_name
from allthings.mqtt.packets.identifier import encode_packet_id, read_packet_id
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader, encode_string, encode_varint

_TYPE = 0x30
_DUP = 0x08
_RETAIN = 0x01


class Publish(msgspec.Struct, frozen=True, omit_defaults=True):
    """`packet_id` is 0 with QoS 0, and only then. `topic` may be empty when a topic alias stands for it."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0
    properties: Properties = NO_PROPERTIES


def _check_qos(qos: int, dup: bool) -> None:
    if qos not in (0, 1, 2):
        raise MalformedPacketError(f"the QoS of PUBLISH is {qos}", "MQTT-3.3.1-4")
    if dup and not qos:
        raise MalformedPacketError("PUBLISH has DUP with QoS 0", "MQTT-3.3.1-2")


def _check_alias(topic: str, properties: Properties) -> None:
    if not topic and properties.topic_alias is None:
        raise ProtocolError("PUBLISH has neither a topic name nor a topic alias", "3.3.2.1, MQTT-4.7.3-1")


def decode_publish(flags: int, body: bytes, version: Version) -> Publish:
    """Raises MalformedPacketError or ProtocolError."""
    qos = flags >> 1 & 3
    dup = bool(flags & _DUP)
    if qos == 3 or dup:
        _check_qos(qos, dup)
    reader = Reader(body, "PUBLISH")
    name = reader.binary("the topic name")
    topic = decode_topic_name(name) if name else ""
    packet_id = read_packet_id(reader) if qos else 0
    properties = decode_properties(reader, Carrier.PUBLISH) if version == V5 else NO_PROPERTIES
    if not topic:
        _check_alias(topic, properties)
    return Publish(topic, reader.rest(), qos, bool(flags & _RETAIN), dup, packet_id, properties)


def encode_publish_packet(packet: Publish, version: Version) -> tuple[int, bytes]:
    """The flags and the body."""
    _check_qos(packet.qos, packet.dup)
    properties = packet.properties if version == V5 else NO_PROPERTIES
    _check_alias(packet.topic, properties)
    if packet.topic:
        check_topic_name(packet.topic)
    head = encode_string(packet.topic, "the topic name")
    if packet.qos:
        head += encode_packet_id(packet.packet_id, "PUBLISH")
    elif packet.packet_id:
        raise ProtocolError("PUBLISH with QoS 0 has a packet identifier", "MQTT-2.2.1-2")
    if version == V5:
        head += encode_properties(properties, Carrier.PUBLISH)
    flags = packet.dup << 3 | packet.qos << 1 | packet.retain
    return flags, head + packet.payload


def encode_publish(
    topic: bytes,
    payload: bytes,
    qos: int,
    retain: bool,
    dup: bool,
    packet_id: int,
    properties: bytes | None,
    version: Version,
) -> bytes:
    """A whole PUBLISH from parts that were checked before, for a server's hot loop.

    `topic` is the bytes of a valid topic name (at most 65,535), `properties` those behind the property length
    (`properties.encode_raw`; None or empty for none; left out in MQTT 3.1.1). Nothing is checked but the packet
    identifier: EncodeError when it is 0 with QoS 1 or 2.
    """
    head = len(topic).to_bytes(2, "big") + topic
    if qos:
        if not packet_id:
            raise EncodeError("the packet identifier of PUBLISH is 0", "MQTT-2.2.1-4", ReasonCode.PROTOCOL_ERROR)
        head += packet_id.to_bytes(2, "big")
    if version == V5:
        head += encode_varint(len(properties)) + properties if properties else b"\0"
    size = len(head) + len(payload)
    first = _TYPE | dup << 3 | qos << 1 | retain
    if size < 0x80:
        return b"%c%c%b%b" % (first, size, head, payload)
    return b"%c%b%b%b" % (first, encode_varint(size), head, payload)
