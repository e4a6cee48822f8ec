"""A stranger's codec: paho-mqtt writes what we read and reads what we write, over a loopback socket.

Also its tables of properties and reason codes, which were typed in by other people from the same standard.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode as PahoReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from allthings.mqtt import reasons
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.frames import FrameReader
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
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from allthings.mqtt.properties import DEFINITIONS, Carrier, Properties, WireType, decode_raw
from allthings.mqtt.properties import encode as encode_properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5, Sender, Version

from .packet_strategies import properties

_PAHO_TYPES = {carrier: getattr(PacketTypes, carrier.name) for carrier in Carrier if carrier is not Carrier.WILL}
_PAHO_TYPES[Carrier.WILL] = PacketTypes.WILLMESSAGE
_WIRE_TYPES = {
    WireType.BIT: "Byte",
    WireType.BOOLEAN: "Byte",
    WireType.TWO_BYTES: "Two Byte Integer",
    WireType.FOUR_BYTES: "Four Byte Integer",
    WireType.VARINT: "Variable Byte Integer",
    WireType.BINARY: "Binary Data",
    WireType.STRING: "UTF-8 Encoded String",
    WireType.PAIR: "UTF-8 String Pair",
}


def test_table_of_properties() -> None:
    theirs = PahoProperties(PacketTypes.CONNECT)
    assert {d.identifier: d.name for d in DEFINITIONS} == {
        identifier: name.lower().replace(" ", "_") for name, identifier in theirs.names.items()
    }
    for definition in DEFINITIONS:
        wire_type, packet_types = theirs.properties[definition.identifier]
        assert theirs.types[wire_type] == _WIRE_TYPES[definition.wire_type], definition.name
        assert set(packet_types) == {_PAHO_TYPES[carrier] for carrier in definition.carriers}, definition.name


@pytest.mark.parametrize(
    ("codes", "packet_type"),
    [
        # 0x99 refuses the will's payload (section 3.2.2.2); paho's table has it for other packets only.
        (reasons.CONNACK_CODES - {ReasonCode.PAYLOAD_FORMAT_INVALID}, PacketTypes.CONNACK),
        (reasons.PUBACK_CODES, PacketTypes.PUBACK),
        (reasons.PUBACK_CODES, PacketTypes.PUBREC),
        (reasons.PUBREL_CODES, PacketTypes.PUBREL),
        (reasons.PUBREL_CODES, PacketTypes.PUBCOMP),
        (reasons.SUBACK_CODES, PacketTypes.SUBACK),
        (reasons.UNSUBACK_CODES, PacketTypes.UNSUBACK),
        (reasons.DISCONNECT_CODES, PacketTypes.DISCONNECT),
        (reasons.AUTH_CODES, PacketTypes.AUTH),
    ],
)
def test_table_of_reason_codes(codes: frozenset[ReasonCode], packet_type: int) -> None:
    table = PahoReasonCode(packet_type, identifier=min(codes)).names
    theirs = {
        identifier
        for identifier, names in table.items()
        if any(packet_type in packet_types for packet_types in names.values())
    }
    assert {int(code) for code in codes} == theirs


def theirs_of(ours: Properties, carrier: Carrier) -> PahoProperties:
    theirs = PahoProperties(_PAHO_TYPES[carrier])
    for definition in DEFINITIONS:
        value = getattr(ours, definition.name)
        if value is None or value == ():
            continue
        attribute = theirs.getNameFromIdent(definition.identifier).replace(" ", "")
        items = value if definition.repeats else (value,)
        for item in items:  # setting one that repeats adds to it
            setattr(theirs, attribute, int(item) if isinstance(item, bool) else item)
    return theirs


@given(st.data(), st.sampled_from(Carrier))
def test_properties_both_ways(data: st.DataObject, carrier: Carrier) -> None:
    ours = data.draw(properties(carrier))
    if ours.maximum_packet_size is not None:
        # paho knows no more than the largest packet that there can be.
        ours = msgspec.structs.replace(ours, maximum_packet_size=min(ours.maximum_packet_size, 268_435_455))
    packed = theirs_of(ours, carrier).pack()
    size_bytes = len(packed) - _size_of_properties(packed)
    assert decode_raw(packed[size_bytes:], carrier) == ours
    read = PahoProperties(_PAHO_TYPES[carrier])
    raw = encode_properties(ours, carrier)
    read.unpack(raw)
    assert read.json() == theirs_of(ours, carrier).json()
    assert len(raw) == len(packed)


def _size_of_properties(packed: bytes) -> int:
    size = shift = 0
    for digit in packed:
        size |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            break
    return size


class Peer:
    """A paho client and the server's end of its socket, in one thread: every step waits for its packet."""

    def __init__(self, version: Version, **options: Any) -> None:
        protocol = paho.MQTTv5 if version == V5 else paho.MQTTv311
        self.version = version
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="paho", protocol=protocol, reconnect_on_failure=False, **options
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.reader = FrameReader(version=version)
        self.waiting: list[tuple[int, bytes]] = []

    def connect(self, **options: Any) -> Packet:
        self.client.connect("127.0.0.1", self.listener.getsockname()[1], **options)
        self.socket, _ = self.listener.accept()
        self.socket.settimeout(10)
        return self.receive()

    def receive(self) -> Packet:
        while not self.waiting:
            data = self.socket.recv(65_536)
            assert data, "closed"
            self.waiting.extend(self.reader.feed(data))
        return decode(*self.waiting.pop(0), self.version, Sender.CLIENT)

    def send(self, packet: Packet) -> None:
        self.socket.sendall(encode(packet, self.version))
        assert self.client.loop(timeout=10) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        self.client.disconnect()
        self.socket.close()
        self.listener.close()
        self.client.loop(timeout=0.1)


