"""What a member of a shared subscription leaves unfinished goes to the others, also over crashes and gateways."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import numpy as np
import pytest

from allthings.gateway import settings
from allthings.gateway.backlog import SHARE_SHIFT, Backlog, Waiting
from allthings.gateway.shard import Shard
from allthings.log.stream import Log
from tests.gateway.station import Clock, Publish, Station, subscribe
from tests.log.test_block import messages

_numbers = itertools.count()
SHARE = "$share/g/t"


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "SESSION_MEMORY_MESSAGES_MAX", 4)
    monkeypatch.setattr(settings, "REFILL_MESSAGES", 3)


async def away(station: Station, client: str, *filters: str, qos: int = 1, expiry_s: int = 1000) -> None:
    """A member with a session, away."""
    peer = await station.connect(client, clean=False, expiry_s=expiry_s)
    peer.send(*(subscribe(each, qos) for each in filters or (SHARE,)))
    await station.settle()
    peer.vanish()
    await station.settle()


async def publish(station: Station, *payloads: bytes, qos: int = 1) -> None:
    peer = await station.connect("publisher")
    for number, payload in enumerate(payloads, 1):
        peer.send(Publish("t", payload, qos, packet_id=number))
    await station.settle()
    peer.vanish()
    await station.settle()


async def back(station: Station, client: str) -> list[bytes]:
    return await station.take_all(await station.connect(client, clean=False, expiry_s=1000))


PAYLOADS = [b"%d" % number for number in range(20)]


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("end", ["expiry", "clean start"])
@pytest.mark.parametrize("crash", ["", "after", "kept, after", "kept before, after"])
async def test_what_waits_in_a_session_that_ends_goes_to_another_member(
    station: Station, qos: int, end: str, crash: str
) -> None:
    await away(station, "a", qos=qos, expiry_s=10)
    await publish(station, *PAYLOADS, qos=qos)
    await away(station, "b", qos=qos)
    if "kept before" in crash:
        await station.keeper.keep()
    if end == "expiry":
        station.clock.forward(11)
        await station.look()
    else:
        await station.connect("a", clean=True)
    if "kept, after" in crash:
        await station.keeper.keep()
    if crash:
        await station.restart()
    assert await back(station, "b") == PAYLOADS
    if qos == 1:
        await station.keeper.keep()
    await station.restart()
    assert await back(station, "b") == []


@pytest.mark.parametrize("lasting", [True, False])
async def test_a_member_that_is_there_gets_it_at_once_and_is_not_ended_by_it(
    station: Station, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    monkeypatch.setattr(settings, "QUEUE_MESSAGES_MAX", 6)
    await away(station, "a", expiry_s=10)
    await publish(station, *PAYLOADS)
    there = await station.connect("b", clean=not lasting, expiry_s=1000 if lasting else 0, receive_maximum=2)
    there.send(subscribe(SHARE, 1))
    await station.settle()
    station.clock.forward(11)
    await station.look()
    await publish(station, b"new")
    assert not there.closed
    assert await station.take_all(there) == [*PAYLOADS, b"new"]


async def test_it_is_spread_over_all_members_who_take_it_at_least_once(station: Station) -> None:
    await away(station, "a", expiry_s=10)
    await publish(station, *PAYLOADS)
    await away(station, "b", qos=2)
    await away(station, "c", qos=1)
    await away(station, "d", qos=0)
    station.clock.forward(11)
    await station.look()
    got = [await back(station, client) for client in "bcd"]
    assert sorted(itertools.chain(*got), key=int) == PAYLOADS
    assert [len(each) for each in got] == [10, 10, 0]


async def test_what_two_shared_subscriptions_gave_goes_each_to_its_own(station: Station) -> None:
    other = "$share/h/+"
    await away(station, "a", SHARE, other, "t", qos=2, expiry_s=10)
    await publish(station, *PAYLOADS, qos=2)
    await away(station, "b", SHARE, qos=2)
    await away(station, "c", other, qos=2)
    await station.keeper.keep()
    station.clock.forward(11)
    await station.look()
    await station.restart()
    assert await back(station, "b") == PAYLOADS
    assert await back(station, "c") == PAYLOADS


async def test_what_the_client_may_have_already_goes_to_nobody_else_with_qos_2(station: Station) -> None:
    one = await station.connect("a", clean=False, expiry_s=10, receive_maximum=2)
    one.send(subscribe(SHARE, 2))
    await station.settle()
    await publish(station, *PAYLOADS, qos=2)
    assert [each.payload for each in one.publishes()] == PAYLOADS[:2]
    one.vanish()
    await away(station, "b", qos=2)
    station.clock.forward(11)
    await station.look()
    assert await back(station, "b") == PAYLOADS[2:]


async def test_a_queue_as_long_as_it_may_be_is_passed_on_whole(station: Station) -> None:
    await away(station, "a", expiry_s=10)
    await away(station, "b")
    await away(station, "c")
    queue = station.broker.sessions.by_client["a"].queue
    queue.shares = [SHARE]
    positions = np.arange(1, settings.SESSION_MESSAGES_MAX + 1, dtype=np.uint64)
    queue.spilled = Backlog()
    queue.spilled.extend(Waiting(positions, np.full(len(positions), 1 | 1 << SHARE_SHIFT, np.uint16)))
    station.clock.forward(11)
    await station.look()
    left = [station.broker.sessions.by_client[client].queue.spilled.all().positions for client in "bc"]
    assert [len(each) for each in left] == [settings.SESSION_MESSAGES_MAX // 2] * 2
    assert np.array_equal(np.sort(np.concatenate(left)), positions)


async def test_a_session_that_is_resumed_for_the_last_time_gets_all_in_order(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "QUEUE_MESSAGES_MAX", 6)
    await away(station, "a", "t")
    await publish(station, *PAYLOADS)
    peer = await station.connect("a", clean=False, expiry_s=0, receive_maximum=2)
    await publish(station, b"new")
    assert await station.take_all(peer) == [*PAYLOADS, b"new"]


# Several gateways


@pytest.fixture
async def family(log: Log) -> AsyncIterator[list[Station]]:
    """Two gateways of one family."""
    name, clock = f"shared{next(_numbers)}", Clock()
    stations = [Station(log, name, clock, Shard(index, 2)) for index in range(2)]
    for each in stations:
        await each.start(fresh=True)
    yield stations
    for each in stations:
        await each.crash()


def client_of(station: Station) -> str:
    """One that belongs to this gateway."""
    return next(name for number in range(100) if station.shard.owns(name := f"c{number}"))


async def tell(family: list[Station]) -> None:
    """Each what members the others have."""
    for one, other in itertools.permutations(family, 2):
        assert one.broker.shares is not None
        assert other.broker.shares is not None
        one.broker.shares.hear(other.broker.shares.members())


async def settle(family: list[Station]) -> None:
    for _ in range(3):
        last = (await family[0].log.status()).last
        for each in family:
            await each.settle(others=last)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("crash", [(), (0,), (1,), (1, 0)])
@pytest.mark.parametrize("kept", [False, True])
async def test_a_member_at_another_gateway_gets_it(
    family: list[Station], qos: int, crash: tuple[int, ...], kept: bool
) -> None:
    first, second = family
    one, other = client_of(first), client_of(second)
    await away(first, one, qos=qos, expiry_s=10)
    await publish(first, *PAYLOADS, qos=qos)
    await away(second, other, qos=qos)
    await settle(family)
    if kept:
        for each in family:
            await each.keeper.keep()
    await tell(family)
    first.clock.forward(11)
    await first.look()
    await settle(family)
    for index in crash:
        await family[index].restart()
    await settle(family)
    assert await back(second, other) == PAYLOADS
    if qos == 1:
        await second.keeper.keep()
    await second.restart()
    await settle(family)
    assert await back(second, other) == []
    assert not first.broker.sessions.by_client


async def test_messages_of_a_bridge_reach_a_member_at_the_first_gateway_over_a_crash(family: list[Station]) -> None:
    first, _ = family
    one = client_of(first)
    await away(first, one)
    await tell(family)
    for number in range(5):
        await first.log.append_batch(messages(["t"], [b"%d" % number]), "bridge")
    await settle(family)
    await first.restart()
    await settle(family)
    assert await back(first, one) == [b"%d" % number for number in range(5)]
