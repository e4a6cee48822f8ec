"""The `$SYS` topics: names that monitoring tools know, with values that are right."""

from __future__ import annotations

import asyncio
import math

import pytest

from allthings.gateway import settings, system
from allthings.gateway.system import Load, System
from tests.gateway.station import Publish, Station, subscribe

#: What exporters and dashboards for mosquitto read.
EXPECTED = {
    *("uptime", "version", "bytes/received", "bytes/sent", "messages/received", "messages/sent", "messages/stored"),
    *("messages/inflight", "store/messages/count", "subscriptions/count", "shared_subscriptions/count"),
    *("retained messages/count", "clients/connected", "clients/disconnected", "clients/total", "clients/maximum"),
    *("clients/expired", "clients/active", "clients/inactive"),
    *(f"publish/{what}/{way}" for what in ("messages", "bytes") for way in ("received", "sent")),
    "publish/messages/dropped",
    *(
        f"load/{what}/{minutes}min"
        for what in (
            *("bytes/received", "bytes/sent", "connections", "messages/received", "messages/sent"),
            *("publish/dropped", "publish/received", "publish/sent", "sockets"),
        )
        for minutes in (1, 5, 15)
    ),
}


async def test_the_names_that_tools_expect_are_there_and_numbers(station: Station) -> None:
    values = System(station.broker).values()
    assert set(values) >= EXPECTED
    for name, value in values.items():
        if name != "version":
            assert float(value.removesuffix(" seconds")) >= 0, name


async def test_the_values_are_right(station: Station) -> None:
    counting = System(station.broker)
    before = counting.values()
    subscriber = await station.connect("here")
    subscriber.send(subscribe("s/#", 1), subscribe("$share/g/s/+", 0, packet_id=2))
    away = await station.session("away", "s/1")
    away.vanish()
    publisher = await station.connect("publisher")
    publisher.send(Publish("s/1", b"123", 1, packet_id=1), Publish("s/2", b"12345", retain=True))
    await station.settle()
    after = counting.values()
    changed = {name: int(float(after[name]) - float(before[name])) for name in EXPECTED - {"version", "uptime"}}
    assert {name: number for name, number in changed.items() if number and not name.startswith("load/")} == {
        "clients/connected": 2,
        "clients/active": 2,
        "clients/disconnected": 1,
        "clients/inactive": 1,
        "clients/total": 3,
        "clients/maximum": 3,
        "subscriptions/count": 3,
        "shared_subscriptions/count": 1,
        "retained messages/count": 1,
        # One waits for the client that is away, one is retained.
        "messages/stored": 2,
        "store/messages/count": 2,
        "messages/inflight": 1,
        "messages/received": 2,
        "publish/messages/received": 2,
        "messages/sent": 5,
        "publish/messages/sent": 5,
        "bytes/received": int(after["bytes/received"]) - int(before["bytes/received"]),
        "publish/bytes/received": int(after["bytes/received"]) - int(before["bytes/received"]),
        "bytes/sent": 3 * 6 + 2 * 8,
        "publish/bytes/sent": 3 * 6 + 2 * 8,
    }
    assert int(after["bytes/received"]) > 0


def test_a_load_is_what_it_is_in_a_minute_and_fades() -> None:
    load = Load()
    for number in range(1, 1000):
        load.counted(number * 10, 10)
    assert load.averages == pytest.approx([60, 60, 60], rel=1e-2)
    load.counted(9990, 60)
    assert load.averages == pytest.approx([60 * math.exp(-1), 60 * math.exp(-1 / 5), 60 * math.exp(-1 / 15)], rel=1e-2)


async def test_who_subscribes_is_told_at_once_and_then_what_changes(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SYSTEM_EVERY_S", 0.01)
    told: list[tuple[str, bytes, bool]] = []
    topic = "$SYS/broker/clients/connected"
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(system.publish(station.broker))
        peer = await station.connect("watcher")
        peer.send(subscribe("$SYS/broker/clients/+", 0))
        await station.connect("another")
        while (topic, b"2", False) not in told:
            await asyncio.sleep(0.01)
            told += [(message.topic, message.payload, message.retain) for message in peer.publishes()]
        telling.cancel()
    retained = [retain for where, _, retain in told if where == topic]
    assert retained[0], "what is so already comes with the flag"
    assert not any(retained[1:])
