"""The properties of MQTT 5 (section 2.2.2): one table of them, one value that holds them, both directions.

An absent property is None, or empty where it may repeat. `Properties` is shared by all packets; the table says which
packet may carry what.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum, auto
from typing import Any, Final, NamedTuple

import msgspec

from allthings.mqtt.errors import EncodeError, MalformedPacketError, ProtocolError, RemoteError
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.wire import (
    Reader,
    encode_binary,
    encode_integer,
    encode_string,
    encode_varint,
)


class Carrier(Enum):
    """What carries properties: the packets that have some, and the will within CONNECT."""

    CONNECT = "CONNECT"
    WILL = "will"
    CONNACK = "CONNACK"
    PUBLISH = "PUBLISH"
    PUBACK = "PUBACK"
    PUBREC = "PUBREC"
    PUBREL = "PUBREL"
    PUBCOMP = "PUBCOMP"
    SUBSCRIBE = "SUBSCRIBE"
    SUBACK = "SUBACK"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    UNSUBACK = "UNSUBACK"
    DISCONNECT = "DISCONNECT"
    AUTH = "AUTH"


class Properties(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The properties of one packet or will, under the standard's names. Intervals are in seconds."""

    payload_format_indicator: int | None = None
    message_expiry_interval: int | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation_data: bytes | None = None
    subscription_identifier: tuple[int, ...] = ()
    session_expiry_interval: int | None = None
    assigned_client_identifier: str | None = None
    server_keep_alive: int | None = None
    authentication_method: str | None = None
    authentication_data: bytes | None = None
    request_problem_information: bool | None = None
    will_delay_interval: int | None = None
    request_response_information: bool | None = None
    response_information: str | None = None
    server_reference: str | None = None
    reason_string: str | None = None
    receive_maximum: int | None = None
    topic_alias_maximum: int | None = None
    topic_alias: int | None = None
    maximum_qos: int | None = None
    retain_available: bool | None = None
    user_property: tuple[tuple[str, str], ...] = ()
    maximum_packet_size: int | None = None
    wildcard_subscription_available: bool | None = None
    subscription_identifier_available: bool | None = None
    shared_subscription_available: bool | None = None


#: No properties at all: what packets have unless told otherwise, and always in MQTT 3.1.1.
NO_PROPERTIES: Final = Properties()


class WireType(IntEnum):
    """How a value stands on the wire (section 2.2.2.2). BIT and BOOLEAN are bytes that may be 0 or 1 only."""

    BIT = auto()
    BOOLEAN = auto()
    TWO_BYTES = auto()
    FOUR_BYTES = auto()
    VARINT = auto()
    STRING = auto()
    PAIR = auto()
    BINARY = auto()


class Definition(NamedTuple):
    """One row of table 2-4. `repeats` names the carriers in which it may stand more than once."""

    identifier: int
    name: str
    wire_type: WireType
    carriers: frozenset[Carrier]
    repeats: frozenset[Carrier] = frozenset()


def _carriers(names: str) -> frozenset[Carrier]:
    return frozenset(Carrier[name] for name in names.split())


_MESSAGE = _carriers("PUBLISH WILL")
_CONNECT = _carriers("CONNECT")
_CONNACK = _carriers("CONNACK")
_BOTH = _CONNECT | _CONNACK
_ACKNOWLEDGEMENTS = _carriers("CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH")
_ALL = frozenset(Carrier)

