"""What goes over the wire, byte by byte, where the standard prescribes it."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from msgspec.structs import replace

from allthings.mqtt.codec import encode
from allthings.mqtt.packets import Pingreq, Subscribe, Subscription, Will
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import Version
from tests.gateway.conftest import Gateway, wire
from tests.gateway.station import V3, V5, Disconnect, Peer, Puback, Publish, Station, subscribe

CONNECT_3 = "10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61"
CONNECT_5 = "10 0e 00 04 4d 51 54 54 05 02 00 3c 00 00 01 61"
ACCEPTED_3 = "20 02 00 00"


async def test_connack_of_both_versions(gateway: Gateway) -> None:
    async with gateway() as port:
        async with wire(port) as client:
            await client.send(CONNECT_3)
            assert await client.receive(4) == ACCEPTED_3
        async with wire(port) as client:
            await client.send(CONNECT_5)
            head = await client.receive(5)
            assert head.startswith("20 ")
            assert head.split()[2:4] == ["00", "00"]


async def test_an_unknown_version_is_refused_in_a_form_it_can_read(gateway: Gateway) -> None:
    async with gateway() as port:
        async with wire(port) as client:
            await client.send("10 0f 00 06 4d 51 49 73 64 70 04 02 00 3c 00 01 61")
            assert await client.rest() == "20 02 00 01"
        async with wire(port) as client:
            await client.send("10 0e 00 04 4d 51 54 54 06 02 00 3c 00 00 01 61")
            assert await client.rest() == "20 03 00 84 00"


@pytest.mark.parametrize(
    ("bytes_", "code"),
    [
        pytest.param("32 08 00 01 61 00 00 00 31 32", "82", id="packet identifier 0 (2.2.1)"),
        pytest.param("36 07 00 01 61 00 01 00 31", "81", id="QoS 3 (3.3.1-4)"),
        pytest.param("30 06 00 01 23 00 31 32", "90", id="wildcard in a topic name (3.3.2-2)"),
        pytest.param("30 06 00 02 c3 28 00 31", "81", id="ill-formed UTF-8 (1.5.4-1)"),
        pytest.param("30 08 00 01 61 03 23 00 41 31", "94", id="topic alias beyond the maximum (3.3.2-9)"),
        pytest.param("82 08 00 01 00 00 02 61 23 00", "8f", id="bad topic filter (4.7.1-1)"),
        pytest.param("30 ff ff ff ff 01", "81", id="remaining length of five bytes (1.5.5)"),
        pytest.param("30 ff ff ff 7f", "95", id="packet too large (3.2.2.3.6)"),
        pytest.param(CONNECT_5, "82", id="a second CONNECT (3.1.0-2)"),
        pytest.param("20 03 00 00 00", "82", id="CONNACK from a client"),
    ],
)
async def test_what_the_standard_forbids_is_answered_with_its_code_and_a_close(
    gateway: Gateway, bytes_: str, code: str
) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send(CONNECT_5)
        length = int((await client.receive(2)).split()[1], 16)
        await client.receive(length)
        await client.send(bytes_)
        answer = (await client.rest()).split()
        assert answer[0] == "e0"
        assert answer[2] == code


async def test_the_first_packet_must_be_connect(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send("c0 00")
        assert await client.rest() == ""


async def test_what_is_no_mqtt_is_sent_away_by_its_first_byte(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send("47 45")  # "GE": HTTP's GET would be a PUBACK that takes 69 bytes
        assert await client.rest() == ""


@pytest.mark.parametrize(
    ("bytes_", "code"),
    [
        pytest.param("10 0e 00 04 4d 51 54 54 05 03 00 3c 00 00 01 61", "81", id="reserved flag (3.1.2-3)"),
        pytest.param("10 10 00 04 4d 51 54 54 05 02 00 3c 02 7f 00 00 01 61", "81", id="unknown property (2.2.2.2)"),
        pytest.param("10 11 00 04 4d 51 54 54 05 02 00 3c 03 21 00 00 00 01 61", "82", id="receive maximum 0"),
        pytest.param("10 14 00 04 4d 51 54 54 05 06 00 3c 00 00 01 61 00 00 01 23 00 00", "90", id="will to #"),
        pytest.param("10 0e 00 04 58 51 54 54 05 02 00 3c 00 00 01 61", None, id="another protocol (3.1.2-1)"),
        pytest.param("11 0e 00 04 4d 51 54 54 05 02 00 3c 00 00 01 61", None, id="no CONNECT: flags (2.1.3-1)"),
        pytest.param("10 0d 00 04 4d 51 54 54 04 03 00 3c 00 01 61", None, id="3.1.1: reserved flag (3.1.2-3)"),
        pytest.param("10 11 00 04 4d 51 54 54 04 06 00 3c 00 01 61 00 00 00 00", None, id="3.1.1: empty will topic"),
        pytest.param("10 0c 00 04 4d 51 54 54 04 00 00 3c 00 00", "02", id="3.1.1: no client id (3.1.3-8)"),
    ],
)
async def test_a_malformed_connect_is_answered_in_its_version(gateway: Gateway, bytes_: str, code: str | None) -> None:
    """MQTT 5 may answer (section 4.13.1), MQTT 3.1.1 may not [MQTT-3.1.4-1]."""
    async with gateway() as port, wire(port) as client:
        await client.send(bytes_)
        answer = (await client.rest()).split()
        assert answer[:1] == (["20"] if code else [])
        assert answer[3:4] == ([code] if code else [])


async def test_packets_may_come_in_single_bytes_and_before_connack(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        for byte in (CONNECT_3 + " 32 07 00 01 61 00 01 31 32 c0 00").split():
            await client.send(byte)
        assert await client.receive(4) == ACCEPTED_3
        # PINGRESP may overtake the PUBACK, which waits for the disk.
        assert sorted((await client.receive(6)).split()) == sorted(["40", "02", "00", "01", "d0", "00"])


async def test_a_run_of_publishes_is_acknowledged_in_order(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send(CONNECT_3)
        await client.receive(4)
        await client.send(" ".join(f"32 06 00 01 61 00 {n:02x} 31" for n in range(1, 100)))
        acknowledged = (await client.receive(4 * 99)).split()
        assert acknowledged == " ".join(f"40 02 00 {n:02x}" for n in range(1, 100)).split()


# Maximum Packet Size of the client (section 3.1.2.11.4)


@pytest.mark.parametrize(("packet_max", "answers"), [(4, 0), (5, 1), (15, 1)])
async def test_who_cannot_take_the_connack_is_refused(station: Station, packet_max: int, answers: int) -> None:
    peer = await station.connect("a", packet_max=packet_max, will=Will("gone"))
    assert [packet.reason_code for packet in peer.take()] == [ReasonCode.PACKET_TOO_LARGE] * answers
    assert peer.closed
    assert not station.broker.sessions.by_client
    assert not station.broker.clients


async def test_who_cannot_take_an_answer_is_sent_away(station: Station) -> None:
    peer = await station.connect("a", packet_max=30)
    peer.take()
    peer.send(Subscribe(1, tuple(Subscription(f"t/{number}") for number in range(27))))
    await station.settle()
    assert [packet.reason_code for packet in peer.take()] == [ReasonCode.PACKET_TOO_LARGE]
    assert peer.closed


@pytest.mark.parametrize("version", [V3, V5])
async def test_messages_are_taken_as_they_are_however_they_come(station: Station, version: Version) -> None:
    """Alone, together, cut anywhere; topics again and again, with other flags, among packets of other kinds."""
    random = Random(7)
    listener = await station.session("listener", "t/#", qos=1)
    peer = await station.connect("speaker", version)
    expected: list[tuple[str, bytes, int]] = []
    inner = encode(Publish("t/a", b"inner"), version)
    for _ in range(60):
        data = b""
        for number in range(random.choice([1, 1, 1, 2, 5])):
            qos, payload = random.choice([0, 1, 1]), random.randbytes(random.choice([0, 1, 20, 110, 200]))
            if random.random() < 0.2:
                payload = inner
            topic = f"t/{random.choice(['a', 'b', 'c' * 60, 'ä'])}"
            sent = Publish(topic, payload, qos, random.random() < 0.1, packet_id=number + 1 if qos else 0)
            if version == V5 and random.random() < 0.1:
                sent = replace(sent, properties=Properties(content_type="text/plain"))
            data += encode(sent, version)
            expected.append((topic, payload, qos))
            if random.random() < 0.1 and payload != inner:
                data += encode(Pingreq(), version)
        if payload == inner:
            # What comes last looks like a message of its own.
            peer.send_bytes(data[: -len(inner)])
            data = inner
        cuts = sorted(random.sample(range(len(data) + 1), random.choice([0, 0, 0, 1, 3]) % len(data)))
        for start, end in itertools.pairwise([0, *cuts, len(data)]):
            peer.send_bytes(data[start:end])
        await station.settle()
        await station.take_all(peer)
    got: list[tuple[str, bytes, int]] = []
    while packets := listener.publishes():
        for packet in packets:
            got.append((packet.topic, packet.payload, packet.qos))
            if packet.qos:
                listener.send(Puback(packet.packet_id))
        await station.settle()
    assert got == expected
    assert not peer.closed


@pytest.mark.parametrize("version", [V3, V5])
async def test_who_speaks_for_many_things_is_acknowledged_in_order(station: Station, version: Version) -> None:
    peer = await station.connect("speaker", version)
    peer.take()
    for _ in range(3):
        # The first time nothing is known of these topics, then all of it.
        peer.send(*(Publish(f"things/{number}/properties", b"1", 1, packet_id=number + 1) for number in range(5)))
        await station.settle()
        assert peer.take() == [Puback(number + 1) for number in range(5)]
    assert peer.connection.received == 15


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("wrong", ["no identifier", "too short"])
async def test_a_wrong_message_among_those_of_many_things_is_found(
    station: Station, version: Version, wrong: str
) -> None:
    peer = await station.connect("speaker", version)
    peer.take()
    sent = [encode(Publish(f"things/{number}/properties", b"", 1, packet_id=7), version) for number in range(3)]
    for _ in range(2):
        peer.send_bytes(b"".join(sent))
    await station.settle()
    assert peer.take() == [Puback(7)] * 6
    to_identifier = sent[1].rindex(b"\0\7")
    broken = sent[1].replace(b"\0\7", b"\0\0")
    if wrong == "too short":
        broken = bytes((sent[1][0], to_identifier - 1)) + sent[1][2 : to_identifier + 1]
    peer.send_bytes(sent[0] + broken + sent[2])
    await station.settle()
    # The first one was good, and is kept.
    assert peer.closed
    assert peer.connection.received == 7


# Topic aliases towards the client (section 3.3.2.3.4)


async def aliasing(station: Station, **more: object) -> Peer:
    peer = await station.connect("a", aliases=2, **more)
    peer.send(subscribe("#", 0))
    await station.settle()
    peer.take()
    return peer


def tell(station: Station, topic: str, *payloads: bytes) -> None:
    station.broker.route(topic, "x", list(payloads), 0, None, 1 << 62, 0)
    station.broker.flush()


async def test_aliases_are_given_once_and_kept(station: Station) -> None:
    peer = await aliasing(station)
    for topic in ("one", "two", "three", "one", "two"):
        tell(station, topic, b"")
    got = [(each.topic, each.properties.topic_alias) for each in peer.publishes() if not each.topic.startswith("$")]
    assert got == [("one", 1), ("two", 2), ("three", None), ("", 1), ("", 2)]


async def test_a_message_that_is_too_large_for_who_takes_aliases_harms_nobody(station: Station) -> None:
    peer = await aliasing(station, packet_max=30)
    tell(station, "one", b"x" * 100)
    tell(station, "one", b"y" * 100, b"fits")
    assert [(each.payload, each.topic) for each in peer.publishes()] == [(b"fits", "one")]
    assert peer.connection.dropped == 2


async def test_an_alias_is_not_taken_as_known_when_its_message_was_dropped(station: Station) -> None:
    peer = await aliasing(station)
    peer.reading = False
    tell(station, "one", b"x" * 100_000)
    tell(station, "two", b"dropped")
    peer.read_again()
    tell(station, "two", b"seen")
    assert [(each.topic, each.payload[:9]) for each in peer.publishes()] == [("one", b"x" * 9), ("two", b"seen")]


@pytest.mark.parametrize("packet_max", range(16, 30))
async def test_a_packet_is_never_larger_than_the_client_takes(station: Station, packet_max: int) -> None:
    peer = await aliasing(station, packet_max=packet_max)
    for _ in range(3):
        for size in range(12):
            tell(station, "t", b"x" * size)
    got = peer.publishes()
    assert got
    assert all(len(encode(each, V5)) <= packet_max for each in got)


async def test_aliases_end_with_their_connection(station: Station) -> None:
    peer = await station.connect("a", clean=False, expiry_s=1000)
    peer.send(Publish("t", b"", 1, packet_id=1, properties=Properties(topic_alias=1)))
    await station.settle()
    peer.vanish()
    await station.settle()
    peer = await station.connect("a", clean=False, expiry_s=1000)
    peer.send(Publish("", b"", 1, packet_id=2, properties=Properties(topic_alias=1)))
    await station.settle()
    answer = peer.take()[-1]
    assert isinstance(answer, Disconnect)
    assert answer.reason_code == ReasonCode.PROTOCOL_ERROR
