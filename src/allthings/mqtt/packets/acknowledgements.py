"""PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT 5 sections 3.4 to 3.7): the answers that carry a message to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from allthings.mqtt.packets.identifier import encode_packet_id, read_packet_id
from allthings.mqtt.packets.reason import check_reason
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import PUBACK_CODES, PUBREL_CODES, ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import Reader


class _Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True):
    packet_id: int
    reason_code: ReasonCode = ReasonCode.SUCCESS
    properties: Properties = NO_PROPERTIES


class Puback(_Acknowledgement, frozen=True):
    """The message of a QoS 1 PUBLISH is the receiver's now, or refused (section 3.4)."""


class Pubrec(_Acknowledgement, frozen=True):
    """QoS 2, first answer (section 3.5)."""


class Pubrel(_Acknowledgement, frozen=True):
    """QoS 2, the sender lets go (section 3.6)."""


class Pubcomp(_Acknowledgement, frozen=True):
    """QoS 2, done (section 3.7)."""


_A = TypeVar("_A", Puback, Pubrec, Pubrel, Pubcomp)
_RULES: Final = {
    Carrier.PUBACK: (PUBACK_CODES, "MQTT-3.4.2-1"),
    Carrier.PUBREC: (PUBACK_CODES, "MQTT-3.5.2-1"),
    Carrier.PUBREL: (PUBREL_CODES, "MQTT-3.6.2-1"),
    Carrier.PUBCOMP: (PUBREL_CODES, "MQTT-3.7.2-1"),
}


def acknowledgement_decoder(kind: type[_A], carrier: Carrier) -> Callable[[int, bytes, Version], _A]:
    """The decoder of one of the four. The reason code may be left out, then the properties too (3.4.2.1, 3.4.2.2)."""
    allowed, section = _RULES[carrier]

    def decode(flags: int, body: bytes, version: Version) -> _A:
        reader = Reader(body, carrier.value)
        packet_id = read_packet_id(reader)
        if not reader:
            return kind(packet_id)
        if version != V5:
            reader.finish()
        reason = check_reason(reader.byte("the reason code"), allowed, carrier.value, section)
        properties = decode_properties(reader, carrier) if reader else NO_PROPERTIES
        reader.finish()
        return kind(packet_id, reason, properties)

    return decode


def acknowledgement_encoder(carrier: Carrier) -> Callable[[_A, Version], tuple[int, bytes]]:
    """The encoder of one of the four, in its shortest form."""
    allowed, section = _RULES[carrier]
    flags = 2 if carrier is Carrier.PUBREL else 0  # [MQTT-3.6.1-1]

    def encode(packet: _A, version: Version) -> tuple[int, bytes]:
        body = encode_packet_id(packet.packet_id, carrier.value)
        if version == V5 and (packet.reason_code or packet.properties != NO_PROPERTIES):
            body += bytes((check_reason(packet.reason_code, allowed, carrier.value, section),))
            if packet.properties != NO_PROPERTIES:
                body += encode_properties(packet.properties, carrier)
        return flags, body

    return encode


def encode_puback_run(identifiers: Sequence[bytes]) -> bytes:
    """One PUBACK (success, both versions: four bytes) for each two-byte packet identifier as it stood on the wire."""
    return b"\x40\x02" + b"\x40\x02".join(identifiers) if identifiers else b""


def encode_pubacks(packet_ids: Sequence[int]) -> bytes:
    """The same from numbers of 1 to 65,535."""
    return (np.asarray(packet_ids, dtype=">u4") + np.uint32(0x4002_0000)).astype(">u4").tobytes()