#: Table 2-4, by ascending identifier, which is also the order in which they are written.
DEFINITIONS: Final = (
    Definition(0x01, "payload_format_indicator", WireType.BIT, _MESSAGE),
    Definition(0x02, "message_expiry_interval", WireType.FOUR_BYTES, _MESSAGE),
    Definition(0x03, "content_type", WireType.STRING, _MESSAGE),
    Definition(0x08, "response_topic", WireType.STRING, _MESSAGE),
    Definition(0x09, "correlation_data", WireType.BINARY, _MESSAGE),
    Definition(
        *(0x0B, "subscription_identifier", WireType.VARINT, _carriers("PUBLISH SUBSCRIBE")),
        repeats=_carriers("PUBLISH"),
    ),
    Definition(0x11, "session_expiry_interval", WireType.FOUR_BYTES, _carriers("CONNECT CONNACK DISCONNECT")),
    Definition(0x12, "assigned_client_identifier", WireType.STRING, _CONNACK),
    Definition(0x13, "server_keep_alive", WireType.TWO_BYTES, _CONNACK),
    Definition(0x15, "authentication_method", WireType.STRING, _carriers("CONNECT CONNACK AUTH")),
    Definition(0x16, "authentication_data", WireType.BINARY, _carriers("CONNECT CONNACK AUTH")),
    Definition(0x17, "request_problem_information", WireType.BOOLEAN, _CONNECT),
    Definition(0x18, "will_delay_interval", WireType.FOUR_BYTES, _carriers("WILL")),
    Definition(0x19, "request_response_information", WireType.BOOLEAN, _CONNECT),
    Definition(0x1A, "response_information", WireType.STRING, _CONNACK),
    Definition(0x1C, "server_reference", WireType.STRING, _carriers("CONNACK DISCONNECT")),
    Definition(0x1F, "reason_string", WireType.STRING, _ACKNOWLEDGEMENTS),
    Definition(0x21, "receive_maximum", WireType.TWO_BYTES, _BOTH),
    Definition(0x22, "topic_alias_maximum", WireType.TWO_BYTES, _BOTH),
    Definition(0x23, "topic_alias", WireType.TWO_BYTES, _carriers("PUBLISH")),
    Definition(0x24, "maximum_qos", WireType.BIT, _CONNACK),
    Definition(0x25, "retain_available", WireType.BOOLEAN, _CONNACK),
    Definition(0x26, "user_property", WireType.PAIR, _ALL, repeats=_ALL),
    Definition(0x27, "maximum_packet_size", WireType.FOUR_BYTES, _BOTH),
    Definition(0x28, "wildcard_subscription_available", WireType.BOOLEAN, _CONNACK),
    Definition(0x29, "subscription_identifier_available", WireType.BOOLEAN, _CONNACK),
    Definition(0x2A, "shared_subscription_available", WireType.BOOLEAN, _CONNACK),
)

_BY_IDENTIFIER: Final = {definition.identifier: definition for definition in DEFINITIONS}
_BY_NAME: Final = {definition.name: definition for definition in DEFINITIONS}
_ALLOWED: Final = {
    carrier: frozenset(d.identifier for d in DEFINITIONS if carrier in d.carriers) for carrier in Carrier
}
_REPEATING: Final = {
    carrier: frozenset(d.identifier for d in DEFINITIONS if carrier in d.repeats) for carrier in Carrier
}
#: Values of 0 that the standard forbids, with its section and reason code.
_NOT_ZERO = {
    "receive_maximum": ("3.1.2.11.3, 3.2.2.3.3", ReasonCode.PROTOCOL_ERROR),
    "maximum_packet_size": ("3.1.2.11.4, 3.2.2.3.6", ReasonCode.PROTOCOL_ERROR),
    "topic_alias": ("MQTT-3.3.2-8", ReasonCode.TOPIC_ALIAS_INVALID),
}
#: Fields whose value is a tuple although they may stand only once in some carriers.
_TUPLES = frozenset(definition.name for definition in DEFINITIONS if definition.repeats)


def decode(reader: Reader, carrier: Carrier) -> Properties:
    """The property length and the properties behind it.

    Raises MalformedPacketError (an unknown property, one that `carrier` may not have, a value of the wrong form) or
    ProtocolError (one that stands twice, a value out of its range); section 2.2.2.2.
    """
    size = reader.varint("the property length")
    if not size:
        return NO_PROPERTIES
    return _decode(reader.part(size, "the properties"), carrier)


def decode_raw(data: bytes, carrier: Carrier) -> Properties:
    """The same from the bytes behind the property length, such as the `properties` of a logged message."""
    return _decode(Reader(data, carrier.value), carrier) if data else NO_PROPERTIES


def _decode(reader: Reader, carrier: Carrier) -> Properties:
    values: dict[str, Any] = {}
    allowed = _ALLOWED[carrier]
    while reader:
        identifier = reader.varint("a property identifier")
        definition = _BY_IDENTIFIER.get(identifier)
        if definition is None:
            raise MalformedPacketError(f"{carrier.value} has an unknown property 0x{identifier:02X}", "2.2.2.2")
        name = definition.name
        if identifier not in allowed:
            raise MalformedPacketError(f"{carrier.value} may not have the property {name}", "2.2.2.2")
        value = _READ[definition.wire_type](reader, name)
        if name not in values:
            values[name] = [value] if name in _TUPLES else value
        elif identifier in _REPEATING[carrier]:
            values[name].append(value)
        else:
            raise ProtocolError(f"{carrier.value} has the property {name} more than once", "2.2.2.2")
    for name in _TUPLES:
        if name in values:
            values[name] = tuple(values[name])
    properties = Properties(**values)
    check(properties, carrier)
    return properties


def _read_bit(reader: Reader, name: str) -> int:
    value = reader.byte(name)
    if value > 1:
        raise ProtocolError(f"{name} of {reader.packet} is {value}, not 0 or 1", "2.2.2.2")
    return value


