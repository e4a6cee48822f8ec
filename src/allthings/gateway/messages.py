"""A message on its way to subscribers, and what each of them gets of it."""

from __future__ import annotations

from typing import NamedTuple

from allthings.mqtt.properties import NO_PROPERTIES, Properties, expiry_of, set_expiry
from allthings.mqtt.wire import encode_varint

_NS_PER_S = 1_000_000_000


class Message:
    """One application message. `properties` are those of its PUBLISH as on the wire, without the expiry.

    `expires_ns` (Unix time, 0: never) is when it may no longer begin its way to a subscriber (section 3.3.2.3.3).
    `position` is its place in the log, 0 when it has none.
    """

    __slots__ = ("expires_ns", "payload", "position", "properties", "topic")

    def __init__(self, topic: bytes, payload: bytes, properties: bytes, expires_ns: int, position: int) -> None:
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.expires_ns = expires_ns
        self.position = position

    @property
    def size(self) -> int:
        return len(self.topic) + len(self.payload) + len(self.properties)


class Delivery(NamedTuple):
    """What one subscriber gets: `identifiers` are those of its subscriptions that match (section 3.3.4).

    `share` is the shared subscription that chose this subscriber, "" for one of its own.
    """

    message: Message
    qos: int
    retain: bool
    identifiers: tuple[int, ...] = ()
    share: str = ""


def split_expiry(raw: bytes | None, received_ns: int) -> tuple[bytes, int]:
    """A message's logged properties as (without the expiry, when it expires or 0)."""
    if not raw:
        return b"", 0
    rest, expiry_s = expiry_of(raw)
    return rest, 0 if expiry_s is None else received_ns + expiry_s * _NS_PER_S


def wire_properties(message: Message, identifiers: tuple[int, ...], now_ns: int) -> bytes:
    """The properties that go out: what is left of the expiry [MQTT-3.3.2-6], and subscription identifiers."""
    properties = message.properties
    if message.expires_ns:
        # To the nearest second: receive times run a little ahead of the clock, and nobody gets more than was given.
        left_s = max(0, (message.expires_ns - now_ns + _NS_PER_S // 2) // _NS_PER_S)
        properties = set_expiry(properties, left_s)
    for identifier in identifiers:
        properties += b"\x0b" + encode_varint(identifier)
    return properties


def forwarded(properties: Properties) -> Properties:
    """The properties of a PUBLISH or will that go on to subscribers unaltered (MQTT 5 section 3.3.2.3)."""
    if properties is NO_PROPERTIES:
        return properties
    return Properties(
        payload_format_indicator=properties.payload_format_indicator,
        message_expiry_interval=properties.message_expiry_interval,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        user_property=properties.user_property,
    )
