"""CONNECT (MQTT 5 section 3.1): a client asks for a connection."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from allthings.mqtt.errors import MalformedPacketError, ProtocolError, RemoteError, UnsupportedVersionError
from allthings.mqtt.filters import check_topic_name
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties
from allthings.mqtt.properties import decode as decode_properties
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V3_1, V5, Version
from allthings.mqtt.wire import Reader, encode_binary, encode_integer, encode_string

_PROTOCOL_NAME: Final = "MQTT"
#: What MQTT 3.1 calls itself.
_PROTOCOL_NAME_3_1: Final = "MQIsdp"
#: How a body begins: the protocol's name and version.
_BEGINNINGS: Final = {encode_string(_PROTOCOL_NAME, "") + bytes((version,)): version for version in (V3, V5)}
_BEGINNING_BYTES: Final = 7
_BEGINNING_3_1: Final = encode_string(_PROTOCOL_NAME_3_1, "") + bytes((V3_1,))
#: With the connect flags and the keep-alive, which have a fixed size too.
_HEAD_BYTES: Final = 10

# The bits of the connect flags (section 3.1.2.3).
_RESERVED: Final = 0x01
_CLEAN_START: Final = 0x02
_WILL: Final = 0x04
_WILL_QOS: Final = 0x18
_WILL_RETAIN: Final = 0x20
_PASSWORD: Final = 0x40
_USER_NAME: Final = 0x80


class Will(msgspec.Struct, frozen=True, omit_defaults=True):
    """The message that the server publishes when the connection ends without a DISCONNECT (section 3.1.3.2)."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: Properties = NO_PROPERTIES


class Connect(msgspec.Struct, frozen=True, omit_defaults=True):
    """`clean_start` is Clean Session in MQTT 3. `keep_alive_s` of 0 switches the keep-alive off."""

    client_id: str
    version: Version = V5
    clean_start: bool = True
    keep_alive_s: int = 60
    user_name: str | None = None
    password: bytes | None = None
    will: Will | None = None
    properties: Properties = NO_PROPERTIES


def check_connect(packet: Connect) -> None:
    """The rules that bind both directions. Raises ProtocolError or MalformedPacketError."""
    if packet.version != V5:
        if packet.password is not None and packet.user_name is None:
            raise MalformedPacketError("CONNECT has a password without a user name", "MQTT 3.1.1, MQTT-3.1.2-22")
        if not packet.client_id and (packet.version == V3_1 or not packet.clean_start):
            raise _empty_client_id(packet.version)
    will = packet.will
    if will is not None:
        if will.qos not in (0, 1, 2):
            raise MalformedPacketError(f"the will QoS of CONNECT is {will.qos}", "MQTT-3.1.2-12")
        check_topic_name(will.topic, "the will topic")


def _empty_client_id(version: Version) -> ProtocolError:
    if version == V3_1:
        return ProtocolError(
            "CONNECT has an empty client identifier", "MQTT 3.1, CONNECT", ReasonCode.CLIENT_IDENTIFIER_NOT_VALID
        )
    return ProtocolError(
        "CONNECT has an empty client identifier without Clean Session",
        "MQTT 3.1.1, MQTT-3.1.3-8",
        ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    )


def asked_version(data: bytes, start: int) -> Version:
    """The version in which to answer the CONNECT whose body begins at `start`, however wrong its rest is."""
    version = _BEGINNINGS.get(data[start : start + _BEGINNING_BYTES])
    if version is None:
        return V3_1 if data.startswith(_BEGINNING_3_1, start) else V3
    return version


def decode_connect(flags: int, body: bytes, version: Version) -> Connect:
    """`version` is not asked: CONNECT says its own. Raises UnsupportedVersionError for another protocol."""
    head = _head(body[:_HEAD_BYTES])
    if head is None:
        if body.startswith(_BEGINNING_3_1):
            return _read_3_1(Reader(body, "CONNECT", len(_BEGINNING_3_1)))
        raise _unknown(body)
    return _read(Reader(body, "CONNECT", _HEAD_BYTES), head)


class _Head(NamedTuple):
    """What stands before the properties."""

    version: Version
    flags: int
    keep_alive_s: int


@lru_cache(maxsize=1024)
def _head(data: bytes) -> _Head | None:
    """How a body begins, None if not as one of MQTT. Devices that come in crowds begin alike."""
    version = _BEGINNINGS.get(data[:_BEGINNING_BYTES])
    return _read_head(Reader(data, "CONNECT", _BEGINNING_BYTES), version) if version is not None else None


def _read_head(reader: Reader, version: Version) -> _Head:
    """What follows the version."""
    flags = reader.byte("the connect flags")
    _check_flags(flags)
    return _Head(version, flags, reader.integer(2, "the keep-alive"))


