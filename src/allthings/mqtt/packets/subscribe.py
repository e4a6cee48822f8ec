"""SUBSCRIBE and SUBACK (MQTT 5 sections 3.8, 3.9)."""

from __future__ import annotations

from typing import Final

import msgspec

from allthings.mqtt.errors import MalformedPacketError, ProtocolError
from allthings.mqtt.filters import check_topic_filter, split_share
from allthings.mqtt.packets.identifier import encode_packet_id, read_packet_id
from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import SUBACK_CODES, ReasonCode, suback_return_code
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader, encode_string

# The bits of the subscription options (section 3.8.3.1).
_QOS: Final = 0x03
_NO_LOCAL: Final = 0x04
_RETAIN_AS_PUBLISHED: Final = 0x08
_RESERVED: Final = 0xC0
#: MQTT 3.1.1 section 3.8.3.1: the requested QoS has two bits, the rest is reserved.
_RESERVED_3: Final = 0xFC

_SUBACK_CODES_3: Final = frozenset(
    {
        ReasonCode.GRANTED_QOS_0,
        ReasonCode.GRANTED_QOS_1,
        ReasonCode.GRANTED_QOS_2,
        ReasonCode.UNSPECIFIED_ERROR,
    }
)


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A topic filter and its options. `qos` is the most that is wanted; `retain_handling` 0 to 2 (section 3.8.3.1)."""

    topic_filter: str
    qos: int = 0
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


class Subscribe(msgspec.Struct, frozen=True, omit_defaults=True):
    """At least one subscription."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = NO_PROPERTIES


class Suback(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason code a subscription, in the same order; MQTT 3.1.1 knows one failure, 0x80."""

    packet_id: int
    reason_codes: tuple[ReasonCode, ...]
    properties: Properties = NO_PROPERTIES


def check_subscribe(packet: Subscribe, version: Version) -> None:
    """The rules that bind both directions. Raises ProtocolError."""
    if not packet.subscriptions:
        raise ProtocolError("SUBSCRIBE has no topic filter", "MQTT-3.8.3-2")
    v5 = version == V5
    for subscription in packet.subscriptions:
        topic_filter = subscription.topic_filter
        if subscription.qos not in (0, 1, 2):
            raise ProtocolError(f"the QoS of SUBSCRIBE is {subscription.qos}", "3.8.3.1")
        if subscription.retain_handling not in (0, 1, 2):
            raise ProtocolError(f"the Retain Handling is {subscription.retain_handling}", "3.8.3.1")
        check_topic_filter(topic_filter, shared=v5)
        if v5 and subscription.no_local and split_share(topic_filter)[0]:
            raise ProtocolError(f"{topic_filter[:64]!r} is shared and has No Local", "MQTT-3.8.3-4")


def decode_subscribe(flags: int, body: bytes, version: Version) -> Subscribe:
    """Raises MalformedPacketError or ProtocolError."""
    reader = Reader(body, "SUBSCRIBE")
    packet_id = read_packet_id(reader)
    properties = decode_properties(reader, Carrier.SUBSCRIBE) if version == V5 else NO_PROPERTIES
    reserved = _RESERVED if version == V5 else _RESERVED_3
    subscriptions = []
    while reader:
        topic_filter = reader.string("a topic filter")
        options = reader.byte("the subscription options")
        if options & reserved:
            raise MalformedPacketError(
                f"reserved bits of the subscription options 0x{options:02X} are set", "MQTT-3.8.3-5"
            )
        subscriptions.append(
            Subscription(
                topic_filter,
                options & _QOS,
                bool(options & _NO_LOCAL),
                bool(options & _RETAIN_AS_PUBLISHED),
                options >> 4 & 3,
            )
        )
    packet = Subscribe(packet_id, tuple(subscriptions), properties)
    check_subscribe(packet, version)
    return packet


def encode_subscribe(packet: Subscribe, version: Version) -> tuple[int, bytes]:
    """MQTT 3.1.1 leaves the options other than QoS out."""
    check_subscribe(packet, version)
    body = bytearray(encode_packet_id(packet.packet_id, "SUBSCRIBE"))
    if version == V5:
        body += encode_properties(packet.properties, Carrier.SUBSCRIBE)
    for subscription in packet.subscriptions:
        body += encode_string(subscription.topic_filter, "a topic filter")
        options = subscription.qos
        if version == V5:
            options |= subscription.no_local << 2 | subscription.retain_as_published << 3
            options |= subscription.retain_handling << 4
        body.append(options)
    return 2, bytes(body)  # [MQTT-3.8.1-1]


def decode_suback(flags: int, body: bytes, version: Version) -> Suback:
    """Raises MalformedPacketError or ProtocolError."""
    reader = Reader(body, "SUBACK")
    packet_id = read_packet_id(reader)
    allowed = SUBACK_CODES if version == V5 else _SUBACK_CODES_3
    properties = decode_properties(reader, Carrier.SUBACK) if version == V5 else NO_PROPERTIES
    codes = tuple(check_reason(code, allowed, "SUBACK", "MQTT-3.9.3-2") for code in reader.rest())
    _check_codes(codes, "SUBACK")
    return Suback(packet_id, codes, properties)


def encode_suback(packet: Suback, version: Version) -> tuple[int, bytes]:
    """Any failure is 0x80 in MQTT 3.1.1."""
    _check_codes(packet.reason_codes, "SUBACK")
    for code in packet.reason_codes:
        check_reason(code, SUBACK_CODES, "SUBACK", "MQTT-3.9.3-2")
    head = encode_packet_id(packet.packet_id, "SUBACK")
    if version == V5:
        return 0, head + encode_properties(packet.properties, Carrier.SUBACK) + bytes(packet.reason_codes)
    return 0, head + bytes(suback_return_code(code) for code in packet.reason_codes)


def _check_codes(codes: tuple[ReasonCode, ...], packet: str) -> None:
    """One code a filter, and a SUBSCRIBE has at least one [MQTT-3.8.3-2], so an empty list answers nothing."""
    if not codes:
        raise ProtocolError(f"{packet} has no reason code", "3.9.3")
