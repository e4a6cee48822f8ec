"""How sessions begin, go on, are taken over and end, with the log beneath."""

from __future__ import annotations

import asyncio
import gc

import pytest

from allthings.gateway.messages import Delivery
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from tests.gateway.station import V3, V5, Connack, Disconnect, Peer, Publish, Station, connect, subscribe


def present(peer: Peer) -> bool:
    packet = peer.take()[0]
    assert isinstance(packet, Connack)
    assert packet.reason_code == 0
    return packet.session_present


async def again(station: Station, client: str = "a", expiry_s: int = 1000) -> Peer:
    return await station.connect(client, clean=False, expiry_s=expiry_s)


async def gone(station: Station, peer: Peer) -> None:
    peer.vanish()
    await station.settle()


async def kept_and_killed(station: Station) -> None:
    await station.settle()
    await station.keeper.keep()
    await station.restart()


@pytest.mark.parametrize("version", [V3, V5])
async def test_a_session_is_there_again_until_a_clean_start(station: Station, version: int) -> None:
    peer = await station.connect("a", version, clean=False, expiry_s=1000)
    assert not present(peer)
    await gone(station, peer)
    peer = await station.connect("a", version, clean=False, expiry_s=1000)
    assert present(peer)
    await gone(station, peer)
    assert not present(await station.connect("a", version, clean=True))


async def test_a_session_that_is_resumed_without_expiry_ends_for_good(station: Station) -> None:
    await gone(station, await station.session("a", "t"))
    await station.keeper.keep()
    peer = await again(station, expiry_s=0)
    assert present(peer)
    await kept_and_killed(station)
    assert "a" not in station.broker.sessions.by_client
    assert not station.broker.routing
    assert not present(await again(station))


@pytest.mark.parametrize("kept", [True, False])
async def test_disconnect_may_end_a_session_for_good(station: Station, kept: bool) -> None:
    peer = await station.session("a", "t")
    await station.keeper.keep()
    peer.send(Disconnect(properties=Properties(session_expiry_interval=0)))
    await station.settle()
    if kept:
        await station.keeper.keep()
    await station.restart()
    assert not present(await again(station))


async def test_disconnect_may_prolong_a_session_but_not_begin_one(station: Station) -> None:
    peer = await again(station, expiry_s=10)
    peer.send(Disconnect(properties=Properties(session_expiry_interval=100)))
    await station.settle()
    station.clock.forward(50)
    await station.look()
    assert present(await again(station))
    peer = await station.connect("b")
    peer.take()
    peer.send(Disconnect(properties=Properties(session_expiry_interval=100)))
    (answer,) = peer.take()
    assert isinstance(answer, Disconnect)
    assert answer.reason_code == ReasonCode.PROTOCOL_ERROR


async def test_a_session_that_ended_does_not_come_back_behind_one_that_does_not_last(station: Station) -> None:
    await gone(station, await station.session("a", "t"))
    await station.keeper.keep()
    peer = await station.connect("a", clean=True)
    await gone(station, peer)
    await station.connect("a", clean=True)
    await kept_and_killed(station)
    assert not present(await again(station))


async def test_a_session_expires_also_over_a_crash(station: Station) -> None:
    await gone(station, await again(station, expiry_s=10))
    station.clock.forward(9)
    await station.look()
    await kept_and_killed(station)
    assert "a" in station.broker.sessions.by_client
    station.clock.forward(2)
    await station.look()
    assert "a" not in station.broker.sessions.by_client
    await kept_and_killed(station)
    assert not present(await again(station))


async def test_who_was_there_when_we_died_has_its_whole_time_from_then_on(station: Station) -> None:
    await gone(station, await again(station, expiry_s=10))
    station.clock.forward(5)
    await again(station, expiry_s=10)
    station.clock.forward(100)
    await kept_and_killed(station)
    station.clock.forward(9)
    await station.look()
    assert present(await again(station))


@pytest.mark.parametrize(("version", "answers"), [(V3, 0), (V5, 1)])
async def test_a_newcomer_takes_the_session_over(station: Station, version: int, answers: int) -> None:
    first = await station.connect("a", version, clean=False, expiry_s=1000)
    first.take()
    second = await station.connect("a", version, clean=False, expiry_s=1000)
    assert present(second)
    assert first.closed
    told = first.take()
    assert len(told) == answers
    assert all(isinstance(each, Disconnect) and each.reason_code == ReasonCode.SESSION_TAKEN_OVER for each in told)
    second.send(subscribe("t"), Publish("t", b"1", 1, packet_id=9))
    await station.settle()
    assert [each.payload for each in second.publishes()] == [b"1"]


async def test_a_newcomer_takes_over_from_one_that_still_waits_for_the_log(station: Station) -> None:
    station.broker.collector.hold(True)
    first, second = station.peer(), station.peer()
    for peer in (first, second):
        peer.send(connect("a", clean=False, expiry_s=1000))
        await asyncio.sleep(0.02)
    station.broker.collector.hold(False)
    await station.settle()
    assert first.closed
    (answer,) = first.take()
    assert isinstance(answer, Connack)
    assert answer.reason_code == ReasonCode.SERVER_BUSY
    assert present(second)
    assert not second.closed
    assert station.broker.clients["a"] is second.connection


async def test_a_client_that_vanishes_while_it_waits_for_the_log_leaves_its_session(station: Station) -> None:
    station.broker.collector.hold(True)
    peer = station.peer()
    peer.send(connect("a", clean=False, expiry_s=10))
    await asyncio.sleep(0.02)
    peer.vanish()
    station.broker.collector.hold(False)
    await station.settle()
    session = station.broker.sessions.by_client["a"]
    assert session.connection is None
    assert session.left_ns
    station.clock.forward(11)
    await station.look()
    assert not station.broker.sessions.by_client


async def test_sessions_of_clients_that_come_and_go_leave_little_behind(station: Station) -> None:
    for _ in range(30):
        for number in range(100):
            session, _ = station.broker.sessions.open(f"c{number}", "", False, 1000)
            station.broker.sessions.detach(session)
    assert len(station.broker.sessions._dues) < 2000
    await station.settle()


async def test_what_waited_for_a_session_that_ended_is_freed_at_once(station: Station) -> None:
    """By itself: rings of references are looked for seldom."""

    def waiting() -> int:
        return sum(isinstance(each, Delivery) for each in gc.get_objects())

    gc.collect()
    before = waiting()
    peer = await station.connect("slow", receive_maximum=5)
    peer.send(subscribe("much", 1))
    await station.settle()
    peer.reading = False
    publisher = await station.connect("publisher")
    gc.disable()
    try:
        for number in range(300):
            publisher.send(Publish("much", b"x" * 1000, 1, packet_id=number + 1))
        await station.settle()
        assert waiting() - before >= 200
        peer.vanish()
        await station.settle()
        # What was on its way goes with the connection, once its deadlines have passed.
        assert waiting() - before <= 5
    finally:
        gc.enable()
