"""The error tree of the wire: whose fault it is, which reason code answers it, and what exactly was wrong.

MqttError
├── RemoteError                  the peer sent what the standard forbids
│   ├── MalformedPacketError     it cannot be parsed: 0x81
│   └── ProtocolError            it can, but is not allowed: 0x82 or a more special code
│       └── UnsupportedVersionError   CONNECT with another protocol name or version: 0x84
└── EncodeError                  we were about to send what the standard forbids: a fault of ours

After a RemoteError the connection is closed (MQTT 5 section 4.13.1). To an MQTT 5 client a CONNACK (before it is
connected) or DISCONNECT (after) with `reason` goes first; to a 3.1.1 client only a CONNACK, and only where
`reasons.connack_return_code(reason)` knows one.
"""

from __future__ import annotations

from typing import Final

from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import Version


class MqttError(Exception):
    """`hint` says which field was wrong and how; `section` is the standard's statement or section."""

    def __init__(self, hint: str, section: str, reason: ReasonCode) -> None:
        super().__init__(f"{hint} [{section}]")
        self.hint: Final = hint
        self.section: Final = section
        self.reason: Final = reason


class RemoteError(MqttError):
    """What the peer sent breaks the standard. `str(error)` fits a Reason String."""


class MalformedPacketError(RemoteError):
    """A packet that cannot be parsed (MQTT 5 section 1.2, Malformed Packet)."""

    def __init__(self, hint: str, section: str) -> None:
        super().__init__(hint, section, ReasonCode.MALFORMED_PACKET)


class ProtocolError(RemoteError):
    """A packet that can be parsed but is not allowed (MQTT 5 section 1.2, Protocol Error)."""

    def __init__(self, hint: str, section: str, reason: ReasonCode = ReasonCode.PROTOCOL_ERROR) -> None:
        super().__init__(hint, section, reason)


class UnsupportedVersionError(ProtocolError):
    """CONNECT names another protocol or version. `answer_version` is the version to write the CONNACK in."""

    def __init__(self, protocol_name: str, protocol_version: int, answer_version: Version) -> None:
        super().__init__(
            f"CONNECT asks for {protocol_name[:32]!r} version {protocol_version}, not MQTT 5, 3.1.1 (4) or MQIsdp 3",
            "MQTT-3.1.2-2",
            ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
        )
        self.protocol_name: Final = protocol_name
        self.protocol_version: Final = protocol_version
        self.answer_version: Final = answer_version


class EncodeError(MqttError):
    """A packet of ours that the standard does not let us send. Never the peer's fault."""

    @classmethod
    def of(cls, error: MqttError) -> EncodeError:
        """The same finding, made on a packet of ours."""
        return cls(error.hint, error.section, error.reason)
