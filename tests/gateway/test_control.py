"""What a gateway tells of itself, and what people may do to it: with real clients, asked through the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import aiomqtt
import msgspec

from allthings.gateway.questions import (
    SUBJECT,
    AskClient,
    AskClients,
    AskRetained,
    AskTopics,
    ClientAnswer,
    ClientsAnswer,
    Disconnect,
    Done,
    Question,
    RetainedAnswer,
    TopicsAnswer,
)
from allthings.log.stream import Log
from tests.gateway.conftest import Gateway, wire

T = TypeVar("T")


async def ask(log: Log, question: Question, kind: type[T]) -> T:
    (answer,) = await log.ask(SUBJECT, msgspec.msgpack.encode(question), within_s=20, replies=1)
    return msgspec.msgpack.decode(answer, type=kind)


async def until(log: Log, question: Question, kind: type[T], holds: Callable[[T], bool]) -> T:
    async with asyncio.timeout(20):
        while not holds(answer := await ask(log, question, kind)):
            await asyncio.sleep(0.05)
    return answer


def client(port: int, name: str, *, lasts: bool = False) -> aiomqtt.Client:
    if not lasts:
        return aiomqtt.Client("127.0.0.1", port, identifier=name, protocol=aiomqtt.ProtocolVersion.V5)
    return aiomqtt.Client("127.0.0.1", port, identifier=name, clean_session=False)


async def test_clients_are_listed_searched_sorted_and_paged(log: Log, gateway: Gateway) -> None:
    async with gateway() as port:
        async with client(port, "away", lasts=True) as away:
            await away.subscribe("queue/#", qos=1)
        async with client(port, "b-reader") as reader, client(port, "a-writer") as writer:
            await reader.subscribe("x/#", qos=1)
            await reader.subscribe("y", qos=0)
            for topic in ("x/1", "y", "queue/1", "queue/2"):
                await writer.publish(topic, b"1", qos=1)
            page = await until(
                log, AskClients(limit=10), ClientsAnswer, lambda page: sum(one.sent for one in page.clients) >= 2
            )
            assert page.total == 3
            one, two, three = page.clients
            assert (one.client, one.connected, one.version, one.received, one.subscriptions) == (
                "a-writer",
                True,
                5,
                4,
                0,
            )
            assert (two.client, two.connected, two.queued) == ("away", False, 2)
            assert two.expiry_s > 0
            assert two.since_ns > 0
            assert (three.client, three.sent, three.subscriptions, three.expiry_s) == ("b-reader", 2, 2, 0)
            assert three.address.startswith("127.0.0.1:")
            away_only = await ask(log, AskClients(limit=10, state="away"), ClientsAnswer)
            assert [each.client for each in away_only.clients] == ["away"]
            found = await ask(log, AskClients(limit=10, search="READ"), ClientsAnswer)
            assert ([each.client for each in found.clients], found.total) == (["b-reader"], 1)
            seen: list[str] = []
            after = None
            while True:
                question = AskClients(limit=1, sort="queued", descending=True, after=after)
                rows = (await ask(log, question, ClientsAnswer)).clients
                seen.append(rows[0].client)
                if len(rows) == 1:
                    break
                after = rows[0].key
            assert seen == ["away", "b-reader", "a-writer"]
            detail = await ask(log, AskClient("b-reader"), ClientAnswer)
            assert [(each.filter, each.qos) for each in detail.subscriptions] == [("x/#", 1), ("y", 0)]
            assert (await ask(log, AskClient("nobody"), ClientAnswer)).client is None


async def test_rates_are_those_of_the_last_seconds(log: Log, gateway: Gateway) -> None:
    async with gateway() as port, client(port, "steady") as steady:
        question = AskClients(limit=10, sort="received_rate", descending=True)
        assert (await ask(log, question, ClientsAnswer)).clients[0].received_rate is None
        loop = asyncio.get_running_loop()
        end = loop.time() + 3
        while loop.time() < end:
            await steady.publish("steady", b"1", qos=1)
            await asyncio.sleep(0.05)
        rate = (await ask(log, question, ClientsAnswer)).clients[0].received_rate
        assert rate is not None
        assert 2 < rate < 25


async def test_a_client_is_sent_away_and_its_session_ended(log: Log, gateway: Gateway) -> None:
    async with gateway() as port:
        async with client(port, "guest", lasts=True) as guest:
            await guest.subscribe("x", qos=1)
        await until(log, AskClients(limit=1, state="away"), ClientsAnswer, lambda page: page.total == 1)
        assert (await ask(log, Disconnect("guest", True, "test"), Done)).found
        assert not (await ask(log, Disconnect("guest", True, "test"), Done)).found
        async with wire(port) as stays:
            await stays.send("1012 00044d515454 05 02 003c 00 0005 7374617973")
            await stays.receive(int((await stays.receive(2)).split()[1], 16))
            assert (await ask(log, Disconnect("stays", False, "test"), Done)).found
            goodbye = (await stays.rest()).split()
            assert (goodbye[0], goodbye[2]) == ("e0", "98")


async def test_topics_are_a_tree_with_counts_and_last_payloads(log: Log, gateway: Gateway) -> None:
    async with gateway() as port, client(port, "writer") as writer:
        await ask(log, AskTopics("", 10), TopicsAnswer)
        for number in range(5):
            await writer.publish("hall/lamp", f"{number}", qos=1)
            await writer.publish(f"hall/lamp/{number}", b"x" * 2000, qos=1, retain=True)
        await writer.publish("/odd", b"", qos=1)
        root = await until(
            log, AskTopics("", 10), TopicsAnswer, lambda tree: sum(one.messages for one in tree.levels) == 11
        )
        assert [(one.name, one.messages, one.topics) for one in root.levels] == [("", 1, 1), ("hall", 10, 6)]
        assert root.levels[1].rate > 0
        (lamp,) = (await ask(log, AskTopics("hall/", 10), TopicsAnswer)).levels
        assert (lamp.payload, lamp.payload_bytes, lamp.children, lamp.retained) == (b"4", 1, 5, False)
        below = await ask(log, AskTopics("hall/lamp/", 2, sort="name", descending=True), TopicsAnswer)
        assert [one.name for one in below.levels] == ["4", "3", "2"]
        assert (below.total, len(below.levels[0].payload), below.levels[0].payload_bytes) == (5, 1024, 2000)
        assert below.levels[0].retained
        more = await ask(log, AskTopics("hall/lamp/", 2, descending=True, after=below.levels[1].key), TopicsAnswer)
        assert [one.name for one in more.levels] == ["2", "1", "0"]
        assert [one.name for one in (await ask(log, AskTopics("/", 10), TopicsAnswer)).levels] == ["odd"]
        assert (await ask(log, AskTopics("nothing/here/", 10), TopicsAnswer)).levels == []
        found = await ask(log, AskTopics("hall/", 10, search="LAMP/3"), TopicsAnswer)
        assert [(one.name, one.messages) for one in found.levels] == [("lamp/3", 1)]


async def test_retained_messages_are_found_by_filter_and_paged(log: Log, gateway: Gateway) -> None:
    async with gateway() as port, client(port, "writer") as writer:
        for number in range(5):
            await writer.publish(f"kept/{number}", b"y" * 5000, qos=1, retain=True)
        await writer.publish("other", b"z", qos=1, retain=True)
        page = await until(log, AskRetained("kept/+", 3), RetainedAnswer, lambda page: page.total == 5)
        assert [one.topic for one in page.messages] == ["kept/0", "kept/1", "kept/2", "kept/3"]
        assert (len(page.messages[0].payload), page.messages[0].payload_bytes) == (4096, 5000)
        rest = await ask(log, AskRetained("kept/+", 3, after="kept/2"), RetainedAnswer)
        assert [one.topic for one in rest.messages] == ["kept/3", "kept/4"]


async def test_what_is_no_question_gets_no_answer(log: Log, gateway: Gateway) -> None:
    async with gateway():
        async with asyncio.timeout(20):
            # Nobody answers before the gateway has said that it does.
            while not (answers := await log.ask(SUBJECT, b"nonsense", within_s=20, replies=1)):
                await asyncio.sleep(0.01)
        assert answers == [b""]