@pytest.fixture(params=[V3, V5], ids=["3.1.1", "5"])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    version = request.param
    options = {"clean_session": True} if version == V3 else {}
    made = Peer(version, **options)
    assert made.connect(keepalive=30) == Connect("paho", version, True, 30)
    made.send(Connack())
    yield made
    made.close()


def test_connect_with_everything() -> None:
    peer = Peer(V5)
    will = PahoProperties(PacketTypes.WILLMESSAGE)
    will.WillDelayInterval = 5
    will.ContentType = "text/plain"
    will.UserProperty = ("w", "1")
    peer.client.will_set("state/é", b"gone\0", qos=2, retain=True, properties=will)
    peer.client.username_pw_set("room-17", "secret")
    given_properties = PahoProperties(PacketTypes.CONNECT)
    given_properties.SessionExpiryInterval = 3600
    given_properties.ReceiveMaximum = 20
    given_properties.RequestProblemInformation = 0
    given_properties.UserProperty = [("a", "1"), ("a", "2")]
    packet = peer.connect(keepalive=77, clean_start=False, properties=given_properties)
    assert packet == Connect(
        "paho",
        V5,
        clean_start=False,
        keep_alive_s=77,
        user_name="room-17",
        password=b"secret",
        will=Will(
            "state/é",
            b"gone\0",
            qos=2,
            retain=True,
            properties=Properties(will_delay_interval=5, content_type="text/plain", user_property=(("w", "1"),)),
        ),
        properties=Properties(
            session_expiry_interval=3600,
            receive_maximum=20,
            request_problem_information=False,
            user_property=(("a", "1"), ("a", "2")),
        ),
    )
    answers: list[Any] = []
    peer.client.on_connect = lambda *arguments: answers.append(arguments[2:])
    peer.send(
        Connack(
            True,
            properties=Properties(
                assigned_client_identifier="given", receive_maximum=7, maximum_qos=1, server_keep_alive=9
            ),
        )
    )
    ((flags, reason, read),) = answers
    assert flags.session_present
    assert reason == 0
    assert (read.AssignedClientIdentifier, read.ReceiveMaximum, read.MaximumQoS) == ("given", 7, 1)
    peer.close()


@pytest.mark.parametrize(
    ("version", "reason"),
    [(V3, ReasonCode.NOT_AUTHORIZED), (V3, ReasonCode.SERVER_UNAVAILABLE), (V5, ReasonCode.BANNED)],
)
def test_connack_that_refuses(version: Version, reason: ReasonCode) -> None:
    peer = Peer(version)
    peer.connect()
    answers: list[Any] = []
    peer.client.on_connect = lambda *arguments: answers.append(arguments[3])
    peer.socket.sendall(encode(Connack(reason_code=reason), version))
    peer.client.loop(timeout=10)
    assert answers[0].value == reason
    peer.close()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_from_paho(peer: Peer, qos: int) -> None:
    given_properties = None
    ours = Properties()
    if peer.version == V5:
        ours = Properties(
            payload_format_indicator=1,
            message_expiry_interval=60,
            content_type="application/json",
            response_topic="re/ply",
            correlation_data=b"\x00\xff",
            topic_alias=3,
            user_property=(("k", "v"), ("k", "w")),
        )
        given_properties = theirs_of(ours, Carrier.PUBLISH)
    done: list[int] = []
    peer.client.on_publish = lambda *arguments: done.append(arguments[2])
    info = peer.client.publish("things/房間/properties", b"{}" * 100, qos, True, given_properties)
    packet_id = info.mid if qos else 0
    assert peer.receive() == Publish(
        "things/房間/properties", b"{}" * 100, qos, retain=True, packet_id=packet_id, properties=ours
    )
    if qos == 1:
        peer.send(Puback(info.mid, ReasonCode.NO_MATCHING_SUBSCRIBERS))
    if qos == 2:
        peer.send(Pubrec(info.mid))
        assert peer.receive() == Pubrel(info.mid)
        peer.send(Pubcomp(info.mid))
    assert done == [info.mid]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_to_paho(peer: Peer, qos: int) -> None:
    got: list[paho.MQTTMessage] = []
    peer.client.on_message = lambda client, data, message: got.append(message)
    ours = Properties(
        content_type="text/plain",
        correlation_data=b"\x01",
        subscription_identifier=(1, 268_435_455),
        user_property=(("a", "b"),),
    )
    peer.send(Publish("a/é", b"x" * 200, qos, retain=True, packet_id=515 if qos else 0, properties=ours))
    if qos == 1:
        assert peer.receive() == Puback(515)
    if qos == 2:
        assert peer.receive() == Pubrec(515)
        peer.send(Pubrel(515))
        assert peer.receive() == Pubcomp(515)
    (message,) = got
    assert (message.topic, message.payload, message.qos, message.retain) == ("a/é", b"x" * 200, qos, True)
    if peer.version == V5:
        assert message.properties is not None
        assert message.properties.json() == theirs_of(ours, Carrier.PUBLISH).json()


