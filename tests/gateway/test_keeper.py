"""What is there again after a crash at a chosen moment; the model test chooses them at random."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from allthings.gateway import settings
from allthings.gateway.backlog import Backlog
from allthings.gateway.changes import Claimed
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.log.table import Table, key_of
from allthings.mqtt.outbox import Stage
from allthings.mqtt.properties import Properties
from tests.gateway.station import Clock, Puback, Publish, Pubrec, Pubrel, Station, connect, subscribe
from tests.log.test_block import messages
from tests.servers import NatsServer

_numbers = itertools.count()


async def publish(station: Station, *payloads: bytes, topic: str = "t", qos: int = 2, **more: object) -> None:
    peer = await station.connect("publisher")
    for number, payload in enumerate(payloads, 1):
        peer.send(Publish(topic, payload, qos, packet_id=number if qos else 0, **more))
    await station.settle()
    peer.vanish()
    await station.settle()


async def again(station: Station, client: str = "a") -> list[Publish | Pubrel]:
    """What a client gets that comes back."""
    peer = await station.connect(client, clean=False, expiry_s=1000)
    return [packet for packet in peer.take() if isinstance(packet, Publish | Pubrel)]


def own_topic() -> str:
    return f"kept{next(_numbers)}/x"


async def queued(station: Station, *payloads: bytes, client: str = "a", qos: int = 2) -> None:
    """A session that is away, with messages that wait."""
    peer = await station.session(client, "t", qos=qos)
    peer.vanish()
    await publish(station, *payloads)


@pytest.mark.parametrize("kept", [True, False])
async def test_subscriptions_are_there_again_with_their_options(station: Station, kept: bool) -> None:
    peer = await station.session("a")
    topic = own_topic()
    peer.send(
        subscribe(topic, 2, identifier=7, no_local=True, retain_as_published=True),
        subscribe("gone", 1),
        subscribe("$share/g/t", 1, identifier=8),
    )
    await station.settle()
    filters = station.broker.sessions.by_client["a"].filters
    before = {name: each[1:] for name, each in filters.items()}
    if kept:
        await station.keeper.keep()
    await station.restart()
    filters = station.broker.sessions.by_client["a"].filters
    assert {name: each[1:] for name, each in filters.items()} == before
    assert len(station.broker.routing) == 3


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("memory", [2, 1000])
async def test_what_waits_is_there_again_in_order(
    station: Station, monkeypatch: pytest.MonkeyPatch, kept: bool, memory: int
) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", memory)
    await queued(station, *(b"%d" % number for number in range(10)))
    if kept:
        await station.keeper.keep()
    await publish(station, b"10", b"11")
    await station.restart()
    await publish(station, b"12")
    got = await again(station)
    assert [each.payload for each in got] == [b"%d" % number for number in range(13)]


@pytest.mark.parametrize("kept", ["before", "after", "never"])
async def test_what_is_in_flight_keeps_its_identifier_and_its_stage(station: Station, kept: str) -> None:
    peer = await station.session("a", "t", qos=2)
    if kept == "before":
        await station.keeper.keep()
    await publish(station, b"1", b"2", b"3", properties=Properties(content_type="x"))
    sent = peer.publishes()
    peer.send(Pubrec(sent[1].packet_id))
    await station.settle()
    if kept == "after":
        await station.keeper.keep()
    await station.restart()
    first, second, third = await again(station)
    for each, before in ((first, sent[0]), (third, sent[2])):
        assert isinstance(each, Publish)
        assert each.dup
        assert (each.packet_id, each.payload, each.properties) == (before.packet_id, before.payload, before.properties)
    assert second == Pubrel(sent[1].packet_id)


async def test_a_claim_that_was_kept_before_it_was_on_disk_counts_once(station: Station) -> None:
    await queued(station, b"1", b"2")
    await station.keeper.keep()
    peer = station.peer()
    peer.send(connect("a", clean=False, expiry_s=1000))
    while not peer.received:
        await asyncio.sleep(0)
    station.broker.collector.hold(True)
    session = station.broker.sessions.by_client["a"]
    assert [flight.stage for flight in session.outbox.flights.values()] == [Stage.CLAIMED, Stage.CLAIMED]
    await station.keeper.keep()
    station.broker.collector.hold(False)
    await station.settle()
    assert [each.payload for each in peer.publishes()] == [b"1", b"2"]
    await station.restart()
    got = await again(station)
    assert [(each.payload, each.dup) for each in got] == [(b"1", True), (b"2", True)]
    assert not station.broker.sessions.by_client["a"].queued


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_is_kept_before_the_log_was_followed_so_far_waits_once(station: Station, qos: int) -> None:
    """What others stored is read a little later than what we stored ourselves is settled."""
    await queued(station, b"1", qos=qos)
    async with asyncio.timeout(20):
        while station.broker.followed < station.broker.collector.sequence:
            await asyncio.sleep(0.001)
    (_, _, following) = station._tasks
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    station._tasks.remove(following)
    await publish(station, b"2", qos=qos)
    assert station.broker.collector.quiet
    assert station.broker.followed < station.broker.collector.sequence
    await station.keeper.keep()
    await station.restart()
    assert [each.payload for each in await again(station)] == [b"1", b"2"]


async def test_an_identifier_that_went_on_to_another_message_means_that_one(station: Station) -> None:
    await queued(station, b"1", b"2")
    session = station.broker.sessions.by_client["a"]
    first, second = (delivery.message.position for delivery in session.queue.waiting)
    await station.keeper.keep()
    # As if 65,535 others had been between the two; and one that the log does not have.
    for position in (1 << 60, first, second):
        station.broker.collector.change(Claimed("a", 5, position))
    await station.settle()
    await station.restart()
    (got,) = await again(station)
    assert (got.packet_id, got.payload) == (5, b"2")


@pytest.mark.parametrize("kept", ["all", "subscription", "nothing"])
async def test_retained_messages_that_a_subscription_found_are_not_lost(station: Station, kept: str) -> None:
    topic = own_topic()
    await publish(station, b"state", topic=topic, retain=True)
    if kept != "nothing":
        await station.keeper.keep()
    peer = await station.session("a")
    peer.send(subscribe(topic, 2, identifier=4))
    await station.settle()
    assert [each.payload for each in peer.publishes()] == [b"state"]
    if kept == "all":
        await station.keeper.keep()
    await station.restart()
    (got,) = await again(station)
    assert (got.payload, got.retain, got.qos, got.dup) == (b"state", True, 2, True)
    await publish(station, b"", topic=topic, retain=True)


@pytest.mark.parametrize("size", [10, 20_000])
@pytest.mark.parametrize("kept", [True, False])
async def test_retained_messages_survive_and_stay_away(station: Station, size: int, kept: bool) -> None:
    topic, other = own_topic(), own_topic()
    await publish(station, b"x" * size, topic=topic, retain=True)
    await publish(station, b"y" * size, topic=other, retain=True, qos=0)
    if kept:
        await station.keeper.keep()
    await publish(station, b"", topic=topic, retain=True)
    if kept:
        await station.keeper.keep()
    await station.restart()
    assert station.broker.retained.get(topic) is None
    message = station.broker.retained.get(other)
    assert message is not None
    assert (message.payload, message.qos) == (b"y" * size, 0)
    await publish(station, b"small again", topic=other, retain=True)
    await station.keeper.keep()
    await station.restart()
    message = station.broker.retained.get(other)
    assert message is not None
    assert message.payload == b"small again"
    await publish(station, b"", topic=other, retain=True)


async def test_acknowledgements_without_a_message_are_kept_when_we_stop(station: Station) -> None:
    peer = await station.session("a", "t", qos=1)
    await publish(station, b"1")
    (message,) = peer.publishes()
    await station.keeper.keep()
    peer.send(Puback(message.packet_id))
    await station.stop()
    await station.start()
    assert await again(station) == []


async def test_two_that_keep_at_the_same_time_do_not_mix(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        await queued(station, client=f"c{number}", qos=1)
    await publish(station, b"1")
    slow = Table.put
    written: list[tuple[str, bytes]] = []

    async def put(table: Table, key: str, value: bytes) -> None:
        await asyncio.sleep(0.001 if len(written) < 40 else 0)
        written.append((key, value))
        await slow(table, key, value)

    monkeypatch.setattr(Table, "put", put)
    first = asyncio.create_task(station.keeper.keep())
    await asyncio.sleep(0)
    await publish(station, b"2")
    await asyncio.gather(first, station.keeper.keep())
    assert len(written) == 80
    newest = dict(written)
    rows = {key: value async for key, value in station.keeper._sessions.rows()}
    assert rows == newest
    await station.restart()
    for number in range(40):
        assert [each.payload for each in await again(station, f"c{number}")] == [b"1", b"2"]


async def test_what_could_not_be_kept_is_kept_the_next_time(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    await queued(station, b"1")
    await station.connect("b", clean=False, expiry_s=1000)

    async def fail(*_: object) -> None:
        raise LogUnavailableError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Table, "put", fail)
        with pytest.raises(LogUnavailableError):
            await station.keeper.keep()
    await station.keeper.keep()
    rows = {key async for key, _ in station.keeper._sessions.rows()}
    assert rows == {key_of("a"), key_of("b")}


async def test_a_damaged_row_is_left_out_and_the_others_are_there(
    station: Station, caplog: pytest.LogCaptureFixture
) -> None:
    await queued(station, b"1")
    await station.keeper.keep()
    await station.keeper._sessions.put("damaged", b"\xc1")
    await station.restart()
    assert "row damaged of the sessions is damaged and left out" in caplog.text
    assert [each.payload for each in await again(station)] == [b"1"]


async def test_a_damaged_block_is_passed_over(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    await queued(station, b"1")
    await station.log.append(b"no block", station.source)
    await station.restart()
    assert "no session learns what was in it" in caplog.text
    assert [each.payload for each in await again(station)] == [b"1"]


async def test_a_log_that_was_trimmed_to_nothing_keeps_nobody_waiting(own_nats_server: NatsServer) -> None:
    log = await Log.connect(own_nats_server.url)
    try:
        station = await Station(log, "gateway", Clock()).start()
        await queued(station, b"1")
        await station.crash()
        await log.trim(10**9, 2**62, keep_age_s=1, keep_bytes=2**40)
        assert (await log.status()).blocks == 0
        async with asyncio.timeout(10):
            await station.start()
        await queued(station, b"2", client="b")
        await station.restart()
        assert [each.payload for each in await again(station, "b")] == [b"2"]
        await station.crash()
    finally:
        await log.close()


async def test_messages_of_another_source_wait_too_and_once(station: Station) -> None:
    topic = own_topic()
    peer = await station.session("a", topic)
    peer.vanish()
    await station.settle()
    for number in range(3):
        sequence = await station.log.append_batch(messages([topic], [b"%d" % number]), "bridge")
        if number == 0:
            await station.settle(others=sequence)
            await station.keeper.keep()
    await station.restart()
    await station.settle(others=sequence)
    assert [each.payload for each in await again(station)] == [b"0", b"1", b"2"]


async def test_a_queue_of_the_largest_size_is_kept_quickly(station: Station) -> None:
    await queued(station, b"1")
    session = station.broker.sessions.by_client["a"]
    session.queue.spilled = Backlog()
    for number in range(settings.SESSION_MESSAGES_MAX):
        session.queue.spilled.append(number + 1, 1)
    session.dirty = True
    loop = asyncio.get_running_loop()
    began = loop.time()
    await station.keeper.keep()
    assert loop.time() - began < 5
    await station.restart()
    assert station.broker.sessions.by_client["a"].queued == settings.SESSION_MESSAGES_MAX + 1
