"""Who gets what: overlapping filters, No Local, shared subscriptions in turn, and what a member leaves behind."""

from __future__ import annotations

import pytest

from allthings.mqtt.properties import Properties
from tests.gateway.station import Peer, Puback, Publish, Pubrec, Pubrel, Station, subscribe, unsubscribe

SHARE = "$share/g/t"


async def publish(station: Station, *payloads: bytes, topic: str = "t", qos: int = 1, retain: bool = False) -> None:
    peer = await station.connect("publisher")
    for number, payload in enumerate(payloads, 1):
        peer.send(Publish(topic, payload, qos, retain, packet_id=number if qos else 0))
    await station.settle()
    peer.vanish()
    await station.settle()


def payloads(peer: Peer) -> list[bytes]:
    return [each.payload for each in peer.publishes()]


async def subscribed(station: Station, client: str, *filters: str, qos: int = 1, lasting: bool = True) -> Peer:
    peer = await station.connect(client, clean=not lasting, expiry_s=1000 if lasting else 0)
    for topic_filter in filters:
        peer.send(subscribe(topic_filter, qos))
    await station.settle()
    peer.take()
    return peer


async def test_overlapping_filters_give_one_message_with_the_most_of_all(station: Station) -> None:
    peer = await station.connect("a")
    peer.send(subscribe("x/#", 1, identifier=3), subscribe("x/+", 2, identifier=2, retain_as_published=True))
    peer.send(subscribe("x/y", 0))
    await station.settle()
    peer.take()
    await publish(station, b"1", topic="x/y", qos=2, retain=True)
    await publish(station, b"", topic="x/y", retain=True)
    first, _ = peer.publishes()
    assert (first.qos, first.retain) == (2, True)
    assert first.properties == Properties(subscription_identifier=(2, 3))


async def test_no_local_concerns_only_the_subscription_that_has_it(station: Station) -> None:
    peer = await station.connect("a")
    peer.send(subscribe("echo/x", 1, no_local=True), Publish("echo/x", b"own", 1, packet_id=1))
    await station.settle()
    await publish(station, b"other", topic="echo/x")
    assert payloads(peer) == [b"other"]
    peer.send(subscribe("echo/+", 0), Publish("echo/x", b"own", 1, packet_id=2))
    await station.settle()
    assert [(each.payload, each.qos) for each in peer.publishes()] == [(b"own", 0)]


async def test_a_subscription_is_replaced_not_doubled(station: Station) -> None:
    peer = await subscribed(station, "a", "t", "t", qos=1)
    peer.send(subscribe("t", 0))
    await station.settle()
    assert len(station.broker.routing) == 1
    peer.take()
    await publish(station, b"1")
    assert [each.qos for each in peer.publishes()] == [0]
    peer.send(unsubscribe("t"))
    await station.settle()
    assert len(station.broker.routing) == 0


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_members_of_a_shared_subscription_take_turns(station: Station, qos: int) -> None:
    peers = [await subscribed(station, f"m{number}", SHARE, qos=qos) for number in range(3)]
    await publish(station, *(b"%d" % number for number in range(9)), qos=2)
    await publish(station, b"9")
    got = [payloads(peer) for peer in peers]
    assert sorted(payload for each in got for payload in each) == [b"%d" % number for number in range(10)]
    assert sorted(map(len, got)) == [3, 3, 4]


async def test_who_is_away_gets_nothing_of_a_shared_subscription_while_another_is_there(station: Station) -> None:
    away = await subscribed(station, "away", SHARE)
    there = await subscribed(station, "there", SHARE)
    away.vanish()
    await station.settle()
    await publish(station, b"1", b"2", b"3")
    assert payloads(there) == [b"1", b"2", b"3"]
    there.vanish()
    await station.settle()
    await publish(station, b"4", b"5")
    queued = [station.broker.sessions.by_client[client].queued for client in ("away", "there")]
    assert queued == [1, 1]


@pytest.mark.parametrize("how", ["ended", "unsubscribed"])
async def test_what_a_member_did_not_finish_goes_to_another_one(station: Station, how: str) -> None:
    one = await subscribed(station, "one", SHARE)
    two = await subscribed(station, "two", SHARE, qos=1)
    await publish(station, b"1", b"2", b"3", b"4")
    got = payloads(one), two.publishes()
    two.send(*(Puback(each.packet_id) for each in got[1]))
    if how == "unsubscribed":
        # It keeps what it has: it still may acknowledge it.
        one.send(unsubscribe(SHARE))
        await station.settle()
        assert payloads(two) == []
    one.vanish()
    await station.settle()
    await station.connect("one", clean=True)
    assert sorted(payloads(two)) == sorted(got[0]), "section 4.8.2"


async def test_a_qos_2_message_that_a_member_may_have_is_not_given_to_another(station: Station) -> None:
    one = await subscribed(station, "one", SHARE, qos=2)
    two = await subscribed(station, "two", SHARE, qos=2)
    await publish(station, b"1", b"2", qos=2)
    assert len(payloads(one)) == len(payloads(two)) == 1
    one.vanish()
    await station.settle()
    await station.connect("one", clean=True)
    assert payloads(two) == []


@pytest.mark.parametrize("kept", [True, False])
async def test_a_crash_makes_no_member_get_what_another_has_had(station: Station, kept: bool) -> None:
    clients = ("one", "two", "three")
    peers = {client: await subscribed(station, client, SHARE, qos=2) for client in clients}
    await station.keeper.keep()
    peers["none"] = await subscribed(station, "none", SHARE, qos=2, lasting=False)
    got: list[bytes] = []
    await publish(station, *(b"%d" % number for number in range(12)), qos=2)
    for client, peer in peers.items():
        for each in peer.publishes():
            got.append(each.payload)
            if client == "one":
                peer.send(Pubrec(each.packet_id))
    await station.settle()
    assert len(got) == len(set(got)) == 12
    if kept:
        await station.keeper.keep()
    await station.restart()
    for client in clients:
        peer = await station.connect(client, clean=False, expiry_s=1000)
        packets = peer.take()[1:]
        if client == "one":
            assert all(isinstance(each, Pubrel) for each in packets)
        else:
            assert all(isinstance(each, Publish) and each.dup and each.payload in got for each in packets)


async def test_a_session_with_a_share_and_a_subscription_of_its_own_gets_both(station: Station) -> None:
    peer = await subscribed(station, "a", "t", SHARE, qos=2)
    await publish(station, b"1", qos=2)
    assert payloads(peer) == [b"1", b"1"]
    await station.restart()
    peer = await station.connect("a", clean=False, expiry_s=1000)
    peer.take()
    await station.settle()
    assert len(station.broker.sessions.by_client["a"].outbox.flights) == 2
