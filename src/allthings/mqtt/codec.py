"""Bytes to packets and back, MQTT 3.1.1 and 5.0: one place for the fixed header's rules and for who may send what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from allthings.mqtt.errors import EncodeError, MalformedPacketError, ProtocolError, RemoteError
from allthings.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from allthings.mqtt.packets.acknowledgements import acknowledgement_decoder, acknowledgement_encoder
from allthings.mqtt.packets.auth import decode_auth, encode_auth
from allthings.mqtt.packets.connack import decode_connack, encode_connack
from allthings.mqtt.packets.connect import decode_connect, encode_connect
from allthings.mqtt.packets.disconnect import decode_disconnect, encode_disconnect
from allthings.mqtt.packets.ping import decode_pingreq, decode_pingresp, encode_ping
from allthings.mqtt.packets.publish import decode_publish, encode_publish_packet
from allthings.mqtt.packets.subscribe import decode_suback, decode_subscribe, encode_suback, encode_subscribe
from allthings.mqtt.packets.unsubscribe import (
    decode_unsuback,
    decode_unsubscribe,
    encode_unsuback,
    encode_unsubscribe,
)
from allthings.mqtt.properties import Carrier
from allthings.mqtt.versions import V5, Sender, Version
from allthings.mqtt.wire import encode_varint

_C: Final = (Sender.CLIENT,)
_S: Final = (Sender.SERVER,)


class _Kind(NamedTuple):
    """One row of tables 2-1 and 2-2. `flags` None: they say something (PUBLISH)."""

    packet: type
    flags: int | None
    senders: tuple[Sender, ...]
    decode: Callable[[int, bytes, Version], Packet]
    encode: Callable[[Any, Version], tuple[int, bytes]]


def _acknowledgement(packet: Any, carrier: Carrier, flags: int = 0) -> _Kind:
    return _Kind(packet, flags, _C + _S, acknowledgement_decoder(packet, carrier), acknowledgement_encoder(carrier))


#: By packet type, from 1 on.
_KINDS: Final = (
    _Kind(Connect, 0, _C, decode_connect, encode_connect),
    _Kind(Connack, 0, _S, decode_connack, encode_connack),
    _Kind(Publish, None, _C + _S, decode_publish, encode_publish_packet),
    _acknowledgement(Puback, Carrier.PUBACK),
    _acknowledgement(Pubrec, Carrier.PUBREC),
    _acknowledgement(Pubrel, Carrier.PUBREL, flags=2),
    _acknowledgement(Pubcomp, Carrier.PUBCOMP),
    _Kind(Subscribe, 2, _C, decode_subscribe, encode_subscribe),
    _Kind(Suback, 0, _S, decode_suback, encode_suback),
    _Kind(Unsubscribe, 2, _C, decode_unsubscribe, encode_unsubscribe),
    _Kind(Unsuback, 0, _S, decode_unsuback, encode_unsuback),
    _Kind(Pingreq, 0, _C, decode_pingreq, encode_ping),
    _Kind(Pingresp, 0, _S, decode_pingresp, encode_ping),
    _Kind(Disconnect, 0, _C + _S, decode_disconnect, encode_disconnect),
    _Kind(Auth, 0, _C + _S, decode_auth, encode_auth),
)
_BY_PACKET: Final = {kind.packet: (number << 4, kind.encode) for number, kind in enumerate(_KINDS, 1)}


def decode(first_byte: int, body: bytes, version: Version, sender: Sender | None = None) -> Packet:
    """The packet in a frame: its first byte, and what stands behind the remaining length.

    CONNECT says its own version; for it `version` may be anything. With `sender`, what that side may not send is a
    ProtocolError. Raises MalformedPacketError, ProtocolError, UnsupportedVersionError, nothing else.
    """
    number = first_byte >> 4
    if not number:
        raise MalformedPacketError("packet type 0 is reserved", "2.1.2")
    kind = _KINDS[number - 1]
    flags = first_byte & 0x0F
    if kind.flags is not None and flags != kind.flags:
        raise MalformedPacketError(
            f"{kind.packet.__name__.upper()} has the flags 0x{flags:X}, not 0x{kind.flags:X}", "MQTT-2.1.3-1"
        )
    if sender is not None and sender not in kind.senders:
        raise ProtocolError(f"a {sender.value} does not send {kind.packet.__name__.upper()}", "2.1.2")
    packet = kind.decode(flags, body, version)
    if sender is not None:
        _check_sender(packet, version, sender)
    return packet


def _check_sender(packet: Packet, version: Version, sender: Sender) -> None:
    """The rules that bind one side only."""
    if sender is Sender.CLIENT:
        if isinstance(packet, Publish) and packet.properties.subscription_identifier:
            raise ProtocolError("a client's PUBLISH has a subscription_identifier", "MQTT-3.3.4-6")
    elif isinstance(packet, Disconnect):
        if version != V5:
            raise ProtocolError("a server does not send DISCONNECT in MQTT 3.1.1", "MQTT 3.1.1, 2.2.1")
        if packet.properties.session_expiry_interval is not None:
            raise ProtocolError("a server's DISCONNECT has a session_expiry_interval", "MQTT-3.14.2-2")


def encode(packet: Packet, version: Version) -> bytes:
    """The bytes of a packet; CONNECT in its own version. What 3.1.1 cannot say is left out.

    Raises EncodeError when the standard does not allow the packet.
    """
    first_byte, encode_body = _BY_PACKET[type(packet)]
    try:
        flags, body = encode_body(packet, version)
    except RemoteError as error:
        raise EncodeError.of(error) from None
    return bytes((first_byte | flags,)) + encode_varint(len(body)) + body
