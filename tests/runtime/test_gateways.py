"""Several gateway processes are one broker: real processes, real clients."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import aiomqtt
import psutil  # type: ignore[import-untyped]
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from allthings.gateway.shard import Shard
from allthings.testing.platform import Platform

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GATEWAYS = 3
T = TypeVar("T")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("gateways"), arguments=("--open", "--gateways", str(GATEWAYS))) as running:
        yield running


def of(index: int, name: str) -> str:
    """A client id that belongs to a gateway."""
    shard = Shard(index, GATEWAYS)
    return next(client for n in range(1000) if shard.owns(client := f"{name}-{n}"))


def client(platform: Platform, identifier: str | None, expiry_s: int = 0, **more: object) -> aiomqtt.Client:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = expiry_s
    return aiomqtt.Client(
        platform.mqtt_host,
        platform.mqtt_port,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5,
        properties=properties,
        clean_start=not expiry_s,
        **more,  # type: ignore[arg-type]
    )


async def take(messages: AsyncIterator[aiomqtt.Message], count: int) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(30):
        async for message in messages:
            found.append(bytes(message.payload))  # type: ignore[arg-type]
            if len(found) == count:
                break
    return found


def gateways(platform: Platform) -> list[psutil.Process]:
    return [process for role, process in platform.processes().items() if role.startswith("gateway")]


async def test_messages_reach_subscribers_at_every_gateway_once(platform: Platform) -> None:
    assert len(gateways(platform)) == GATEWAYS
    async with (
        client(platform, of(0, "a")) as first,
        client(platform, of(1, "b")) as second,
        client(platform, of(2, "c")) as third,
    ):
        everyone = [first, second, third]
        for qos, each in enumerate(everyone):
            await each.subscribe("all/#", qos=qos)
        for number, each in enumerate(everyone):
            for qos in (1, 2):
                await each.publish("all/x", b"%d %d" % (number, qos), qos=qos)
        expected = sorted(b"%d %d" % (number, qos) for number in range(3) for qos in (1, 2))
        for each in everyone:
            assert sorted(await take(each.messages, 6)) == expected


async def test_a_client_id_is_taken_over_whichever_gateway_accepts(platform: Platform) -> None:
    for index in range(GATEWAYS):
        name = of(index, "taken")
        async with client(platform, name) as first, client(platform, name) as second:
            await second.publish("t", b"1", qos=1)
            with pytest.raises(aiomqtt.MqttError):
                await take(first.messages, 1)


async def test_a_retained_message_is_everywhere(platform: Platform) -> None:
    async with client(platform, of(1, "r")) as one:
        await one.publish("kept/x", b"here", qos=1, retain=True)
    for index in range(GATEWAYS):
        async with client(platform, of(index, "reader")) as reader:
            await reader.subscribe("kept/#", qos=1)
            assert await take(reader.messages, 1) == [b"here"]


async def test_a_shared_subscription_gives_each_message_to_one_member(platform: Platform) -> None:
    count = 300
    seen: Counter[bytes] = Counter()
    per_member: Counter[int] = Counter()

    async def member(index: int, ready: asyncio.Event) -> None:
        async with client(platform, of(index, "member")) as one:
            await one.subscribe("$share/group/work/#", qos=1)
            ready.set()
            async for message in one.messages:
                seen[bytes(message.payload)] += 1  # type: ignore[arg-type]
                per_member[index] += 1

    events = [asyncio.Event() for _ in range(GATEWAYS)]
    members = [asyncio.create_task(member(index, event)) for index, event in enumerate(events)]
    for event in events:
        await event.wait()
    # Gateways tell each other of their members within a fraction of a second.
    await asyncio.sleep(0.3)
    async with client(platform, of(0, "boss")) as boss:
        await asyncio.gather(*(boss.publish("work/x", b"%d" % number, qos=1) for number in range(count)))
    async with asyncio.timeout(30):
        while len(seen) < count:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    assert set(seen.values()) == {1}
    assert all(per_member[index] >= count // GATEWAYS // 2 for index in range(GATEWAYS)), per_member
    # Two leave: the third gets everything.
    for task in members[:2]:
        task.cancel()
    await asyncio.wait(members[:2])
    await asyncio.sleep(0.3)
    seen.clear()
    async with client(platform, of(1, "boss")) as boss:
        await asyncio.gather(*(boss.publish("work/x", b"%d" % number, qos=1) for number in range(30)))
    async with asyncio.timeout(30):
        while len(seen) < 30:
            await asyncio.sleep(0.05)
    members[2].cancel()
    await asyncio.wait(members[2:])


def kill_gateways(platform: Platform) -> None:
    killed = gateways(platform)
    for process in killed:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(killed, timeout=10)


async def patiently(work: Callable[[aiomqtt.Client], Awaitable[T]], *where: Any, **more: Any) -> T:
    """What it gives, as soon as a gateway lets the client in."""
    deadline = time.monotonic() + 30
    while True:
        try:
            async with client(*where, **more) as one:
                return await work(one)
        except aiomqtt.MqttError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_a_killed_gateway_loses_nothing_of_its_sessions(platform: Platform) -> None:
    names = [of(index, "durable") for index in range(GATEWAYS)]
    for name in names:
        async with client(platform, name, expiry_s=600) as one:
            await one.subscribe("safe/#", qos=2)
    async with client(platform, of(0, "source")) as source:
        for number in range(20):
            await source.publish("safe/x", b"%d" % number, qos=2)
    kill_gateways(platform)
    for name in names:
        got = await patiently(lambda one: take(one.messages, 20), platform, name, expiry_s=600)
        assert got == [b"%d" % number for number in range(20)]


def test_more_or_fewer_gateways_find_all_sessions(tmp_path: Path) -> None:
    names = [f"device-{number}" for number in range(12)]

    async def subscribe(platform: Platform) -> None:
        for name in names:
            async with client(platform, name, expiry_s=600) as one:
                await one.subscribe("later/#", qos=1)

    async def publish(platform: Platform, payload: bytes) -> None:
        async with client(platform, None) as one:
            await one.publish("later/x", payload, qos=1)

    async def read(platform: Platform, expected: list[bytes]) -> None:
        for name in names:
            async with client(platform, name, expiry_s=600) as one:
                assert await take(one.messages, len(expected)) == expected, name

    with Platform(tmp_path, arguments=("--open", "--gateways", "1")) as platform:
        asyncio.run(subscribe(platform))
        asyncio.run(publish(platform, b"one"))
        platform.kill_all()
    with Platform(tmp_path, arguments=("--open", "--gateways", "4")) as platform:
        state = json.loads((tmp_path / "state.json").read_text())
        assert sum(role["name"].startswith("gateway") for role in state["roles"]) == 4
        asyncio.run(publish(platform, b"two"))
        asyncio.run(read(platform, [b"one", b"two"]))
        asyncio.run(publish(platform, b"three"))
    with Platform(tmp_path, arguments=("--open", "--gateways", "2")) as platform:
        asyncio.run(read(platform, [b"three"]))


async def test_a_gateway_that_starts_knows_the_members_of_the_others_before_it_takes_messages(
    platform: Platform,
) -> None:
    share = "$share/late/late/t"
    member = of(1, "late-member")
    async with client(platform, member, expiry_s=600) as subscriber:
        await subscriber.subscribe(share, qos=1)
    for _ in range(3):
        kill_gateways(platform)
        await patiently(lambda one: one.publish("late/t", b"x", qos=1), platform, of(0, "late-publisher"))
    async with client(platform, member, expiry_s=600) as subscriber:
        assert await take(subscriber.messages, 3) == [b"x"] * 3
