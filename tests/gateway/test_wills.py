"""When wills are said: once for each client that was lost, also if we were lost with it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from allthings.gateway.shard import Shard
from allthings.log.stream import Log
from allthings.mqtt.packets import Will
from allthings.mqtt.properties import Properties
from allthings.mqtt.reasons import ReasonCode
from tests.gateway.station import Clock, Disconnect, Peer, Station, connect

_numbers = itertools.count()


async def again(station: Station, client: str = "a", expiry_s: int = 1000) -> Peer:
    return await station.connect(client, clean=False, expiry_s=expiry_s)


async def gone(station: Station, peer: Peer) -> None:
    peer.vanish()
    await station.settle()


def will(payload: bytes, delay_s: int = 0, topic: str = "will") -> Will:
    return Will(topic, payload, 1, properties=Properties(will_delay_interval=delay_s or None))


async def watcher(station: Station) -> Peer:
    return await station.session("watcher", "will")


def said(peer: Peer) -> list[bytes]:
    return [each.payload for each in peer.publishes()]


async def test_a_will_is_said_for_who_vanishes_and_not_for_who_says_goodbye(station: Station) -> None:
    watching = await watcher(station)
    await gone(station, await station.connect("a", will=will(b"1")))
    polite = await station.connect("b", will=will(b"2"))
    polite.send(Disconnect())
    unwell = await station.connect("c", will=will(b"3"))
    unwell.send(Disconnect(reason_code=ReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
    await station.settle()
    assert said(watching) == [b"1", b"3"]


async def test_a_will_waits_and_is_forgotten_when_the_client_comes_back(station: Station) -> None:
    watching = await watcher(station)
    peer = await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", 5))
    await gone(station, peer)
    station.clock.forward(4)
    await station.look()
    await gone(station, await again(station))
    station.clock.forward(10)
    await station.look()
    assert said(watching) == []


@pytest.mark.parametrize("kept", [True, False])
async def test_a_will_that_waits_survives_a_crash_and_is_said_once(station: Station, kept: bool) -> None:
    await watcher(station)
    peer = await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", 5))
    await gone(station, peer)
    if kept:
        await station.keeper.keep()
    await station.restart()
    watching = await again(station, "watcher")
    assert said(watching) == []
    station.clock.forward(6)
    await station.look()
    assert said(watching) == [b"1"]
    await station.restart()
    station.clock.forward(6)
    await station.look()
    watching = await again(station, "watcher")
    assert {each.packet_id: each.payload for each in watching.publishes()} in ({}, {1: b"1"}), "at most the same again"


@pytest.mark.parametrize("kept", [True, False])
async def test_what_a_client_had_shown_when_it_gave_its_will_survives_a_crash(station: Station, kept: bool) -> None:
    peer = await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", 5))
    sessions = station.broker.sessions
    session = sessions.by_client["a"]
    assert session.will is not None
    sessions.hold_will(session, session.will.message, 5, "token:1")
    await gone(station, peer)
    if kept:
        await station.keeper.keep()
    await station.restart()
    found = station.broker.sessions.by_client["a"].will
    assert found is not None
    assert (found.credential, found.due_ns > 0) == ("token:1", True)


async def test_a_will_that_waits_is_said_when_the_session_ends_before(station: Station) -> None:
    watching = await watcher(station)
    peer = await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", 500))
    await gone(station, peer)
    await station.connect("a", clean=True)
    assert said(watching) == [b"1"]
    peer = await station.connect("b", clean=False, expiry_s=3, will=will(b"2", 500))
    await gone(station, peer)
    station.clock.forward(4)
    await station.look()
    assert said(watching) == [b"2"], "no later than the session's end"
    await gone(station, await station.connect("c", clean=True, expiry_s=0, will=will(b"3", 500)))
    assert said(watching) == [b"3"]


async def test_a_will_is_said_when_the_client_is_taken_over_without_delay(station: Station) -> None:
    watching = await watcher(station)
    await station.connect("a", clean=False, expiry_s=1000, will=will(b"1"))
    await station.connect("a", clean=False, expiry_s=1000, will=will(b"2", 5))
    assert said(watching) == [b"1"]
    await again(station)
    assert said(watching) == []


# Over crashes


async def in_log(log: Log, topic: str) -> list[bytes]:
    """What was published there, as often as it was."""
    last = (await log.status()).last
    payloads: list[bytes] = []
    async for entries in log.read(0):
        for entry in entries:
            if topic.encode() in entry.data:
                columns = (entry.batch.column(name).to_pylist() for name in ("topic", "payload"))
                payloads += [payload for where, payload in zip(*columns, strict=True) if where == topic]
        if entries[-1].sequence >= last:
            break
    return payloads


def own_topic() -> str:
    return f"will{next(_numbers)}"


async def restarted(station: Station, *, kept: bool = False) -> None:
    if kept:
        await station.keeper.keep()
    await station.restart()
    await station.settle()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("lasting", [True, False])
async def test_the_will_of_who_was_there_when_we_died_is_said_when_we_are_back(
    station: Station, kept: bool, lasting: bool
) -> None:
    await watcher(station)
    await station.connect("a", clean=not lasting, expiry_s=1000 if lasting else 0, will=will(b"1"))
    await restarted(station, kept=kept)
    assert said(await again(station, "watcher")) == [b"1"]
    await restarted(station, kept=kept)
    assert said(await again(station, "watcher")) in ([], [b"1"]), "at most the same again"
    assert ("a" in station.broker.sessions.by_client) is lasting


@pytest.mark.parametrize("kept", [True, False])
async def test_who_said_goodbye_before_we_died_has_no_will(station: Station, kept: bool) -> None:
    topic = own_topic()
    peer = await station.connect("a", will=will(b"1", topic=topic))
    if kept:
        await station.keeper.keep()
    peer.send(Disconnect())
    await station.settle()
    await restarted(station, kept=kept)
    assert await in_log(station.log, topic) == []


@pytest.mark.parametrize("returns", [True, False])
async def test_a_delayed_will_waits_from_our_return_on_unless_the_client_returns(
    station: Station, returns: bool
) -> None:
    topic = own_topic()
    await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", 5, topic))
    station.clock.forward(100)
    await restarted(station, kept=True)
    station.clock.forward(4)
    await station.look()
    assert await in_log(station.log, topic) == []
    if returns:
        await again(station)
    station.clock.forward(2)
    await station.look()
    await restarted(station)
    station.clock.forward(6)
    await station.look()
    assert await in_log(station.log, topic) == ([] if returns else [b"1"])


async def test_a_will_is_delayed_no_longer_than_its_session_lasts_also_over_a_crash(station: Station) -> None:
    topic = own_topic()
    await station.connect("a", clean=True, expiry_s=0, will=will(b"1", 500, topic))
    await station.connect("b", clean=False, expiry_s=3, will=will(b"2", 500, topic))
    await restarted(station)
    assert await in_log(station.log, topic) == [b"1"]
    station.clock.forward(4)
    await station.look()
    assert await in_log(station.log, topic) == [b"1", b"2"]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_will_is_said_once_if_we_die_again_and_again_while_we_say_it(station: Station, kept: bool) -> None:
    topic = own_topic()
    await station.connect("a", will=will(b"1", topic=topic))
    for turns in (0, 1, 3, 10, 30):
        await station.restart()
        for _ in range(turns):
            await asyncio.sleep(0)
        if kept:
            await station.keeper.keep()
    await restarted(station)
    assert await in_log(station.log, topic) == [b"1"]


async def test_a_will_that_was_on_its_way_to_the_disk_only_is_not_lost(station: Station) -> None:
    topic = own_topic()
    lasting = await station.connect("a", clean=False, expiry_s=1000, will=will(b"1", topic=topic))
    passing = await station.connect("b", will=will(b"2", topic=topic))
    await station.keeper.keep()
    station.broker.collector.hold(True)
    for peer in (lasting, passing):
        peer.vanish()
    while station.broker.connections:
        await asyncio.sleep(0)
    await station.keeper.keep()
    await restarted(station)
    assert sorted(await in_log(station.log, topic)) == [b"1", b"2"]


async def test_who_has_a_will_is_let_in_when_it_is_on_disk(station: Station) -> None:
    topic = own_topic()
    station.broker.collector.hold(True)
    with_will, without, impatient = station.peer(), station.peer(), station.peer()
    with_will.send(connect("a", will=will(b"1", topic=topic)))
    without.send(connect("b"))
    impatient.send(connect("c", will=will(b"2", topic=topic)))
    await asyncio.sleep(0.02)
    assert without.received
    assert not with_will.received
    impatient.vanish()
    station.broker.collector.hold(False)
    await station.settle()
    assert with_will.received
    await restarted(station)
    assert await in_log(station.log, topic) == [b"1"], "who was never let in has no will"


async def test_wills_are_said_at_the_next_start_when_we_stop(station: Station) -> None:
    topic = own_topic()
    await station.connect("a", will=will(b"1", topic=topic))
    await station.connect("b", clean=False, expiry_s=1000, will=will(b"2", 5, topic))
    await station.connect("c", clean=False, expiry_s=1000, will=will(b"3", 5, topic))
    await station.stop()
    assert await in_log(station.log, topic) == []
    await station.start()
    await station.settle()
    assert await in_log(station.log, topic) == [b"1"]
    await again(station, "b")
    station.clock.forward(6)
    await station.look()
    assert await in_log(station.log, topic) == [b"1", b"3"]


async def test_wills_of_any_size_are_kept_and_forgotten(station: Station) -> None:
    topic = own_topic()
    payloads = {f"c{number}": b"%d" % number * (1 if number % 10 else 20_000) for number in range(40)}
    peers = [await station.connect(client, will=will(payload, topic=topic)) for client, payload in payloads.items()]
    await station.keeper.keep()
    for peer in peers[:20]:
        peer.send(Disconnect())
    await station.settle()
    await restarted(station, kept=True)
    assert sorted(await in_log(station.log, topic)) == sorted(list(payloads.values())[20:])
    await station.keeper.keep()
    assert [key async for key, _ in station.keeper._wills.rows()] == []


# Several gateways


@pytest.fixture
async def family(log: Log) -> AsyncIterator[list[Station]]:
    """Two gateways of one family; stations that a test adds are ended with them."""
    name, clock = f"wills{next(_numbers)}", Clock()
    stations = [Station(log, name, clock, Shard(index, 2)) for index in range(2)]
    for each in stations:
        await each.start(fresh=True)
    yield stations
    for each in stations:
        await each.crash()


def client_of(shard: Shard, beginning: str) -> str:
    return next(name for number in range(100) if shard.owns(name := f"{beginning}{number}"))


async def test_each_gateway_says_the_wills_of_its_own_clients(family: list[Station]) -> None:
    topic = own_topic()
    log = family[0].log
    for station in family:
        client = client_of(station.shard, "a")
        await station.connect(client, will=will(client.encode(), topic=topic))
        await station.keeper.keep()
    for station in family:
        await restarted(station)
    assert sorted(await in_log(log, topic)) == sorted(client_of(each.shard, "a").encode() for each in family)


@pytest.mark.parametrize("kept", [True, False])
async def test_wills_are_said_once_when_there_are_fewer_or_more_gateways(family: list[Station], kept: bool) -> None:
    topic = own_topic()
    first = family[0]
    log, name, clock = first.log, first.family, first.clock
    names = [f"b{number}" for number in range(8)]
    counts = [2, 1, 4, 2]
    for _, following in itertools.pairwise(counts):
        for client in names:
            station = next(each for each in family if each.shard.owns(client))
            peer = await station.connect(client, will=will(b"%d %s" % (following, client.encode()), topic=topic))
            if client == "b3":
                peer.send(Disconnect())
        for each in family:
            await each.settle()
            if kept:
                await each.keeper.keep()
            await each.crash()
        family[:] = [Station(log, name, clock, Shard(index, following)) for index in range(following)]
        for each in family:
            await each.start()
            await each.settle()
            if kept:
                await each.keeper.keep()
    expected = [b"%d %s" % (count, client.encode()) for count in counts[1:] for client in names if client != "b3"]
    assert sorted(await in_log(log, topic)) == sorted(expected)
