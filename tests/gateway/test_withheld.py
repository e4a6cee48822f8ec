"""While the disk is nearly full: what is published waits, everything else goes on, and clients are told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import aiomqtt
import pytest

from allthings.gateway import settings
from allthings.gateway.statistics import DISK
from allthings.gateway.system import System
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.mqtt.packets import Connack, Disconnect, Pingreq, Pingresp, Puback, Publish, Pubrec, Suback
from allthings.mqtt.packets.connect import Will
from allthings.mqtt.reasons import ReasonCode
from tests.disks import small_disk
from tests.gateway.conftest import Gateway
from tests.gateway.station import V3, V5, Station, connect, kinds, subscribe

WAITS = "the disk is nearly full: what you publish is not acknowledged until there is room again"


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_messages_wait_unacknowledged_and_their_clients_are_served(station: Station) -> None:
    watcher = await station.session("watcher", "t")
    once, twice, before = await station.connect("a"), await station.connect("b"), await station.connect("c", V3)
    before.send(Publish("t", b"0", 1, packet_id=7))
    await station.settle()
    for peer in (watcher, once, twice, before):
        peer.take()
    sequence = station.broker.collector.sequence
    station.broker.withhold(messages=True, notes=False)
    once.send(Publish("t", b"1", 1, packet_id=1), Pingreq(), Publish("t", b"2", 1, packet_id=2), subscribe("u"))
    twice.send(Publish("t", b"3", 2, packet_id=1), Pingreq())
    # It has a way of its own for messages like the one before.
    before.send(Publish("t", b"4", 1, packet_id=8))
    before.send(Pingreq())
    await station.settle()
    assert kinds(once.take()) == ["Pingresp", "Suback"]
    assert twice.take() == [Pingresp()]
    assert before.take() == [Pingresp()]
    assert (watcher.take(), station.broker.collector.sequence) == ([], sequence)
    assert station.broker.statistics.holding == [DISK]
    assert System(station.broker).values()["disk/nearly full"] == "1"
    station.broker.withhold(messages=False, notes=False)
    await station.settle()
    assert once.take() == [Puback(1), Puback(2)]
    assert twice.take() == [Pubrec(1)]
    assert before.take() == [Puback(8)]
    assert sorted(await station.take_all(watcher)) == [b"1", b"2", b"3", b"4"]
    assert station.broker.statistics.holding == []


async def test_what_would_not_come_again_and_what_is_much_waits_in_the_socket(station: Station) -> None:
    watcher = await station.session("watcher", "t")
    fleeting, much = await station.connect("a"), await station.connect("b")
    station.broker.withhold(messages=True, notes=False)
    fleeting.send(Publish("t", b"1", 0), Disconnect())
    large = bytes(settings.PARKED_BYTES_MAX // 2)
    much.send(*(Publish("t", large, 1, packet_id=number) for number in (1, 2)), Pingreq())
    much.take()
    await station.settle()
    assert fleeting.reading_paused
    assert much.reading_paused
    assert (fleeting.closed, much.take()) == (False, [])
    # It is not silent: we do not listen.
    much.connection.keepalive_s = 1
    much.connection.heard -= 10
    station.broker.entrance._keepalive_due(much.connection)
    assert not much.closed
    station.broker.withhold(messages=False, notes=False)
    await station.settle()
    assert sorted(message.payload for message in watcher.publishes()) == [large, large, b"1"]
    assert fleeting.closed
    assert much.take() == [Pingresp(), Puback(1), Puback(2)]
    assert not much.reading_paused


async def test_sessions_go_on_below_the_reserve(station: Station) -> None:
    """What they need is little, and the reserve is there for it."""
    station.broker.withhold(messages=True, notes=False)
    peer = await station.session("a", "t")
    assert station.broker.sessions.by_client["a"].durable
    await station.restart()
    peer = await station.connect("a", expiry_s=1000, clean=False)
    (connack,) = peer.take()
    assert isinstance(connack, Connack)
    assert connack.session_present


async def test_who_comes_is_told(station: Station) -> None:
    station.broker.withhold(messages=True, notes=False)
    peer = await station.connect("a")
    (connack,) = peer.take()
    assert isinstance(connack, Connack)
    assert (connack.reason_code, connack.properties.reason_string) == (ReasonCode.SUCCESS, WAITS)
    assert kinds((await station.connect("b", V3)).take()) == ["Connack"]
    station.broker.withhold(messages=False, notes=False)
    (connack,) = (await station.connect("c")).take()
    assert isinstance(connack, Connack)
    assert connack.properties.reason_string is None


async def test_near_the_end_of_the_disk_who_needs_it_is_refused_and_others_are_served(station: Station) -> None:
    await station.session("known", "t")
    station.broker.withhold(messages=True, notes=True)
    will = Will(topic="gone", payload=b"", qos=0, retain=False)
    for packet in (
        connect("new", expiry_s=100),
        connect("known", clean=False, expiry_s=100),
        connect("known", clean=True),
        connect("dying", will=will),
    ):
        peer = station.peer(V5)
        peer.send(packet)
        await turns()
        (connack,) = peer.take()
        assert isinstance(connack, Connack)
        assert connack.reason_code == ReasonCode.QUOTA_EXCEEDED
        assert "the disk is full: no session or will can be kept" in str(connack.properties.reason_string)
    peer = station.peer(V3)
    peer.send(connect("old", V3, clean=False))
    await turns()
    assert peer.take() == [Connack(reason_code=ReasonCode.SERVER_UNAVAILABLE)]
    peer = station.peer(V5)
    peer.send(connect("passing"), subscribe("t"), Pingreq())
    await turns()
    connack, *rest = peer.take()
    assert isinstance(connack, Connack)
    assert connack.reason_code == ReasonCode.SUCCESS
    assert kinds(rest) == ["Suback", "Pingresp"]
    assert isinstance(rest[0], Suback)
    station.broker.withhold(messages=False, notes=False)
    await station.settle()
    assert isinstance((await station.connect("new", expiry_s=100)).take()[0], Connack)


async def test_a_disk_that_fills_and_empties_holds_devices_and_lets_them_go_on(
    gateway: Gateway, log: Log, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "allthings.gateway")
    with small_disk(tmp_path / "disk", 40) as disk:
        async with (
            gateway(reserve=Reserve(disk.folder, 20)) as port,
            aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as publisher,
        ):
            await publisher.publish("a", "0", qos=1)
            disk.fill(leave_bytes=10_000_000)
            async with asyncio.timeout(20):
                while "devices wait" not in caplog.text:
                    await asyncio.sleep(0.01)
            waiting = asyncio.create_task(publisher.publish("a", "1", qos=1, timeout=30))
            async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as new:
                await new.subscribe("a", qos=1)
                assert not waiting.done()
                disk.free()
                await asyncio.wait_for(waiting, 20)
                async with asyncio.timeout(20):
                    assert (await anext(aiter(new.messages))).payload == b"1"
    said = [record.message for record in caplog.records if record.name == "allthings.gateway.run"]
    assert said == [
        "devices wait, and nothing they publish is acknowledged: the disk is nearly full: 10 MB are free, and 20 MB "
        "are kept in reserve (disk_reserve_mb); with 22 MB it goes on",
        "there is room on the disk again: devices go on",
    ]
