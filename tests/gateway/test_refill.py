"""What waits in the log comes from there in order, whatever happens meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from allthings.gateway import settings
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from tests.gateway.station import Peer, Puback, Publish, Station, subscribe


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", 6)
    monkeypatch.setattr(settings, "REFILL_MESSAGES", 4)


async def publish(station: Station, *payloads: bytes, topic: str = "t", together: bool = True) -> None:
    peer = await station.connect("publisher")
    for number, payload in enumerate(payloads, 1):
        peer.send(Publish(topic, payload, 1, packet_id=number))
        if not together:
            await station.settle()
    await station.settle()
    peer.vanish()
    await station.settle()


async def away(station: Station, *, qos: int = 1) -> None:
    peer = await station.session("a", "t", qos=qos)
    peer.vanish()
    await station.settle()


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%03d" % number for number in range(first, last)]


async def drained(station: Station, peer: Peer, *, publishing: int = 0) -> list[bytes]:
    """All that comes, acknowledged; each time `publishing` new messages arrive meanwhile."""
    got: list[bytes] = []
    while True:
        messages = peer.publishes()
        if not messages and not publishing:
            return got
        got += [each.payload for each in messages]
        peer.send(*(Puback(each.packet_id) for each in messages))
        if publishing:
            station.broker.route("t", "x", [b"%03d" % publishing], 1, None, 0, 0)
            publishing -= 1
        await station.settle()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("window", [1, 3, 100])
async def test_a_long_queue_comes_in_order(station: Station, window: int, together: bool) -> None:
    await away(station)
    await publish(station, *numbers(0, 40), together=together)
    session = station.broker.sessions.by_client["a"]
    assert (len(session.queue.waiting), len(session.queue.spilled)) == (6, 34)
    peer = await station.connect("a", clean=False, expiry_s=1000, receive_maximum=window)
    assert await drained(station, peer) == numbers(0, 40)
    assert not session.queued
    await publish(station, b"direct")
    assert [each.payload for each in peer.publishes()] == [b"direct"]


async def test_new_messages_come_behind_those_that_are_being_fetched(station: Station) -> None:
    await away(station)
    await publish(station, *numbers(0, 30))
    peer = await station.connect("a", clean=False, expiry_s=1000, receive_maximum=2)
    got: list[bytes] = []
    publisher = await station.connect("publisher")
    for number in range(30, 60):
        publisher.send(Publish("t", b"%03d" % number, 1, packet_id=number))
        for _ in range(3):
            await asyncio.sleep(0)
            messages = peer.publishes()
            got += [each.payload for each in messages]
            peer.send(*(Puback(each.packet_id) for each in messages))
    await station.settle()
    got += await drained(station, peer)
    assert got == numbers(0, 60)


async def test_messages_that_the_log_has_no_more_are_counted_and_passed_over(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    await away(station)
    await publish(station, *numbers(0, 20), together=False)
    session = station.broker.sessions.by_client["a"]
    trimmed = {position >> 20 for position, _ in session.queue.spilled.head(8)}
    get = Log.get

    async def without(log: Log, sequence: int) -> Entry | None:
        return None if sequence in trimmed else await get(log, sequence)

    monkeypatch.setattr(Log, "get", without)
    peer = await station.connect("a", clean=False, expiry_s=1000, receive_maximum=3)
    assert await drained(station, peer) == numbers(0, 6) + numbers(14, 20)
    assert session.expired == 8


async def test_a_log_that_does_not_answer_is_asked_again(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    await away(station)
    await publish(station, *numbers(0, 12))
    failures = iter(range(3))
    get = Log.get

    async def shaky(log: Log, sequence: int) -> Entry | None:
        if next(failures, None) is not None:
            raise LogUnavailableError("not now")
        return await get(log, sequence)

    monkeypatch.setattr(Log, "get", shaky)
    monkeypatch.setattr("allthings.gateway.refill._AGAIN_S", 0.001)
    peer = await station.connect("a", clean=False, expiry_s=1000)
    assert await drained(station, peer) == numbers(0, 12)


async def test_messages_lost_while_others_are_fetched_are_not_mixed_up(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest ones are dropped in the middle of a fetch."""
    await away(station)
    await publish(station, *numbers(0, 20))
    session = station.broker.sessions.by_client["a"]
    get = Log.get

    async def lose(log: Log, sequence: int) -> Entry | None:
        if not session.dropped:
            session.dropped += 3
            session.queue.spilled.drop(3)
        return await get(log, sequence)

    monkeypatch.setattr(Log, "get", lose)
    peer = await station.connect("a", clean=False, expiry_s=1000)
    assert await drained(station, peer) == numbers(0, 6) + numbers(9, 20)


async def test_large_messages_are_fetched_a_few_at_a_time(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_BYTES_MAX", 5000)
    monkeypatch.setattr(settings, "REFILL_MESSAGES", 100)
    monkeypatch.setattr(settings, "REFILL_BLOCKS_AT_ONCE", 2)
    await away(station)
    await publish(station, *(each + b"x" * 2000 for each in numbers(0, 20)), together=False)
    session = station.broker.sessions.by_client["a"]
    peer = await station.connect("a", clean=False, expiry_s=1000, receive_maximum=1)
    got: list[bytes] = []
    while messages := peer.publishes():
        assert session.queue.waiting_bytes < 2 * 5000 + 2010
        got += [each.payload[:3] for each in messages]
        peer.send(*(Puback(each.packet_id) for each in messages))
        await station.settle()
    assert got == numbers(0, 20)


async def test_sessions_that_come_back_together_share_what_is_read(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        peer = await station.session(f"c{number}", "t")
        peer.vanish()
    await publish(station, *numbers(0, 30))
    reads = 0
    get = Log.get

    async def counted(log: Log, sequence: int) -> Entry | None:
        nonlocal reads
        reads += 1
        return await get(log, sequence)

    monkeypatch.setattr(Log, "get", counted)
    for number in range(20):
        peer = await station.connect(f"c{number}", clean=False, expiry_s=1000)
        assert await drained(station, peer) == numbers(0, 30)
    assert reads <= 3
    await station.settle()
    assert len(station.broker.refill._blocks) <= settings.REFILL_BLOCKS_KEPT


async def test_identifiers_are_those_of_the_subscriptions_of_now(station: Station) -> None:
    peer = await station.session("a")
    peer.send(subscribe("ids/t", 1, identifier=1), subscribe("ids/#", 1, identifier=2))
    await station.settle()
    peer.vanish()
    await publish(station, *numbers(0, 10), topic="ids/t")
    peer = await station.connect("a", clean=False, expiry_s=1000)
    got = peer.publishes()
    assert {each.properties.subscription_identifier for each in got} == {(1, 2)}
