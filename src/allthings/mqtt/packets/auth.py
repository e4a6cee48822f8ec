"""AUTH (MQTT 5 section 3.15): a step of an enhanced authentication."""

from __future__ import annotations

import msgspec

from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import AUTH_CODES, ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader

_SECTION = "MQTT-3.15.2-1"


class Auth(msgspec.Struct, frozen=True, omit_defaults=True):
    """MQTT 5 only."""

    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


def _check(packet: Auth, version: Version) -> None:
    if version != V5:
        raise ProtocolError("packet type 15 is reserved in MQTT 3.1.1", "MQTT 3.1.1, 2.2.1")
    check_reason(packet.reason_code, AUTH_CODES, "AUTH", _SECTION)
    if packet.properties.authentication_method is None and packet != Auth():
        raise ProtocolError("AUTH has no authentication_method", "3.15.2.2.2")


def decode_auth(flags: int, body: bytes, version: Version) -> Auth:
    """An empty body means success and no properties (section 3.15.2.1), although 3.15.2.2.2 wants the method."""
    packet = Auth()
    if body:
        reader = Reader(body, "AUTH")
        reason = check_reason(reader.byte("the reason code"), AUTH_CODES, "AUTH", _SECTION)
        packet = Auth(reason, decode_properties(reader, Carrier.AUTH))
        reader.finish()
    _check(packet, version)
    return packet


def encode_auth(packet: Auth, version: Version) -> tuple[int, bytes]:
    """Raises ProtocolError in MQTT 3.1.1."""
    _check(packet, version)
    if packet == Auth():
        return 0, b""
    return 0, bytes((packet.reason_code,)) + encode_properties(packet.properties, Carrier.AUTH)
