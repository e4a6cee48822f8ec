"""Every packet survives the way there and back; whatever else arrives ends in an MqttError and nothing else."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import EncodeError, MalformedPacketError, ProtocolError, RemoteError
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5, Sender, Version
from tests.reaching import must_reach, reach

from .packet_strategies import packets, publishes

versions = st.sampled_from([V3, V5])


def read(data: bytes, version: Version) -> Packet:
    (frame,) = FrameReader(version=version).feed(data)
    return decode(*frame, version)


def verdict(first_byte: int, body: bytes, version: Version, sender: Sender | None) -> Packet | RemoteError:
    try:
        return decode(first_byte, body, version, sender)
    except RemoteError as error:
        return error


@settings(max_examples=200)
@given(st.data(), versions)
def test_round_trip(data: st.DataObject, version: Version) -> None:
    packet = data.draw(packets(version))
    assert read(encode(packet, version), version) == packet


@given(publishes(V5))
def test_mqtt_3_leaves_out_what_it_cannot_say(packet: Publish) -> None:
    if not packet.topic:
        with pytest.raises(EncodeError):
            encode(packet, V3)
        return
    plain = Publish(packet.topic, packet.payload, packet.qos, packet.retain, packet.dup, packet.packet_id)
    assert read(encode(packet, V3), V3) == plain


@must_reach("accepted", "refused")
@settings(max_examples=1000)
@given(st.integers(0, 255), st.binary(max_size=200), versions, st.sampled_from([None, *Sender]))
@example(0x10, b"", V5, None)
def test_arbitrary_bodies(first_byte: int, body: bytes, version: Version, sender: Sender | None) -> None:
    found = verdict(first_byte, body, version, sender)
    reach("refused" if isinstance(found, RemoteError) else "accepted")
    if isinstance(found, RemoteError):
        assert found.reason >= 0x80
        assert found.hint
        assert found.section
    else:  # what is accepted can be said again, and means the same
        assert read(encode(found, version), version) == found


@must_reach("accepted", "refused")
@settings(max_examples=200)
@given(st.data(), versions)
def test_damaged_packets(data: st.DataObject, version: Version) -> None:
    """Real packets with a few bytes changed reach far deeper than random ones."""
    raw = bytearray(encode(data.draw(packets(version)), version))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        for frame in FrameReader(version=version).feed(bytes(raw)):
            packet = decode(*frame, version)
            assert read(encode(packet, version), version) == packet
            reach("accepted")
    except RemoteError:
        reach("refused")


@pytest.mark.parametrize(
    ("first_byte", "unit"),
    [
        (0x82, b"\x00\x01a\x00"),  # subscriptions
        (0xA2, b"\x00\x01a"),  # topic filters
        (0x90, b"\x00"),  # reason codes
    ],
)
def test_memory_is_bounded_by_the_packet(first_byte: int, unit: bytes) -> None:
    body = b"\x00\x01\x00" + unit * (50_000 // len(unit))
    tracemalloc.start()
    decode(first_byte, body, V5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60 * len(body)


def test_memory_of_user_properties_is_bounded_by_the_packet() -> None:
    raw = b"\x26\x00\x00\x00\x00" * 10_000
    body = b"\x00\x01a" + b"\xd0\x86\x03" + raw
    tracemalloc.start()
    packet = decode(0x30, body, V5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(packet, Publish)
    assert len(packet.properties.user_property) == 10_000
    assert peak < 40 * len(body)


@pytest.mark.parametrize(
    ("packet", "version"),
    [
        (Publish("a/+"), V5),
        (Publish(""), V5),
        (Publish("a", packet_id=1), V5),
        (Publish("a", qos=1), V5),
        (Publish("a", qos=3, packet_id=1), V5),
        (Publish("a", dup=True), V5),
        (Publish("a\0"), V5),
        (Publish("\ud800"), V5),
        (Publish("a" * 65_536), V5),
        (Publish("a", qos=1, packet_id=65_536), V5),
        (Publish("a", properties=Properties(topic_alias=0)), V5),
        (Publish("a", properties=Properties(subscription_identifier=(0,))), V5),
        (Publish("a", properties=Properties(subscription_identifier=(268_435_456,))), V5),
        (Publish("a", properties=Properties(message_expiry_interval=1 << 32)), V5),
        (Publish("a", properties=Properties(message_expiry_interval=-1)), V5),
        (Publish("a", properties=Properties(payload_format_indicator=2)), V5),
        (Publish("a", properties=Properties(reason_string="no")), V5),
        (Puback(0), V3),
        (Puback(1, ReasonCode.BANNED), V5),
        (Connack(True, ReasonCode.NOT_AUTHORIZED), V5),
        (Connack(reason_code=ReasonCode.KEEP_ALIVE_TIMEOUT), V5),
        (Connack(reason_code=ReasonCode.MALFORMED_PACKET), V3),
        (Connect("a", V3, password=b"p"), V5),
        (Connect("", V3, clean_start=False), V5),
        (Connect("a", keep_alive_s=65_536), V5),
        (Connect("a", password=b"p" * 65_536), V5),
        (Connect("a", will=Will("#")), V5),
        (Connect("a", will=Will("a", qos=3)), V5),
        (Subscribe(1, ()), V5),
        (Subscribe(1, (Subscription("a#"),)), V5),
        (Subscribe(1, (Subscription("a", qos=3),)), V5),
        (Subscribe(1, (Subscription("a", retain_handling=3),)), V5),
        (Subscribe(1, (Subscription("$share/g/a", no_local=True),)), V5),
        (Subscribe(1, (Subscription("a"),), Properties(subscription_identifier=(1, 2))), V5),
        (Suback(1, ()), V5),
        (Suback(1, (ReasonCode.BANNED,)), V3),
        (Unsubscribe(1, ()), V3),
        (Unsuback(1, ()), V5),
        (Unsuback(1, (ReasonCode.GRANTED_QOS_1,)), V5),
        (Auth(), V3),
        (Auth(ReasonCode.CONTINUE_AUTHENTICATION), V5),
    ],
)
def test_what_the_standard_forbids_is_not_sent(packet: Packet, version: Version) -> None:
    with pytest.raises(EncodeError):
        encode(packet, version)


def test_connect_is_written_in_its_own_version() -> None:
    assert encode(Connect("a", V3), V5) == encode(Connect("a", V3), V3)
    assert read(encode(Connect("a", V5), V3), V3) == Connect("a", V5)


def test_the_verdict_names_packet_field_and_section() -> None:
    with pytest.raises(MalformedPacketError) as malformed:
        decode(0x32, b"\x00\x01a\x00", V3)
    assert str(malformed.value) == (
        "PUBLISH ends within the packet identifier: 2 bytes needed at offset 3, 1 there [2.1.4]"
    )
    with pytest.raises(ProtocolError, match=r"a client's PUBLISH has a subscription_identifier \[MQTT-3.3.4-6\]"):
        decode(0x30, b"\x00\x01a\x02\x0b\x01", V5, Sender.CLIENT)