def test_subscribe_and_unsubscribe(peer: Peer) -> None:
    answers: list[Any] = []
    peer.client.on_subscribe = lambda *arguments: answers.append([code.value for code in arguments[3]])
    peer.client.on_unsubscribe = lambda *arguments: answers.append([code.value for code in arguments[3]])
    if peer.version == V5:
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=2)
        given_properties = PahoProperties(PacketTypes.SUBSCRIBE)
        given_properties.SubscriptionIdentifier = 300
        wanted: Any = [("a/#", options), ("$share/g/+", SubscribeOptions(qos=2))]
        _, packet_id = peer.client.subscribe(wanted, properties=given_properties)
        assert peer.receive() == Subscribe(
            packet_id or 0,
            (Subscription("a/#", 1, True, True, 2), Subscription("$share/g/+", 2)),
            Properties(subscription_identifier=(300,)),
        )
    else:
        _, packet_id = peer.client.subscribe([("a/#", 1), ("+", 2)])
        assert peer.receive() == Subscribe(packet_id or 0, (Subscription("a/#", 1), Subscription("+", 2)))
    peer.send(Suback(packet_id or 0, (ReasonCode.GRANTED_QOS_1, ReasonCode.UNSPECIFIED_ERROR)))
    _, packet_id = peer.client.unsubscribe(["a/#", "b"])
    assert peer.receive() == Unsubscribe(packet_id or 0, ("a/#", "b"))
    peer.send(Unsuback(packet_id or 0, (ReasonCode.SUCCESS, ReasonCode.NO_SUBSCRIPTION_EXISTED)))
    assert answers == [[1, 0x80], [0, 0x11] if peer.version == V5 else []]


def test_ping_and_disconnect(peer: Peer) -> None:
    peer.client._send_pingreq()
    assert peer.receive() == Pingreq()
    peer.send(Pingresp())
    if peer.version == V3:
        peer.client.disconnect()
        assert peer.receive() == Disconnect()
        return
    given_properties = PahoProperties(PacketTypes.DISCONNECT)
    given_properties.SessionExpiryInterval = 5
    given_properties.ReasonString = "bye"
    peer.client.disconnect(PahoReasonCode(PacketTypes.DISCONNECT, identifier=4), given_properties)
    assert peer.receive() == Disconnect(
        ReasonCode.DISCONNECT_WITH_WILL_MESSAGE, Properties(session_expiry_interval=5, reason_string="bye")
    )


def test_disconnect_from_the_server() -> None:
    peer = Peer(V5)
    peer.connect()
    peer.send(Connack())
    answers: list[Any] = []
    peer.client.on_disconnect = lambda *arguments: answers.append(arguments[3:])
    sent = Disconnect(ReasonCode.SESSION_TAKEN_OVER, Properties(reason_string="another one"))
    peer.socket.sendall(encode(sent, V5))
    peer.client.loop(timeout=10)
    assert answers[0][0].value == 0x8E
    assert answers[0][1].ReasonString == "another one"
    peer.close()


def test_auth_as_paho_would_write_it() -> None:
    """paho sends no AUTH by itself, but packs its parts."""
    given_properties = PahoProperties(PacketTypes.AUTH)
    given_properties.AuthenticationMethod = "SCRAM-SHA-256"
    given_properties.AuthenticationData = b"\x00\x01"
    reason = PahoReasonCode(PacketTypes.AUTH, identifier=0x18)
    body = reason.pack() + given_properties.pack()
    packet = decode(0xF0, bytes(body), V5)
    assert packet == Auth(
        ReasonCode.CONTINUE_AUTHENTICATION,
        Properties(authentication_method="SCRAM-SHA-256", authentication_data=b"\x00\x01"),
    )
    assert encode(packet, V5)[2:] == body