def _unknown(body: bytes) -> RemoteError:
    """Another version of MQTT is told so: one after 5 in the layout of its question. Another protocol is no packet."""
    reader = Reader(body, "CONNECT")
    name, number = reader.string("the protocol name"), reader.byte("the protocol version")
    if name not in (_PROTOCOL_NAME, _PROTOCOL_NAME_3_1):
        return MalformedPacketError(f"CONNECT asks for the protocol {name[:32]!r}, not MQTT", "MQTT-3.1.2-1")
    answer_version = V3
    # Bit 7 marks the bridges of mosquitto, which are 3.1 or 3.1.1 inside and retry without it after code 1.
    if name == _PROTOCOL_NAME and V5 < number < 0x80:
        try:
            _read(reader, _read_head(reader, V3))
        except RemoteError:
            answer_version = V5
    return UnsupportedVersionError(name, number, answer_version)


def _read(reader: Reader, head: _Head) -> Connect:
    """What follows the head."""
    version, connect_flags, keep_alive_s = head
    properties = decode_properties(reader, Carrier.CONNECT) if version == V5 else NO_PROPERTIES
    client_id = reader.string("the client identifier")
    will = _read_will(reader, connect_flags, version) if connect_flags & _WILL else None
    packet = Connect(
        client_id,
        version,
        bool(connect_flags & _CLEAN_START),
        keep_alive_s,
        reader.string("the user name") if connect_flags & _USER_NAME else None,
        reader.binary("the password") if connect_flags & _PASSWORD else None,
        will,
        properties,
    )
    reader.finish()
    check_connect(packet)
    return packet


def _read_3_1(reader: Reader) -> Connect:
    """What follows the version in MQTT 3.1, CONNECT.

    Flags that say nothing are ignored, and a user name or password that is announced may be missing.
    """
    flags = reader.byte("the connect flags")
    keep_alive_s = reader.integer(2, "the keep-alive")
    client_id = reader.string("the client identifier")
    will = _read_will(reader, flags, V3_1) if flags & _WILL else None
    packet = Connect(
        client_id,
        V3_1,
        bool(flags & _CLEAN_START),
        keep_alive_s,
        reader.string("the user name") if flags & _USER_NAME and reader else None,
        reader.binary("the password") if flags & _PASSWORD and reader else None,
        will,
    )
    reader.finish()
    check_connect(packet)
    return packet


def _check_flags(connect_flags: int) -> None:
    if connect_flags & _RESERVED:
        raise MalformedPacketError("the reserved connect flag is set", "MQTT-3.1.2-3")
    if connect_flags & _WILL_QOS == _WILL_QOS:
        raise MalformedPacketError("the will QoS of CONNECT is 3", "MQTT-3.1.2-12")
    if not connect_flags & _WILL:
        if connect_flags & _WILL_QOS:
            raise MalformedPacketError("CONNECT has a will QoS without a will", "MQTT-3.1.2-11")
        if connect_flags & _WILL_RETAIN:
            raise MalformedPacketError("CONNECT has Will Retain without a will", "MQTT-3.1.2-13")


def _read_will(reader: Reader, connect_flags: int, version: Version) -> Will:
    properties = decode_properties(reader, Carrier.WILL) if version == V5 else NO_PROPERTIES
    return Will(
        reader.string("the will topic"),
        reader.binary("the will payload"),
        (connect_flags & _WILL_QOS) >> 3,
        bool(connect_flags & _WILL_RETAIN),
        properties,
    )


def encode_connect(packet: Connect, version: Version) -> tuple[int, bytes]:
    """In the packet's own version, whatever `version` says."""
    check_connect(packet)
    connect_flags = _CLEAN_START if packet.clean_start else 0
    v5 = packet.version == V5
    payload = encode_string(packet.client_id, "the client identifier")
    will = packet.will
    if will is not None:
        connect_flags |= _WILL | will.qos << 3 | (_WILL_RETAIN if will.retain else 0)
        if v5:
            payload += encode_properties(will.properties, Carrier.WILL)
        payload += encode_string(will.topic, "the will topic")
        payload += encode_binary(will.payload, "the will payload")
    if packet.user_name is not None:
        connect_flags |= _USER_NAME
        payload += encode_string(packet.user_name, "the user name")
    if packet.password is not None:
        connect_flags |= _PASSWORD
        payload += encode_binary(packet.password, "the password")
    name = _PROTOCOL_NAME_3_1 if packet.version == V3_1 else _PROTOCOL_NAME
    head = encode_string(name, "the protocol name") + bytes((packet.version, connect_flags))
    head += encode_integer(packet.keep_alive_s, 2, "the keep-alive")
    properties = encode_properties(packet.properties, Carrier.CONNECT) if v5 else b""
    return 0, head + properties + payload
