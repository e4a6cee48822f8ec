"""What users expect of a broker, with the clients that they have. The publishing and the subscribing make differ."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.interop.clients import Aiomqtt, Asked, Kind, Message, MosquittoClients, Paho, Will, own_name


async def test_every_qos_in_both_directions(port: int, publishing: Kind, subscribing: Kind, version: str) -> None:
    topic = own_name("qos")
    for granted in (0, 1, 2):
        async with subscribing.subscriber(port, version, Asked((topic,), granted)) as listener:
            await publishing.publish(port, version, [Message(topic, b"%d" % qos, qos) for qos in (0, 1, 2)])
            got = await listener.take(3)
        assert got == [Message(topic, b"%d" % qos, min(qos, granted)) for qos in (0, 1, 2)]


async def test_a_retained_message_waits_for_who_comes_later(
    port: int, publishing: Kind, subscribing: Kind, version: str
) -> None:
    topic = own_name("retained")
    sent = [Message(f"{topic}/{qos}", b"kept", qos, retain=True) for qos in (0, 1, 2)]
    await publishing.publish(port, version, sent)
    async with subscribing.subscriber(port, version, Asked((f"{topic}/+",), 2)) as listener:
        assert sorted(await listener.take(3), key=lambda one: one.topic) == sent
        # To who is there already it comes as any other.
        await publishing.publish(port, version, [Message(f"{topic}/1", b"new", 1, retain=True)])
        assert await listener.take(1) == [Message(f"{topic}/1", b"new", 1)]
    await publishing.publish(port, version, [Message(one.topic, b"", one.qos, retain=True) for one in sent])
    async with subscribing.subscriber(port, version, Asked((f"{topic}/#",), 2)) as listener:
        await publishing.publish(port, version, [Message(f"{topic}/end", b"nothing before it", 1)])
        assert [one.payload for one in await listener.take(1)] == [b"nothing before it"]


async def test_a_will_is_published_for_who_dies_and_not_for_who_leaves(
    port: int, subscribing: Kind, version: str
) -> None:
    topic = own_name("will")
    async with Aiomqtt().subscriber(port, "5", Asked((f"{topic}/#",), 2)) as watching:
        async with subscribing.subscriber(port, version, Asked((), 0, will=Will(f"{topic}/left", b"x", 1))):
            pass
        if isinstance(subscribing, MosquittoClients) and version == "5":
            # When a signal ends it, it says goodbye with reason code 0x04: disconnect with will message.
            assert await watching.take(1) == [Message(f"{topic}/left", b"x", 1)]
        async with subscribing.subscriber(
            port, version, Asked((), 0, will=Will(f"{topic}/died", b"gone", 2, retain=True))
        ) as dying:
            dying.die()
            assert await watching.take(1) == [Message(f"{topic}/died", b"gone", 2)]
    async with Aiomqtt().subscriber(port, "5", Asked((f"{topic}/#",), 2)) as late:
        assert await late.take(1) == [Message(f"{topic}/died", b"gone", 2, retain=True)]


async def test_a_kept_session_gets_what_came_meanwhile_once_and_in_order(
    port: int, publishing: Kind, subscribing: Kind, version: str
) -> None:
    topic = own_name("offline")
    asked = Asked((topic,), 2, keep=True)
    async with subscribing.subscriber(port, version, asked):
        pass
    sent = [Message(topic, b"%d" % number, 1 + number % 2) for number in range(10)]
    await publishing.publish(port, version, sent)
    async with subscribing.subscriber(port, version, asked) as listener:
        got = await listener.take(10)
        # Order holds within a QoS: a message of QoS 2 is one only when its sender has released it.
        for qos in (1, 2):
            assert [one for one in got if one.qos == qos] == [one for one in sent if one.qos == qos]
        await publishing.publish(port, version, [Message(topic, b"end", 1)])
        assert await listener.take(1) == [Message(topic, b"end", 1)]
    async with subscribing.subscriber(port, version, Asked((), 0, name=asked.name)):
        pass  # a clean start ends the session
    await publishing.publish(port, version, [Message(topic, b"for nobody", 1)])
    async with subscribing.subscriber(port, version, asked) as listener:
        await publishing.publish(port, version, [Message(topic, b"for the new one", 1)])
        assert [one.payload for one in await listener.take(1)] == [b"for the new one"]


async def test_a_shared_subscription_gets_each_message_once(
    port: int, publishing: Kind, subscribing: Kind, version: str
) -> None:
    topic, count = own_name("shared"), 12
    async with contextlib.AsyncExitStack() as stack:
        group = [
            await stack.enter_async_context(subscribing.subscriber(port, version, Asked((each,), 1)))
            for each in [f"$share/workers/{topic}/#"] * 3
        ]
        await publishing.publish(port, version, [Message(f"{topic}/{n}", b"%d" % n, 1) for n in range(count)])
        taken: list[bytes] = []

        async def work(index: int) -> None:
            while len(taken) < count:
                taken.extend(one.payload for one in await group[index].take(1))

        working = [asyncio.create_task(work(index)) for index in range(len(group))]
        async with asyncio.timeout(30):
            while len(taken) < count:
                await asyncio.sleep(0.02)
        # Any message that came twice would be there by now.
        async with Aiomqtt().subscriber(port, "5", Asked((topic,), 1)) as last:
            await publishing.publish(port, version, [Message(topic, b"end", 1)])
            await last.take(1)
        for each in working:
            each.cancel()
        await asyncio.wait(working)
        assert sorted(taken, key=lambda one: (len(one), one))[:count] == [b"%d" % n for n in range(count)]
        assert len([one for one in taken if one != b"end"]) == count


async def test_properties_come_through(port: int, publishing: Kind, subscribing: Kind) -> None:
    topic = own_name("properties")
    user = (("unit", "K"), ("place", "cellar"))
    sent = Message(topic, b"1", 1, False, "text/plain", "answers/7", b"seven", user, 100)
    async with subscribing.subscriber(port, "5", Asked((topic,), 1)) as listener:
        await publishing.publish(port, "5", [sent])
        (got,) = await listener.take(1)
    assert got.expiry_s is not None
    assert 90 <= got.expiry_s <= 100
    assert got == Message(topic, b"1", 1, False, "text/plain", "answers/7", b"seven", user, got.expiry_s)


async def test_a_message_expires_while_a_session_is_away(port: int, publishing: Kind, subscribing: Kind) -> None:
    topic = own_name("expiry")
    asked = Asked((topic,), 1, keep=True)
    async with subscribing.subscriber(port, "5", asked):
        pass
    await publishing.publish(
        port, "5", [Message(topic, b"short", 1, expiry_s=1), Message(topic, b"long", 1, expiry_s=500)]
    )
    await asyncio.sleep(2.1)  # intervals are counted in seconds
    async with subscribing.subscriber(port, "5", asked) as listener:
        (got,) = await listener.take(1)
    assert got.payload == b"long"
    assert got.expiry_s is not None
    assert 480 <= got.expiry_s <= 499


@pytest.mark.parametrize(("first", "second"), [("3.1.1", "5"), ("5", "3.1.1")])
async def test_versions_meet(port: int, first: str, second: str) -> None:
    topic = own_name("versions")
    async with Paho().subscriber(port, first, Asked((topic,), 2)) as listener:
        await Aiomqtt().publish(port, second, [Message(topic, b"%d" % qos, qos) for qos in (0, 1, 2)])
        assert await listener.take(3) == [Message(topic, b"%d" % qos, qos) for qos in (0, 1, 2)]
