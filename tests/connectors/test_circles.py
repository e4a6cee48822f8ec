"""Bridges that lead back to where a message came from: it goes round once at most, and nothing is lost for it."""

from __future__ import annotations

import asyncio

import pytest

from allthings.connectors import settings
from allthings.registry.bridges import BridgeSettings, TopicMap, Version
from allthings.things.times import now_ns
from tests.connectors.conftest import Installation, Start, client, heard
from tests.servers import WITHIN_S, Mosquitto

BOTH = (TopicMap("out", "shared/#"), TopicMap("in", "shared/#"))
VERSIONS: tuple[Version, ...] = ("5", "3.1.1")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PAUSE_S_MIN", 0.05)
    monkeypatch.setattr(settings, "FOLLOW_EVERY_S", 0.05)


async def settled(*installations: Installation) -> None:
    """Wait until no log grows any more."""
    before: list[int] = []
    async with asyncio.timeout(WITHIN_S):
        while (after := [(await each.log.status()).last for each in installations]) != before:
            before = after
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_same_topics_both_ways_with_another_broker(
    installation: Start, mosquitto: Mosquitto, version: Version
) -> None:
    """MQTT 5 says no-local; over 3.1.1 our own messages come back and are known."""
    async with installation() as one, client(one.port) as here, client(mosquitto.port) as there:
        await here.subscribe("shared/#", qos=1)
        await there.subscribe("shared/#", qos=1)
        await one.bridge("north", BridgeSettings(mosquitto.url, BOTH, version))
        for number in range(20):
            await here.publish("shared/ours", b"%d" % (number % 3), qos=1)
            await there.publish("shared/theirs", b"%d" % (number % 3), qos=1)
        for side in (here, there):
            came = sorted((str(each.topic), each.payload) for each in await heard(side, 40))
            assert came == sorted((f"shared/{who}", b"%d" % (n % 3)) for who in ("ours", "theirs") for n in range(20))
        await settled(one)
        state = one.bridges.state("north")
        assert (state.outgoing.sent, state.incoming.taken) == (20, 20)
        assert state.incoming.echoes == (20 if version == "3.1.1" else 0)
        assert len(await one.logged("shared/ours")) == len(await one.logged("shared/theirs")) == 20


async def test_both_ways_between_two_of_us(installation: Start) -> None:
    async with (
        installation() as one,
        installation() as two,
        client(one.port) as at_one,
        client(two.port) as at_two,
    ):
        await at_one.subscribe("shared/#", qos=1)
        await at_two.subscribe("shared/#", qos=1)
        await one.bridge("two", BridgeSettings(two.url, BOTH))
        for number in range(20):
            await at_one.publish("shared/one", b"%d" % number, qos=1)
            await at_two.publish("shared/two", b"%d" % number, qos=1)
        for side in (at_one, at_two):
            came = sorted((str(each.topic), each.payload) for each in await heard(side, 40))
            assert came == sorted((f"shared/{who}", b"%d" % n) for who in ("one", "two") for n in range(20))
        await settled(one, two)
        for each in (one, two):
            assert len(await each.logged("shared/one")) == len(await each.logged("shared/two")) == 20


async def test_two_that_bridge_each_other_both_ways_come_to_rest(installation: Start) -> None:
    """Said twice on purpose or not: every message arrives, some twice, none for ever."""
    async with installation() as one, installation() as two, client(one.port) as at_one, client(two.port) as at_two:
        await one.bridge("two", BridgeSettings(two.url, BOTH))
        await two.bridge("one", BridgeSettings(one.url, BOTH))
        for number in range(10):
            await at_one.publish("shared/one", b"%d" % number, qos=1)
            await at_two.publish("shared/two", b"%d" % number, qos=1)
        await one.reaches("two", lambda state: state.outgoing.sent >= 10)
        await two.reaches("one", lambda state: state.outgoing.sent >= 10)
        await settled(one, two)
        wanted = {b"%d" % number for number in range(10)}
        for each in (one, two):
            for topic in ("shared/one", "shared/two"):
                payloads = [payload for payload, _, _ in await each.logged(topic)]
                assert set(payloads) == wanted
                assert len(payloads) <= 5 * len(wanted)


