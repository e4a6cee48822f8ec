"""One bridge to a real mosquitto: what crosses, how, and what is lost when either side goes away (nothing)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from allthings.connectors import settings
from allthings.connectors.outbound import consumer
from allthings.connectors.way import WAY
from allthings.log import block
from allthings.registry.bridges import BridgeSettings, TopicMap, Version
from allthings.things.times import now_ns
from tests.connectors.conftest import Gate, Start, client, heard
from tests.servers import WITHIN_S, Mosquitto

OUT = TopicMap("out", "things/#", prefix="site1/")
IN = TopicMap("in", "commands/#", prefix="from-north/", strip="commands/")
VERSIONS: tuple[Version, ...] = ("5", "3.1.1")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PAUSE_S_MIN", 0.05)
    monkeypatch.setattr(settings, "PAUSE_S_MAX", 0.2)
    monkeypatch.setattr(settings, "FOLLOW_EVERY_S", 0.05)


@pytest.mark.parametrize("version", VERSIONS)
async def test_ours_reach_the_other_broker(installation: Start, mosquitto: Mosquitto, version: Version) -> None:
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await there.subscribe("#", qos=2)
        await one.bridge("north", BridgeSettings(mosquitto.url, (OUT,), version))
        await here.publish("things/a/properties", b'{"t": 1}', qos=1)
        await here.publish("elsewhere", b"stays", qos=1)
        await here.publish("things/b/properties", b"0", qos=0)
        await here.publish("things/c/properties", b"2", qos=2)
        came = await heard(there, 3)
        assert [(str(each.topic), each.payload, each.qos) for each in came] == [
            ("site1/things/a/properties", b'{"t": 1}', 1),
            ("site1/things/b/properties", b"0", 0),
            ("site1/things/c/properties", b"2", 1),
        ]
        state = await one.reaches("north", lambda state: state.outgoing.sent == 3)
        assert (state.outgoing.refused, state.outgoing.circled, state.incoming.taken) == (0, 0, 0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_theirs_are_in_our_log_and_reach_our_subscribers(
    installation: Start, mosquitto: Mosquitto, version: Version
) -> None:
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await here.subscribe("#", qos=1)
        await one.bridge("north", BridgeSettings(mosquitto.url, (IN,), version))
        await there.publish("commands/valve", b"open", qos=1)
        await there.publish("not/mapped", b"stays", qos=1)
        await there.publish("commands/pump", b"on", qos=0)
        came = await heard(here, 2)
        assert [(str(each.topic), each.payload, each.qos) for each in came] == [
            ("from-north/valve", b"open", 1),
            ("from-north/pump", b"on", 0),
        ]
        assert await one.logged("from-north/valve") == [(b"open", "bridge:north", 1)]
        assert one.bridges.state("north").incoming.taken == 2


async def test_properties_cross_in_both_directions(installation: Start, mosquitto: Mosquitto) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.ResponseTopic = "answers/7"
    properties.CorrelationData = b"\x00\x07"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 600
    properties.UserProperty = [("unit", "K"), ("unit", "°C")]
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await there.subscribe("site1/#", qos=1)
        await here.subscribe("from-north/#", qos=1)
        await one.bridge("north", BridgeSettings(mosquitto.url, (OUT, IN)))
        await here.publish("things/a", b"1", qos=1, properties=properties)
        await there.publish("commands/a", b"1", qos=1, properties=properties)
        way = (WAY, one.registry.bridges.get("north").id)
        for side in (there, here):
            (came,) = await heard(side, 1)
            got = came.properties
            assert got is not None
            assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == (
                "application/json",
                "answers/7",
                b"\x00\x07",
            )
            assert got.PayloadFormatIndicator == 1
            assert 590 <= got.MessageExpiryInterval <= 600
            assert got.UserProperty == [("unit", "K"), ("unit", "°C"), way]


@pytest.mark.parametrize("version", VERSIONS)
async def test_retained_messages_stay_retained_when_the_map_says_so(
    installation: Start, mosquitto: Mosquitto, version: Version
) -> None:
    maps = (
        OUT,
        TopicMap("out", "plain/#", prefix="site1/", retain=False),
        IN,
        TopicMap("in", "other/#", prefix="from-north/", retain=False),
    )
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await there.publish("commands/before", b"1", qos=1, retain=True)
        await one.bridge("north", BridgeSettings(mosquitto.url, maps, version))
        await here.publish("things/a", b"1", qos=1, retain=True)
        await here.publish("plain/a", b"1", qos=1, retain=True)
        await there.publish("other/a", b"1", qos=1, retain=True)
        await one.reaches("north", lambda state: state.outgoing.sent == 2 and state.incoming.taken == 2)
        async with client(mosquitto.port) as late:
            await late.subscribe("#", qos=1)
            kept = {str(each.topic) for each in await heard(late, 3)}
            assert kept == {"commands/before", "other/a", "site1/things/a"}
        assert await one.logged("from-north/before") == [(b"1", "bridge:north", 1 | block.FLAG_RETAIN)]
        assert await one.logged("from-north/other/a") == [(b"1", "bridge:north", 1)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_nothing_acknowledged_here_is_lost_while_the_other_broker_is_killed(
    installation: Start, mosquitto: Mosquitto, version: Version
) -> None:
    """Acknowledged to our publishers = delivered there, over two kills; a repetition is allowed, a gap is not.

    The way there opens when somebody listens: what mosquitto takes for nobody would be gone.
    """
    rounds, each_round = 3, 400
    seen: list[bytes] = []
    gate = Gate(mosquitto.port)

    async def listen(listening: asyncio.Event) -> None:
        async with aiomqtt.Client("127.0.0.1", mosquitto.port, timeout=WITHIN_S) as there:
            # Not with QoS 1: what waits there for an acknowledgement of ours is gone with the broker.
            await there.subscribe("site1/#", qos=0)
            listening.set()
            async for message in there.messages:
                seen.append(bytes(message.payload))

    async def publish(here: aiomqtt.Client, numbers: range) -> None:
        await asyncio.gather(*(here.publish("things/n", b"%d" % number, qos=1) for number in numbers))

    async with installation() as one, client(one.port, max_inflight_messages=50) as here:
        one.registry.bridges.create("north", BridgeSettings(f"mqtt://127.0.0.1:{gate.port}", (OUT,), version), now_ns())
        await one.reaches("north", lambda state: state.phase == "waiting")
        for number in range(rounds):
            listening = asyncio.Event()
            listener = asyncio.create_task(listen(listening))
            await listening.wait()
            await gate.open()
            first, last = number * each_round, (number + 1) * each_round
            publishing = asyncio.create_task(publish(here, range(first, last)))
            if number < rounds - 1:
                async with asyncio.timeout(WITHIN_S):
                    while len(seen) < first + each_round // 4:
                        await asyncio.sleep(0.005)
                mosquitto.kill()
                await gate.shut()
                await asyncio.wait([listener], timeout=WITHIN_S)
                assert isinstance(listener.exception(), aiomqtt.MqttError)
                mosquitto.start()
            await publishing
        wanted = {b"%d" % number for number in range(rounds * each_round)}
        async with asyncio.timeout(WITHIN_S):
            while set(seen) != wanted:
                await asyncio.sleep(0.05)
        listener.cancel()
        await asyncio.wait([listener])
        await gate.shut()
        assert len(seen) < 2 * len(wanted)


@pytest.mark.parametrize("version", VERSIONS)
async def test_nothing_acknowledged_there_is_lost_while_we_are_away(
    installation: Start, mosquitto: Mosquitto, version: Version
) -> None:
    """Our whole side stops twice; what was published there meanwhile is in our log afterwards, in order."""
    count = 0
    for number in range(3):
        async with installation("same") as one, client(mosquitto.port) as there:
            if number == 0:
                await one.bridge("north", BridgeSettings(mosquitto.url, (IN,), version))
            for _ in range(100):
                await there.publish("commands/n", b"%d" % count, qos=1)
                count += 1
            if number == 2:
                await one.reaches("north", lambda state: state.phase == "connected")
                async with asyncio.timeout(30):
                    while len({payload for payload, _, _ in await one.logged("from-north/n")}) < count:
                        await asyncio.sleep(0.1)
                payloads = [payload for payload, _, _ in await one.logged("from-north/n")]
                assert list(dict.fromkeys(payloads)) == [b"%d" % n for n in range(count)]
        if number < 2:
            async with client(mosquitto.port) as there:
                for _ in range(100):
                    await there.publish("commands/n", b"%d" % count, qos=1)
                    count += 1


async def test_what_was_published_while_the_bridge_was_off_goes_out_later(
    installation: Start, mosquitto: Mosquitto
) -> None:
    wanted = BridgeSettings(mosquitto.url, (OUT,))
    async with client(mosquitto.port) as there:
        await there.subscribe("site1/#", qos=1)
        async with installation("same") as one, client(one.port) as here:
            await here.publish("things/n", b"before there was a bridge", qos=1)
            await one.bridge("north", wanted)
            await here.publish("things/n", b"1", qos=1)
            await one.reaches("north", lambda state: state.outgoing.sent == 1)
            one.registry.bridges.replace("north", replace(wanted, enabled=False), now_ns())
            await one.reaches("north", lambda state: state.phase == "off")
            await here.publish("things/n", b"2", qos=1)
        async with installation("same") as one, client(one.port) as here:
            await here.publish("things/n", b"3", qos=1)
            one.registry.bridges.replace("north", wanted, now_ns())
            came = await heard(there, 3)
            assert [each.payload for each in came] == [b"1", b"2", b"3"]


async def test_the_log_knows_nothing_of_a_bridge_that_is_no_more(installation: Start, mosquitto: Mosquitto) -> None:
    async with installation() as one, client(one.port) as here:
        await one.bridge("north", BridgeSettings(mosquitto.url, (OUT, IN)))
        await here.publish("things/n", b"1", qos=1)
        await one.reaches("north", lambda state: state.outgoing.sent == 1)
        assert consumer("north") in (await one.log.status()).positions
        one.registry.bridges.remove("north")
        async with asyncio.timeout(30):
            while consumer("north") in (await one.log.status()).positions:
                await asyncio.sleep(0.05)
        assert one.bridges.state("north").phase == "off"


async def test_an_expired_message_stays_here(installation: Start, mosquitto: Mosquitto) -> None:
    soon = Properties(PacketTypes.PUBLISH)
    soon.MessageExpiryInterval = 1
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await there.subscribe("site1/#", qos=1)
        await one.bridge("north", BridgeSettings(mosquitto.url, (OUT,)))
        mosquitto.stop()
        await one.reaches("north", lambda state: state.phase == "waiting")
        await here.publish("things/n", b"short", qos=1, properties=soon)
        await here.publish("things/n", b"long", qos=1)
        await asyncio.sleep(2.1)  # a message's life is counted in seconds
        mosquitto.start()
        state = await one.reaches("north", lambda state: state.outgoing.sent == 1)
        assert state.outgoing.expired == 1


async def test_changed_maps_hold_at_once_and_old_subscriptions_end(installation: Start, mosquitto: Mosquitto) -> None:
    wanted = BridgeSettings(mosquitto.url, (IN,))
    async with installation() as one, client(mosquitto.port) as there, client(one.port) as here:
        await here.subscribe("#", qos=1)
        await one.bridge("north", wanted)
        await there.publish("commands/a", b"1", qos=1)
        await one.reaches("north", lambda state: state.incoming.taken == 1)
        other = TopicMap("in", "orders/#")
        one.registry.bridges.replace("north", replace(wanted, maps=(other,)), now_ns())
        await one.reaches("north", lambda state: state.phase == "connected" and state.incoming.taken == 0)
        await there.publish("commands/a", b"2", qos=1)
        await there.publish("orders/a", b"3", qos=1)
        came = await heard(here, 2)
        assert [(str(each.topic), each.payload) for each in came] == [("from-north/a", b"1"), ("orders/a", b"3")]
        assert one.bridges.state("north").incoming.unmapped == 0


async def test_a_broker_that_is_not_there_is_said(installation: Start, mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    async with installation() as one:
        one.registry.bridges.create("north", BridgeSettings(mosquitto.url, (OUT, IN)), now_ns())
        state = await one.reaches("north", lambda state: state.phase == "waiting")
        assert "refused" in state.trouble.lower()
        mosquitto.start()
        state = await one.reaches("north", lambda state: state.phase == "connected")
        assert state.trouble == ""


async def test_damaged_blocks_and_uploads_are_passed_over(installation: Start, mosquitto: Mosquitto) -> None:
    async with installation() as one, client(one.port) as here:
        await one.bridge("north", BridgeSettings(mosquitto.url, (OUT,)))
        await one.log.append(b"no block at all", "upload")
        await here.publish("things/n", b"1", qos=1)
        state = await one.reaches("north", lambda state: state.outgoing.sent == 1)
        assert state.phase == "connected"
