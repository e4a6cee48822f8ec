"""Topic aliases (MQTT 5 section 3.3.2.3.4), as paho sends and takes them."""

from __future__ import annotations

import asyncio
import queue
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.interop.clients import WITHIN_S, Asked, Message, Paho, own_name


def _alias(number: int) -> Properties:
    made = Properties(PacketTypes.PUBLISH)
    made.TopicAlias = number
    return made


def _publish_by_alias(port: int, topics: list[str]) -> None:
    """The first message of each topic names it, the others only its number. For a thread: the gateway is in ours."""
    publisher = paho.Client(paho.CallbackAPIVersion.VERSION2, own_name("paho"), protocol=paho.MQTTv5)
    told: queue.Queue[Any] = queue.Queue()
    publisher.on_connect = lambda _client, _data, _flags, _code, properties: told.put(properties)
    publisher.connect("127.0.0.1", port)
    publisher.loop_start()
    try:
        assert told.get(True, WITHIN_S).TopicAliasMaximum >= len(topics)
        for qos in (0, 1, 2):
            for alias, topic in enumerate(topics, 1):
                sent = publisher.publish("" if qos else topic, b"%d" % qos, qos, properties=_alias(alias))
                sent.wait_for_publish(WITHIN_S)
    finally:
        publisher.disconnect()
        publisher.loop_stop()


async def test_a_topic_is_named_once_by_a_publisher(port: int) -> None:
    topics = [own_name("alias"), own_name("alias")]
    async with Paho().subscriber(port, "5", Asked(tuple(topics), 2)) as listener:
        await asyncio.to_thread(_publish_by_alias, port, topics)
        got = await listener.take(6)
    assert got == [Message(topic, b"%d" % qos, qos) for qos in (0, 1, 2) for topic in topics]


async def test_a_topic_is_named_once_to_a_subscriber_that_allows_it(port: int) -> None:
    topic = own_name("alias")
    came: queue.Queue[paho.MQTTMessage] = queue.Queue()
    told: queue.Queue[Any] = queue.Queue()
    subscriber = paho.Client(paho.CallbackAPIVersion.VERSION2, own_name("paho"), protocol=paho.MQTTv5)
    subscriber.on_message = lambda _client, _data, message: came.put(message)
    subscriber.on_connect = lambda client, *_: client.subscribe(topic, 1)
    subscriber.on_subscribe = lambda *_: told.put("subscribed")
    properties = Properties(PacketTypes.CONNECT)
    properties.TopicAliasMaximum = 1
    await asyncio.to_thread(subscriber.connect, "127.0.0.1", port, properties=properties)
    subscriber.loop_start()
    try:
        await asyncio.to_thread(told.get, True, WITHIN_S)
        await Paho().publish(port, "5", [Message(topic, b"%d" % number, 1) for number in range(3)])
        got = [await asyncio.to_thread(came.get, True, WITHIN_S) for _ in range(3)]
    finally:
        subscriber.disconnect()
        await asyncio.to_thread(subscriber.loop_stop)
    assert [one.payload for one in got] == [b"0", b"1", b"2"]
    assert len({one.properties.TopicAlias for one in got}) == 1
    # paho leaves it to the application to put the topic back in place of the alias.
    assert [one.topic for one in got] == [topic, "", ""]
