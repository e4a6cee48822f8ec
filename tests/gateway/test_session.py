"""One session over the wire: what waits for the disk, what is bounded, and what is answered to strange packets."""

from __future__ import annotations

import asyncio

import pytest

from allthings.gateway import settings
from allthings.mqtt.packets import Packet, Pingreq
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from tests.gateway.station import (
    V3,
    V5,
    Connack,
    Disconnect,
    Peer,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Station,
    connect,
    kinds,
    subscribe,
    unsubscribe,
)


async def publish(station: Station, *payloads: bytes, topic: str = "t", qos: int = 1, expiry_s: int = 0) -> None:
    """From a client of its own; settled."""
    peer = await station.connect("publisher")
    properties = Properties(message_expiry_interval=expiry_s or None)
    for number, payload in enumerate(payloads, 1):
        peer.send(Publish(topic, payload, qos, packet_id=number if qos else 0, properties=properties))
    await station.settle()
    peer.vanish()
    await station.settle()


async def again(station: Station, client: str = "a", **more: object) -> Peer:
    peer = await station.connect(client, clean=False, expiry_s=1000, **more)
    assert isinstance(peer.received[0], Connack)
    del peer.received[0]
    return peer


def payloads(peer: Peer) -> list[bytes]:
    return [each.payload for each in peer.publishes()]


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


# What waits for the disk


async def test_qos_2_goes_out_when_its_claim_is_on_disk(station: Station) -> None:
    peer = await station.session("a", "t", qos=2)
    station.broker.route("t", "x", [b"1"], 2, None, 1 << 40, 0)
    station.broker.collector.hold(True)
    await turns()
    assert peer.take() == []
    station.broker.collector.hold(False)
    await station.settle()
    assert payloads(peer) == [b"1"]


async def test_pubrel_and_pubcomp_are_sent_when_they_are_on_disk(station: Station) -> None:
    peer = await station.session("a", "t", qos=2)
    await publish(station, b"1", qos=2)
    (message,) = peer.publishes()
    station.broker.collector.hold(True)
    peer.send(Pubrec(message.packet_id))
    await turns()
    assert peer.take() == []
    station.broker.collector.hold(False)
    await station.settle()
    assert peer.take() == [Pubrel(message.packet_id)]
    peer.send(Publish("u", b"", 2, packet_id=5))
    await station.settle()
    assert peer.take() == [Pubrec(5)]
    station.broker.collector.hold(True)
    peer.send(Pubrel(5), Pubrel(5))
    await turns()
    assert peer.take() == []
    station.broker.collector.hold(False)
    await station.settle()
    assert peer.take() == [Pubcomp(5), Pubcomp(5, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)]


async def test_suback_and_unsuback_of_a_session_that_lasts_wait_for_the_disk(station: Station) -> None:
    peer = await station.session("a")
    for packet, answer in ((subscribe("t"), "Suback"), (unsubscribe("t"), "Unsuback")):
        station.broker.collector.hold(True)
        peer.send(packet)
        await turns()
        assert peer.take() == []
        station.broker.collector.hold(False)
        await station.settle()
        assert kinds(peer.take()) == [answer]


# What the client sends with QoS 2


async def test_a_message_that_is_sent_twice_is_taken_once(station: Station) -> None:
    watching = await station.session("watcher", "t", qos=2)
    peer = await station.session("a")
    station.broker.collector.hold(True)
    peer.send(Publish("t", b"1", 2, packet_id=5))
    peer.vanish()
    await turns()
    peer = station.peer()
    peer.send(connect("a", clean=False, expiry_s=1000))
    await turns()
    station.broker.collector.hold(False)
    await station.settle()
    peer.take()
    peer.send(Publish("t", b"1", 2, dup=True, packet_id=5))
    await station.settle()
    assert peer.take() == [Pubrec(5)]
    await station.restart()
    peer = await again(station)
    peer.send(Publish("t", b"1", 2, dup=True, packet_id=5))
    await station.settle()
    assert peer.take() == [Pubrec(5)]
    peer.send(Pubrel(5))
    await station.settle()
    assert peer.take() == [Pubcomp(5)]
    await station.restart()
    peer = await again(station)
    peer.send(Publish("t", b"2", 2, packet_id=5))
    await station.settle()
    assert peer.take() == [Pubrec(5)]
    del watching
    assert payloads(await again(station, "watcher")) == [b"1", b"2"]


