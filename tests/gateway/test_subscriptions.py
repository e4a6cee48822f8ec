"""A subscription has its place among the messages: what came before is not new to it, but may be retained."""

from __future__ import annotations

import pytest

from tests.gateway.station import V3, V5, Peer, Publish, Pubrel, Station, Suback, kinds, subscribe, unsubscribe


def got(peer: Peer) -> list[tuple[bytes, bool]]:
    return [(each.payload, each.retain) for each in peer.publishes()]


async def someone(station: Station, version: int, lasting: bool) -> Peer:
    peer = await station.connect("a", version, clean=not lasting, expiry_s=1000 if lasting else 0)
    peer.take()
    return peer


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_who_publishes_and_then_subscribes(station: Station, version: int, lasting: bool, qos: int) -> None:
    """Without waiting for any answer: nothing comes twice, and what is retained comes as retained."""
    peer = await someone(station, version, lasting)
    topic = f"order/{version}/{lasting}/{qos}"
    number = 1 if qos else 0
    peer.send(
        Publish(topic, b"before", qos, packet_id=number),
        Publish(topic, b"kept", qos, retain=True, packet_id=2 * number),
        subscribe(topic, qos),
        Publish(topic, b"after", qos, packet_id=3 * number),
    )
    await station.settle()
    messages = got(peer)
    assert sorted(messages) == [(b"after", False), (b"kept", True)]


@pytest.mark.parametrize("lasting", [False, True])
async def test_what_others_publish_meanwhile(station: Station, lasting: bool) -> None:
    other = await station.connect("other")
    peer = await someone(station, V5, lasting)
    other.send(Publish("meanwhile", b"1", retain=True), Publish("meanwhile", b"2", retain=True))
    peer.send(subscribe("meanwhile"))
    other.send(Publish("meanwhile", b"3", retain=True))
    await station.settle()
    assert sorted(got(peer)) == [(b"2", True), (b"3", False)]


async def test_retain_handling_counts_what_is_already_asked_for(station: Station) -> None:
    peer = await someone(station, V5, lasting=False)
    peer.send(
        Publish("handled", b"kept", retain=True),
        subscribe("handled", retain_handling=2),
        subscribe("handled", retain_handling=1, packet_id=2),
        unsubscribe("handled", 3),
        subscribe("handled", retain_handling=1, packet_id=4),
    )
    await station.settle()
    packets = peer.take()
    assert kinds(packets) == ["Suback", "Suback", "Unsuback", "Suback", "Publish"]


@pytest.mark.parametrize("lasting", [False, True])
async def test_an_unsubscribe_overtakes_no_suback_and_ends_what_has_not_begun(station: Station, lasting: bool) -> None:
    peer = await someone(station, V5, lasting)
    peer.send(Publish("ended", b"1"), subscribe("ended"), unsubscribe("ended", 2), Publish("ended", b"2"))
    await station.settle()
    assert kinds(peer.take()) == ["Suback", "Unsuback"]
    assert len(station.broker.routing) == 0


@pytest.mark.parametrize("lasting", [False, True])
async def test_a_client_that_leaves_before_its_turn(station: Station, lasting: bool) -> None:
    peer = await someone(station, V5, lasting)
    peer.send(Publish("left", b"1", 2, packet_id=1), subscribe("left"))
    peer.vanish()
    await station.settle()
    assert len(station.broker.routing) == lasting
    again = await station.connect("a", clean=False, expiry_s=1000)
    again.take()
    again.send(Pubrel(1), subscribe("left"))
    await station.settle()
    assert "Suback" in kinds(again.take())


async def test_answers_come_at_once_when_no_message_waits(station: Station) -> None:
    peer = await someone(station, V5, lasting=False)
    peer.send(subscribe("quiet"))
    assert any(isinstance(packet, Suback) for packet in _now(station, peer))


def _now(station: Station, peer: Peer) -> list[object]:
    station.broker.flush()
    return list(peer.take())