async def test_a_ring_of_three_comes_to_rest(installation: Start) -> None:
    out = (TopicMap("out", "shared/#"),)
    async with installation() as one, installation() as two, installation() as three, client(one.port) as at_one:
        await one.bridge("next", BridgeSettings(two.url, out))
        await two.bridge("next", BridgeSettings(three.url, out))
        await three.bridge("next", BridgeSettings(one.url, out))
        for number in range(10):
            await at_one.publish("shared/a", b"%d" % number, qos=1)
        await three.reaches("next", lambda state: state.outgoing.sent == 10)
        await one.reaches("next", lambda state: state.outgoing.circled == 10)
        await settled(one, two, three)
        # Once around: it comes home, and goes no further.
        assert [len(await each.logged("shared/a")) for each in (one, two, three)] == [20, 10, 10]


async def test_a_bridge_to_oneself_comes_to_rest(installation: Start) -> None:
    async with installation() as one, client(one.port) as here:
        await one.bridge("self", BridgeSettings(one.url, BOTH))
        await here.publish("shared/a", b"1", qos=1)
        await one.reaches("self", lambda state: state.outgoing.circled >= 1)
        await settled(one)
        assert len(await one.logged("shared/a")) <= 3


async def test_a_chain_passes_messages_on(installation: Start, mosquitto: Mosquitto) -> None:
    """Over MQTT 5 what came over one bridge may cross the next."""
    out = (TopicMap("out", "shared/#", prefix="from-one/", strip="shared/"),)
    further = (TopicMap("out", "from-one/#"),)
    async with (
        installation() as one,
        installation() as two,
        client(one.port) as at_one,
        client(mosquitto.port) as there,
    ):
        await there.subscribe("#", qos=1)
        await one.bridge("two", BridgeSettings(two.url, out))
        await two.bridge("end", BridgeSettings(mosquitto.url, further))
        await at_one.publish("shared/a", b"1", qos=1)
        (came,) = await heard(there, 1)
        assert (str(came.topic), came.payload) == ("from-one/a", b"1")


async def test_over_3_1_1_only_what_was_born_here_is_sent(installation: Start, mosquitto: Mosquitto) -> None:
    out = (TopicMap("out", "shared/#"),)
    async with (
        installation() as one,
        installation() as two,
        client(one.port) as at_one,
        client(two.port) as at_two,
        client(mosquitto.port) as there,
    ):
        await there.subscribe("#", qos=1)
        await one.bridge("two", BridgeSettings(two.url, out))
        two.registry.bridges.create("end", BridgeSettings(mosquitto.url, out, "3.1.1"), now_ns())
        await two.reaches("end", lambda state: state.phase == "connected")
        await at_one.publish("shared/a", b"from one", qos=1)
        await two.reaches("end", lambda state: state.outgoing.circled == 1)
        await at_two.publish("shared/a", b"from two", qos=1)
        (came,) = await heard(there, 1)
        assert came.payload == b"from two"


async def test_another_allthings_is_not_subscribed_to_over_3_1_1(installation: Start) -> None:
    """It is said instead; only sending is safe."""
    async with installation() as one, installation() as two, client(one.port) as at_one:
        one.registry.bridges.create("two", BridgeSettings(two.url, BOTH, "3.1.1"), now_ns())
        state = await one.reaches("two", lambda state: state.phase == "waiting")
        assert "bridge it over MQTT 5" in state.trouble
        await one.bridge("out", BridgeSettings(two.url, (TopicMap("out", "only/out"),), "3.1.1"))
        await at_one.publish("only/out", b"1", qos=1)
        await one.reaches("out", lambda state: state.outgoing.sent == 1)
        assert [payload for payload, _, _ in await two.logged("only/out")] == [b"1"]
