"""A broker for real clients: aiomqtt (paho) in both versions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.client import CallbackAPIVersion, Client
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.things.times import now_ns
from tests.gateway.conftest import Gateway, wire
from tests.log.test_stream import take
from tests.servers import NatsServer

VERSIONS = [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]


def client(port: int, version: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5, **more: object) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, protocol=version, **more)  # type: ignore[arg-type]


async def next_message(subscriber: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(30):
        return await anext(aiter(subscriber.messages))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1])
async def test_what_is_published_arrives_and_is_in_the_log(
    gateway: Gateway, log: Log, version: aiomqtt.ProtocolVersion, qos: int
) -> None:
    before = (await log.status()).last
    async with gateway() as port, client(port, version) as subscriber, client(port, version) as publisher:
        await subscriber.subscribe("things/+/properties/#", qos=qos)
        await publisher.publish("things/a/properties/t", "21.5", qos=qos)
        message = await next_message(subscriber)
        assert (str(message.topic), message.payload, message.qos, message.retain) == (
            "things/a/properties/t",
            b"21.5",
            qos,
            False,
        )
    # The gateway begins with an empty block.
    begun, entry = await take(log, before, 2)
    assert begun.batch.num_rows == 0
    assert entry.batch.column("topic").to_pylist() == ["things/a/properties/t"]
    assert entry.batch.column("payload").to_pylist() == [b"21.5"]
    assert entry.batch.column("flags").to_pylist() == [qos]


async def test_receive_times_are_never_given_twice(gateway: Gateway, log: Log) -> None:
    before = (await log.status()).last
    async with gateway() as port, client(port) as publisher:
        await asyncio.gather(*(publisher.publish("a/b", str(n), qos=1) for n in range(500)))
    times: list[int] = []
    after = before
    while len(times) < 500:
        for entry in await take(log, after, 1):
            times += entry.batch.column("received").cast("int64").to_pylist()
            after = entry.sequence
    assert len(set(times)) == 500


@pytest.mark.parametrize("version", VERSIONS)
async def test_retained_messages_come_with_a_new_subscription(
    gateway: Gateway, version: aiomqtt.ProtocolVersion
) -> None:
    async with gateway() as port, client(port, version) as publisher, client(port, version) as subscriber:
        await publisher.publish("state/lamp", "on", qos=1, retain=True)
        await publisher.publish("state/door", "open", qos=1, retain=True)
        await publisher.publish("state/door", "", qos=1, retain=True)
        await subscriber.subscribe("state/#", qos=1)
        message = await next_message(subscriber)
        assert (str(message.topic), message.payload, message.retain) == ("state/lamp", b"on", True)
        await publisher.publish("state/end", "x")
        assert str((await next_message(subscriber)).topic) == "state/end"


async def test_options_of_a_subscription(gateway: Gateway) -> None:
    async with gateway() as port, client(port) as one:
        await one.publish("kept", "x", qos=1, retain=True)
        await one.subscribe("kept", options=SubscribeOptions(qos=1, noLocal=True, retainHandling=2))
        await one.subscribe("mine", options=SubscribeOptions(qos=1, noLocal=True))
        await one.subscribe("copy", options=SubscribeOptions(qos=1, retainAsPublished=True))
        await one.publish("mine", "not for me", qos=1)
        await one.publish("copy", "retained", qos=1, retain=True)
        message = await next_message(one)
        assert (str(message.topic), message.retain) == ("copy", True)


async def test_properties_go_on_to_subscribers(gateway: Gateway) -> None:
    sent = Properties(3)
    sent.ResponseTopic = "answers"
    sent.CorrelationData = b"\x01\x02"
    sent.ContentType = "application/json"
    sent.UserProperty = [("a", "1"), ("a", "2")]
    async with gateway() as port, client(port) as one:
        await one.subscribe("questions", qos=1)
        await one.publish("questions", "?", qos=1, properties=sent)
        got = (await next_message(one)).properties
        assert got is not None
        assert (got.ResponseTopic, got.CorrelationData, got.ContentType, got.UserProperty) == (
            "answers",
            b"\x01\x02",
            "application/json",
            [("a", "1"), ("a", "2")],
        )


async def test_overlapping_filters_give_a_message_once(gateway: Gateway) -> None:
    async with gateway() as port, client(port) as one:
        await one.subscribe("a/#", qos=0)
        await one.subscribe("a/+", qos=1)
        await one.publish("a/b", "1", qos=1)
        await one.publish("a/c", "2", qos=1)
        first, second = await next_message(one), await next_message(one)
        assert [(first.payload, first.qos), (second.payload, second.qos)] == [(b"1", 1), (b"2", 1)]


async def test_unsubscribe_ends_delivery(gateway: Gateway) -> None:
    async with gateway() as port, client(port) as one:
        await one.subscribe("a", qos=1)
        await one.subscribe("b", qos=1)
        await one.unsubscribe("a")
        await one.publish("a", "no", qos=1)
        await one.publish("b", "yes", qos=1)
        assert (await next_message(one)).payload == b"yes"


async def test_a_client_id_is_taken_over(gateway: Gateway) -> None:
    async with gateway() as port, client(port, identifier="same") as first:
        await first.subscribe("x")
        async with client(port, identifier="same") as second:
            with pytest.raises(aiomqtt.MqttError):
                await next_message(first)
            await second.subscribe("x", qos=1)
            await second.publish("x", "still here", qos=1)
            assert (await next_message(second)).payload == b"still here"
            with pytest.raises(aiomqtt.MqttError):
                await first.publish("x", "gone", timeout=1)
        first._disconnected = asyncio.Future()
        first._disconnected.set_result(None)


async def test_a_will_is_published_when_a_client_vanishes_but_not_after_goodbye(gateway: Gateway) -> None:
    connect = "10 16 00 04 4d 51 54 54 04 06 00 3c 00 01 {id} 00 04 77 69 6c 6c 00 01 {payload}"
    async with gateway() as port, client(port) as watcher:
        await watcher.subscribe("will", qos=1)
        async with wire(port) as polite:
            await polite.send(connect.format(id="61", payload="31"))
            await polite.receive(4)
            await polite.send("e0 00")
            assert await polite.rest() == ""
        async with wire(port) as rude:
            await rude.send(connect.format(id="62", payload="32"))
            await rude.receive(4)
        assert (await next_message(watcher)).payload == b"2"


async def test_silence_beyond_the_keep_alive_ends_a_connection(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client_:
        await client_.send("10 0e 00 04 4d 51 54 54 05 02 00 01 00 00 01 61")
        length = int((await client_.receive(2)).split()[1], 16)
        await client_.receive(length)
        answer = (await client_.rest()).split()
        assert answer[0] == "e0"
        assert answer[2] == "8d"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    return opened


async def test_only_who_is_known_comes_in_and_only_to_its_own_thing(gateway: Gateway, registry: Registry) -> None:
    registry.users.create("ann", "correct horse battery", "admin")
    registry.things.create(
        {"@context": "https://www.w3.org/2022/wot/td/v1.1", "title": "Lamp", "properties": {}}, now_ns(), "lamp"
    )
    token = registry.tokens.create("device", "lamp", "", now_ns()).secret
    async with gateway(registry) as port:
        for username, password in ((None, None), ("lamp", "wrong"), ("ann", "wrong"), ("nobody", token)):
            with pytest.raises(aiomqtt.MqttError):
                async with client(port, username=username, password=password):
                    pass
        async with (
            client(port, username="ann", password="correct horse battery") as ann,
            client(port, username="lamp", password=token) as lamp,
        ):
            await ann.subscribe("things/#", qos=1)
            await lamp.publish("things/lamp/properties/on", "true", qos=1)
            assert (await next_message(ann)).payload == b"true"
            (refused,) = await lamp.subscribe("things/#")
            assert refused.value == 0x87  # type: ignore[union-attr]
            await lamp.publish("things/other/properties/on", "true", qos=1)
            await lamp.publish("things/lamp/properties/on", "false", qos=1)
            assert (await next_message(ann)).payload == b"false"
    registry.close()


async def test_a_refused_publish_says_0x87_and_why(gateway: Gateway, registry: Registry) -> None:
    registry.users.create("eve", "only looking around", "viewer")
    found: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    async with gateway(registry) as port:
        paho = Client(CallbackAPIVersion.VERSION2, protocol=5)
        paho.username_pw_set("eve", "only looking around")
        paho.on_publish = lambda _c, _u, _m, reason, properties: loop.call_soon_threadsafe(
            found.put_nowait, (reason.value, properties.ReasonString)
        )
        paho.on_connect = lambda c, *_: c.publish("things/lamp/properties/on", "1", qos=1)
        paho.connect_async("127.0.0.1", port)
        paho.loop_start()
        try:
            code, reason = await asyncio.wait_for(found.get(), 30)
        finally:
            paho.disconnect()
            await asyncio.to_thread(paho.loop_stop)
    assert code == 0x87
    assert "eve may not publish to things/lamp/properties/on" in reason
    registry.close()


async def test_nothing_is_acknowledged_while_the_log_is_away_and_nothing_is_lost(
    gateway: Gateway, own_nats_server: NatsServer
) -> None:
    own = await Log.connect(own_nats_server.url)
    async with gateway(own_log=own) as port, client(port) as publisher:
        await publisher.publish("a", "before", qos=1)
        own_nats_server.kill()
        waiting = asyncio.create_task(publisher.publish("a", "during", qos=1, timeout=30))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        await asyncio.to_thread(own_nats_server.start)
        await asyncio.wait_for(waiting, 20)
        payloads = [p for e in await take(own, 0, 2) for p in e.batch.column("payload").to_pylist()]
        assert payloads == [b"before", b"during"]
    await own.close()


async def test_devices_wait_while_the_disk_is_full(gateway: Gateway, tmp_path: Path) -> None:
    async with gateway(reserve=Reserve(tmp_path, 10**12)) as port, client(port) as publisher:
        await asyncio.sleep(0.2)
        with pytest.raises(aiomqtt.MqttError, match="timed out"):
            await publisher.publish("a", "1", qos=1, timeout=0.5)