async def test_the_same_message_while_the_log_stalls_is_not_taken_again(station: Station) -> None:
    watching = await station.session("watcher", "t", qos=1)
    peer = await station.session("a")
    station.broker.collector.hold(True)
    peer.send(Publish("t", b"1", 2, packet_id=5), Publish("t", b"1", 2, dup=True, packet_id=5))
    await turns()
    station.broker.collector.hold(False)
    await station.settle()
    assert peer.take() == [Pubrec(5)]
    assert payloads(watching) == [b"1"]


async def test_too_many_that_are_not_completed_end_the_connection(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECEIVE_MAXIMUM", 3)
    peer = await station.session("a")
    peer.send(*(Publish("t", b"", 2, packet_id=number) for number in range(1, 5)))
    await station.settle()
    (answer,) = [each for each in peer.take() if isinstance(each, Disconnect)]
    assert answer.reason_code == ReasonCode.RECEIVE_MAXIMUM_EXCEEDED


# Answers to nothing


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("expiry_s", [0, 1000])
async def test_answers_that_belong_to_nothing(station: Station, version: int, expiry_s: int) -> None:
    peer = await station.connect("a", version, clean=not expiry_s, expiry_s=expiry_s)
    peer.take()
    peer.send(Puback(9), Pubcomp(9), Pubrec(9), Pubrel(9))
    await station.settle()
    reason = ReasonCode.PACKET_IDENTIFIER_NOT_FOUND if version == V5 else ReasonCode.SUCCESS
    assert peer.take() == [Pubrel(9, reason), Pubcomp(9, reason)]
    assert not peer.closed


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize(
    ("qos", "answers"),
    [
        pytest.param(1, [Pubrec(1)], id="PUBREC for QoS 1"),
        pytest.param(1, [Pubcomp(1)], id="PUBCOMP for QoS 1"),
        pytest.param(2, [Puback(1)], id="PUBACK for QoS 2"),
        pytest.param(2, [Pubcomp(1)], id="PUBCOMP before PUBREC"),
        pytest.param(2, [Pubrec(1), Puback(1)], id="PUBACK after PUBREC"),
    ],
)
async def test_an_answer_that_does_not_fit_ends_the_connection(
    station: Station, version: int, qos: int, answers: list[Packet]
) -> None:
    peer = await station.session("a", "t", qos=qos, version=version)
    await publish(station, b"1", qos=qos)
    assert [message.packet_id for message in peer.publishes()] == [1]
    for answer in answers:
        peer.send(answer)
        await station.settle()
    assert peer.closed
    if version == V5:
        assert peer.take()[-1].reason_code == ReasonCode.PROTOCOL_ERROR


async def test_a_refusal_ends_a_qos_2_message_for_good(station: Station) -> None:
    peer = await station.session("a", "t", qos=2)
    await publish(station, b"1", qos=2)
    (message,) = peer.publishes()
    peer.send(Pubrec(message.packet_id, ReasonCode.QUOTA_EXCEEDED))
    await station.settle()
    assert peer.take() == []
    await station.restart()
    assert payloads(await again(station)) == []


async def test_a_pubrec_does_not_end_a_qos_1_message(station: Station) -> None:
    peer = await station.session("a", "t", qos=1)
    await publish(station, b"1")
    (message,) = peer.publishes()
    peer.send(Pubrec(message.packet_id, ReasonCode.QUOTA_EXCEEDED))
    peer.vanish()
    await station.settle()
    assert payloads(await again(station)) == [b"1"]


# Windows


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_smaller_window_holds_when_a_session_goes_on(station: Station, qos: int) -> None:
    peer = await station.session("a", "t", qos=qos)
    await publish(station, *(b"%d" % number for number in range(6)), qos=2)
    assert len(peer.publishes()) == 6
    peer.vanish()
    await station.settle()
    peer = await again(station, receive_maximum=2)
    got = []
    while messages := peer.publishes():
        assert len(messages) <= 2
        for each in messages:
            assert each.dup
            got.append(each.payload)
            if qos == 1:
                peer.send(Puback(each.packet_id))
                continue
            peer.send(Pubrec(each.packet_id))
            await station.settle()
            peer.received = [packet for packet in peer.received if not isinstance(packet, Pubrel)]
            peer.send(Pubcomp(each.packet_id))
        await station.settle()
    assert got == [b"%d" % number for number in range(6)]


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_is_too_large_does_not_hold_up_the_rest(station: Station, qos: int) -> None:
    peer = await station.session("a", "t", qos=qos)
    peer.vanish()
    await publish(station, b"x" * 100, b"1", b"y" * 100, b"z" * 100, b"2", qos=2)
    peer = await again(station, receive_maximum=1, packet_max=60)
    (first,) = peer.publishes()
    assert first.payload == b"1"
    peer.vanish()
    await station.settle()
    peer = await again(station, receive_maximum=1, packet_max=60)
    assert payloads(peer) == [b"1"], "again"
    peer.send(Puback(first.packet_id) if qos == 1 else Pubrec(first.packet_id))
    await station.settle()
    if qos == 2:
        peer.take()
        peer.send(Pubcomp(first.packet_id))
        await station.settle()
    assert payloads(peer) == [b"2"]
    assert station.broker.sessions.by_client["a"].too_large == 3


async def test_what_is_too_large_by_now_does_not_hold_up_what_is_sent_again(station: Station) -> None:
    peer = await station.session("a", "t")
    await publish(station, b"x" * 100, b"1")
    assert len(payloads(peer)) == 2
    peer.vanish()
    await station.settle()
    assert payloads(await again(station, receive_maximum=1, packet_max=60)) == [b"1"]


# Slow and stuck


async def test_who_never_acknowledges_loses_its_oldest_messages_and_that_is_counted(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SESSION_MESSAGES_MAX", 50)
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", 10)
    monkeypatch.setattr(settings, "REFILL_MESSAGES", 5)
    peer = await station.session("a", "t", receive_maximum=5)
    for first in range(0, 200, 20):
        await publish(station, *(b"%d" % number for number in range(first, first + 20)))
    session = station.broker.sessions.by_client["a"]
    assert len(payloads(peer)) == 5
    assert session.queued == 50
    assert len(session.queue.waiting) <= 10
    assert session.dropped == 200 - 55 == station.broker.sessions.dropped_messages
    peer.send(*(Puback(number) for number in range(1, 6)))
    got = []
    while True:
        await station.settle()
        messages = peer.publishes()
        if not messages:
            break
        got += [int(each.payload) for each in messages]
        peer.send(*(Puback(each.packet_id) for each in messages))
    assert got == list(range(150, 200))


async def test_who_never_acknowledges_and_does_not_last_is_sent_away(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "QUEUE_MESSAGES_MAX", 10)
    peer = await station.connect("a", receive_maximum=5)
    peer.send(subscribe("t"))
    await station.settle()
    await publish(station, *(b"%d" % number for number in range(40)))
    (answer,) = [each for each in peer.take() if isinstance(each, Disconnect)]
    assert answer.reason_code == ReasonCode.QUOTA_EXCEEDED
    assert "a" not in station.broker.sessions.by_client


async def test_bytes_in_flight_are_bounded_whatever_the_window(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "IN_FLIGHT_BYTES_MAX", 1000)
    peer = await station.session("a", "t")
    for _ in range(5):
        await publish(station, b"x" * 400)
    got = peer.publishes()
    assert len(got) == 3
    await publish(station, b"y" * 5000)
    peer.send(*(Puback(each.packet_id) for each in got))
    await station.settle()
    got = peer.publishes()
    assert [each.payload[:1] for each in got] == [b"x", b"x", b"y"]
    await publish(station, b"last")
    assert peer.publishes() == []
    peer.send(*(Puback(each.packet_id) for each in got))
    await station.settle()
    assert payloads(peer) == [b"last"]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_who_does_not_read_is_not_written_to(station: Station, qos: int) -> None:
    peer = await station.session("a", "t", qos=qos)
    peer.reading = False
    large = b"x" * 70_000
    for number in range(20):
        await publish(station, b"%02d" % number + large, qos=2)
    assert len(peer.buffered) < 200_000
    if qos == 0:
        assert peer.connection.dropped >= 17
        return
    peer.read_again()
    got = []
    while True:
        await station.settle()
        packets = peer.take()
        if not packets:
            break
        for packet in packets:
            if isinstance(packet, Publish):
                got.append(packet.payload[:2])
                peer.send(Puback(packet.packet_id) if qos == 1 else Pubrec(packet.packet_id))
            elif isinstance(packet, Pubrel):
                peer.send(Pubcomp(packet.packet_id))
    assert got == [b"%02d" % number for number in range(20)]


async def test_questions_are_not_read_while_answers_are_not(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "UNREAD_BYTES_MAX", 100_000)
    peer = await station.connect("a")
    peer.reading = False
    for _ in range(100_000):
        if peer.reading_paused:
            break
        peer.send(Pingreq())
        await asyncio.sleep(0)
    assert peer.reading_paused
    assert len(peer.buffered) < 110_000
    peer.read_again()
    assert not peer.reading_paused


# Expiry


async def test_messages_expire_while_they_wait_and_say_how_long_they_still_have(station: Station) -> None:
    peer = await station.session("a", "t")
    peer.vanish()
    await publish(station, b"short", expiry_s=5)
    await publish(station, b"long", expiry_s=60)
    await publish(station, b"ever")
    station.clock.forward(10)
    peer = await again(station)
    got = peer.publishes()
    assert [(each.payload, each.properties.message_expiry_interval) for each in got] == [
        (b"long", 50),
        (b"ever", None),
    ]
    assert station.broker.sessions.by_client["a"].expired == 1


async def test_those_who_are_stuck_do_not_slow_the_others_down(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SESSION_MESSAGES_MAX", 2000)
    deaf = await station.session("deaf", "t", qos=1)
    deaf.reading = False
    await station.session("mute", "t", qos=2)
    long = await station.session("away", "t", qos=2)
    long.vanish()
    well = await station.session("well", "t", qos=1)
    publisher = await station.session("publisher")
    loop = asyncio.get_running_loop()
    slowest_s, got = 0.0, 0
    for first in range(0, 6000, 60):
        began = loop.time()
        publisher.send(*(Publish("t", b"x" * 500, 1, packet_id=number + 1) for number in range(first, first + 60)))
        async with asyncio.timeout(20):
            while got < first + 60:
                messages = well.publishes()
                got += len(messages)
                well.send(*(Puback(each.packet_id) for each in messages))
                await asyncio.sleep(0.0005)
        slowest_s = max(slowest_s, loop.time() - began)
        publisher.take()
    assert slowest_s < 2.0
    sessions = station.broker.sessions.by_client
    assert len(deaf.buffered) < 200_000
    for client in ("deaf", "mute", "away"):
        assert sessions[client].queued <= 2000
        assert sessions[client].dropped >= 6000 - 2000 - settings.IN_FLIGHT_MAX
        assert sessions[client].queue.waiting_bytes <= settings.SESSION_MEMORY_BYTES_MAX
    assert not sessions["well"].queued
