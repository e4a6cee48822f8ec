"""CONNACK (MQTT 5 section 3.2): the server's answer to CONNECT."""

from __future__ import annotations

import msgspec

from allthings.mqtt.errors import EncodeError, MalformedPacketError, ProtocolError
from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import CONNACK_3_TO_5, CONNACK_CODES, ReasonCode, connack_return_code
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader


class Connack(msgspec.Struct, frozen=True, omit_defaults=True):
    """`reason_code` stands for MQTT 3.1.1's return code too, translated by `reasons`."""

    session_present: bool = False
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


def check_connack(packet: Connack) -> None:
    """[MQTT-3.2.2-6]; MQTT 3.1.1: [MQTT-3.2.2-4]. Raises ProtocolError."""
    if packet.session_present and packet.reason_code:
        raise ProtocolError("CONNACK refuses and says that a session is present", "MQTT-3.2.2-6")


def decode_connack(flags: int, body: bytes, version: Version) -> Connack:
    """Raises MalformedPacketError or ProtocolError."""
    reader = Reader(body, "CONNACK")
    connack_flags = reader.byte("the acknowledge flags")
    if connack_flags > 1:
        raise MalformedPacketError("reserved acknowledge flags of CONNACK are set", "MQTT-3.2.2-1")
    code = reader.byte("the reason code")
    properties = NO_PROPERTIES
    if version == V5:
        reason = check_reason(code, CONNACK_CODES, "CONNACK", "MQTT-3.2.2-8")
        properties = decode_properties(reader, Carrier.CONNACK)
    elif code in CONNACK_3_TO_5:
        reason = CONNACK_3_TO_5[code]
    else:
        raise ProtocolError(f"CONNACK has the reserved return code {code}", "MQTT 3.1.1, 3.2.2.3")
    reader.finish()
    packet = Connack(connack_flags == 1, reason, properties)
    check_connack(packet)
    return packet


def encode_connack(packet: Connack, version: Version) -> tuple[int, bytes]:
    """Raises EncodeError for a reason that MQTT 3.1.1 answers by closing (`connack_return_code` gives None)."""
    check_connack(packet)
    if version == V5:
        code: int | None = check_reason(packet.reason_code, CONNACK_CODES, "CONNACK", "MQTT-3.2.2-8")
        properties = encode_properties(packet.properties, Carrier.CONNACK)
    else:
        code = connack_return_code(packet.reason_code)
        properties = b""
    if code is None:
        raise EncodeError(
            f"MQTT 3.1.1 has no return code for {packet.reason_code.name}: close without CONNACK",
            "MQTT 3.1.1, 3.2.2.3",
            packet.reason_code,
        )
    return 0, bytes((packet.session_present, code)) + properties