_READ: Final[dict[WireType, Callable[[Reader, str], object]]] = {
    WireType.BIT: _read_bit,
    WireType.BOOLEAN: lambda reader, name: _read_bit(reader, name) == 1,
    WireType.TWO_BYTES: lambda reader, name: reader.integer(2, name),
    WireType.FOUR_BYTES: lambda reader, name: reader.integer(4, name),
    WireType.VARINT: Reader.varint,
    WireType.STRING: Reader.string,
    WireType.PAIR: lambda reader, name: (reader.string(name), reader.string(name)),
    WireType.BINARY: Reader.binary,
}


def check(properties: Properties, carrier: Carrier) -> None:
    """What the standard demands of the values, whoever made them. Raises ProtocolError."""
    for name, (section, reason) in _NOT_ZERO.items():
        if getattr(properties, name) == 0:
            raise ProtocolError(f"{name} of {carrier.value} is 0", section, reason)
    if 0 in properties.subscription_identifier:
        raise ProtocolError(f"subscription_identifier of {carrier.value} is 0", "3.8.2.1.2, 3.3.2.3.8")
    topic = properties.response_topic
    if topic is not None and ("+" in topic or "#" in topic):
        raise ProtocolError(f"response_topic of {carrier.value} has a wildcard", "MQTT-3.3.2-14")
    if topic == "":
        raise ProtocolError(f"response_topic of {carrier.value} is empty", "MQTT-4.7.3-1")
    if properties.authentication_data is not None and properties.authentication_method is None:
        raise ProtocolError(f"{carrier.value} has authentication_data without authentication_method", "3.1.2.11.10")


def encode(properties: Properties, carrier: Carrier) -> bytes:
    """The property length and the properties. Raises EncodeError for what `carrier` may not have."""
    if properties is NO_PROPERTIES:
        return b"\0"
    data = encode_raw(properties, carrier)
    return encode_varint(len(data)) + data


def encode_raw(properties: Properties, carrier: Carrier) -> bytes:
    """The properties without their length. Raises EncodeError."""
    try:
        check(properties, carrier)
    except RemoteError as error:
        raise EncodeError.of(error) from None
    out = bytearray()
    allowed, repeating = _ALLOWED[carrier], _REPEATING[carrier]
    # Of 27 few are given, and msgspec leaves the others out at once.
    given = msgspec.to_builtins(properties, builtin_types=(bytes,))
    for identifier, name, wire_type, _, repeats in sorted(map(_BY_NAME.__getitem__, given)):
        value = given[name]
        if identifier not in allowed:
            raise EncodeError(
                f"{carrier.value} may not have the property {name}", "2.2.2.2", ReasonCode.MALFORMED_PACKET
            )
        items = value if repeats else (value,)
        if len(items) > 1 and identifier not in repeating:
            raise EncodeError(
                f"{carrier.value} has the property {name} more than once", "2.2.2.2", ReasonCode.PROTOCOL_ERROR
            )
        for item in items:
            out.append(identifier)
            out += _WRITE[wire_type](item, name)
    return bytes(out)


def _write_bit(value: int, name: str) -> bytes:
    if value not in (0, 1):
        raise EncodeError(f"{name} is {value!r}, not 0 or 1", "2.2.2.2", ReasonCode.PROTOCOL_ERROR)
    return b"\1" if value else b"\0"


_WRITE: Final[dict[WireType, Callable[[Any, str], bytes]]] = {
    WireType.BIT: _write_bit,
    WireType.BOOLEAN: _write_bit,
    WireType.TWO_BYTES: lambda value, name: encode_integer(value, 2, name),
    WireType.FOUR_BYTES: lambda value, name: encode_integer(value, 4, name),
    WireType.VARINT: lambda value, name: encode_varint(value),
    WireType.STRING: encode_string,
    WireType.PAIR: lambda value, name: encode_string(value[0], name) + encode_string(value[1], name),
    WireType.BINARY: encode_binary,
}


# A server passes the properties of a PUBLISH on as they are, but for one: the time that is left until the message
# expires (section 3.3.2.3.3). `encode_raw` puts it first, or behind the payload format.
_PAYLOAD_FORMAT = 0x01
_EXPIRY = 0x02


def expiry_of(raw: bytes) -> tuple[bytes, int | None]:
    """Properties of a PUBLISH from `encode_raw` as (without the message expiry interval, that in s or None)."""
    at = 2 if raw[:1] == bytes((_PAYLOAD_FORMAT,)) else 0
    if raw[at : at + 1] != bytes((_EXPIRY,)):
        return raw, None
    return raw[:at] + raw[at + 5 :], int.from_bytes(raw[at + 1 : at + 5])


def set_expiry(raw: bytes, expiry_s: int) -> bytes:
    """The inverse of `expiry_of`."""
    at = 2 if raw[:1] == bytes((_PAYLOAD_FORMAT,)) else 0
    return raw[:at] + bytes((_EXPIRY,)) + expiry_s.to_bytes(4) + raw[at:]
