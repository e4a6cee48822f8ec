"""The packet identifier (MQTT 5 section 2.2.1)."""

from __future__ import annotations

from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.wire import Reader, encode_integer


def check_packet_id(packet_id: int, packet: str) -> None:
    """[MQTT-2.2.1-3], [MQTT-2.2.1-4]; MQTT 3.1.1: [MQTT-2.3.1-1]. Raises ProtocolError."""
    if not packet_id:
        raise ProtocolError(f"the packet identifier of {packet} is 0", "MQTT-2.2.1-3")


def read_packet_id(reader: Reader) -> int:
    """The identifier, which is not zero."""
    packet_id = reader.integer(2, "the packet identifier")
    check_packet_id(packet_id, reader.packet)
    return packet_id


def encode_packet_id(packet_id: int, packet: str) -> bytes:
    """Its two bytes."""
    check_packet_id(packet_id, packet)
    return encode_integer(packet_id, 2, "the packet identifier")
