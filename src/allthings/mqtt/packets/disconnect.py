"""DISCONNECT (MQTT 5 section 3.14): the last packet of either side."""

from __future__ import annotations

import msgspec

from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import DISCONNECT_CODES, ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader

_SECTION = "MQTT-3.14.2-1"


class Disconnect(msgspec.Struct, frozen=True, omit_defaults=True):
    """In MQTT 3.1.1 only a client sends it, and it says nothing more."""

    reason_code: ReasonCode = ReasonCode.NORMAL_DISCONNECTION
    properties: Properties = NO_PROPERTIES


def decode_disconnect(flags: int, body: bytes, version: Version) -> Disconnect:
    """The reason code may be left out, then the properties too (sections 3.14.2.1, 3.14.2.2.1)."""
    reader = Reader(body, "DISCONNECT")
    if not reader:
        return Disconnect()
    if version != V5:
        reader.finish()
    reason = check_reason(reader.byte("the reason code"), DISCONNECT_CODES, "DISCONNECT", _SECTION)
    properties = decode_properties(reader, Carrier.DISCONNECT) if reader else NO_PROPERTIES
    reader.finish()
    return Disconnect(reason, properties)


def encode_disconnect(packet: Disconnect, version: Version) -> tuple[int, bytes]:
    """In its shortest form."""
    if version != V5 or (not packet.reason_code and packet.properties == NO_PROPERTIES):
        return 0, b""
    body = bytes((check_reason(packet.reason_code, DISCONNECT_CODES, "DISCONNECT", _SECTION),))
    if packet.properties != NO_PROPERTIES:
        body += encode_properties(packet.properties, Carrier.DISCONNECT)
    return 0, body
