"""Reason codes (MQTT 5 section 2.4) and what they become in MQTT 3.1.1."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class ReasonCode(IntEnum):
    """The names are the standard's. Codes of 0x80 and above are failures."""

    SUCCESS = 0x00
    NORMAL_DISCONNECTION = 0x00
    GRANTED_QOS_0 = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


def _codes(*numbers: int) -> frozenset[ReasonCode]:
    return frozenset(ReasonCode(number) for number in numbers)


#: Which codes a packet may carry: sections 3.2.2.2, 3.4.2.1, 3.6.2.1, 3.9.3, 3.11.3, 3.14.2.1, 3.15.2.1. DISCONNECT
#: also takes 0x8C: section 2.4 lists it there although section 3.14.2.1 does not.
CONNACK_CODES: Final = _codes(
    *(0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97),
    *(0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F),
)
PUBACK_CODES: Final = _codes(0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
PUBREL_CODES: Final = _codes(0x00, 0x92)
SUBACK_CODES: Final = _codes(0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2)
UNSUBACK_CODES: Final = _codes(0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91)
DISCONNECT_CODES: Final = _codes(
    *(0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95),
    *(0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2),
)
AUTH_CODES: Final = _codes(0x00, 0x18, 0x19)

#: MQTT 3.1.1 section 3.2.2.3, table 3.1: return code -> the reason code that means the same.
CONNACK_3_TO_5: Final = {
    0: ReasonCode.SUCCESS,
    1: ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    2: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    3: ReasonCode.SERVER_UNAVAILABLE,
    4: ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    5: ReasonCode.NOT_AUTHORIZED,
}

_SERVER_UNAVAILABLE_3 = 3
_NOT_AUTHORIZED_3 = 5
_CONNACK_5_TO_3 = {reason: code for code, reason in CONNACK_3_TO_5.items()} | {
    # The server's trouble: come again later.
    ReasonCode.UNSPECIFIED_ERROR: _SERVER_UNAVAILABLE_3,
    ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR: _SERVER_UNAVAILABLE_3,
    ReasonCode.SERVER_BUSY: _SERVER_UNAVAILABLE_3,
    ReasonCode.QUOTA_EXCEEDED: _SERVER_UNAVAILABLE_3,
    ReasonCode.USE_ANOTHER_SERVER: _SERVER_UNAVAILABLE_3,
    ReasonCode.SERVER_MOVED: _SERVER_UNAVAILABLE_3,
    ReasonCode.CONNECTION_RATE_EXCEEDED: _SERVER_UNAVAILABLE_3,
    # What this client asks for is refused, now and later.
    ReasonCode.BANNED: _NOT_AUTHORIZED_3,
    ReasonCode.BAD_AUTHENTICATION_METHOD: _NOT_AUTHORIZED_3,
    ReasonCode.PACKET_TOO_LARGE: _NOT_AUTHORIZED_3,
    ReasonCode.PAYLOAD_FORMAT_INVALID: _NOT_AUTHORIZED_3,
    ReasonCode.RETAIN_NOT_SUPPORTED: _NOT_AUTHORIZED_3,
    ReasonCode.QOS_NOT_SUPPORTED: _NOT_AUTHORIZED_3,
}


def connack_return_code(reason: ReasonCode) -> int | None:
    """The MQTT 3.1.1 CONNACK return code (0 to 5) for a reason.

    None where that version closes the connection without an answer (a malformed CONNECT, MQTT 3.1.1 section 4.8),
    and for codes that no CONNACK carries.
    """
    return _CONNACK_5_TO_3.get(reason)


def suback_return_code(reason: ReasonCode) -> int:
    """The MQTT 3.1.1 SUBACK return code: 0, 1 or 2 granted, 0x80 for every failure (MQTT 3.1.1 section 3.9.3)."""
    return min(int(reason), 0x80)
