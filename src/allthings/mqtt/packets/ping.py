"""PINGREQ and PINGRESP (MQTT 5 sections 3.12, 3.13)."""

from __future__ import annotations

import msgspec

from allthings.mqtt.versions import Version
from allthings.mqtt.wire import Reader


class Pingreq(msgspec.Struct, frozen=True):
    """The client is alive and asks whether the server is."""


class Pingresp(msgspec.Struct, frozen=True):
    """The server is."""


def decode_pingreq(flags: int, body: bytes, version: Version) -> Pingreq:
    """Raises MalformedPacketError unless the body is empty."""
    Reader(body, "PINGREQ").finish()
    return Pingreq()


def decode_pingresp(flags: int, body: bytes, version: Version) -> Pingresp:
    """Raises MalformedPacketError unless the body is empty."""
    Reader(body, "PINGRESP").finish()
    return Pingresp()


def encode_ping(packet: Pingreq | Pingresp, version: Version) -> tuple[int, bytes]:
    """Both have no body."""
    return 0, b""
