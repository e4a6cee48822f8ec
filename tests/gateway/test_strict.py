"""Strict things: refused with a reason where the protocol can say so, kept as a reject where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.log.stream import Log
from allthings.registry import Registry
from allthings.things.times import now_ns
from tests.gateway.codes import Paho, connect, packet, paho
from tests.gateway.conftest import Gateway, wire
from tests.log.test_stream import take

INVALID = 0x99
TD = {
    "title": "Tank",
    "properties": {"level": {"type": "number", "minimum": 0, "maximum": 100}, "open": {"type": "boolean"}},
}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    opened.things.create(TD | {"allthings:strict": True}, now_ns(), "tank")
    opened.things.create(TD, now_ns(), "other")
    yield opened
    opened.close()


@pytest.fixture
def token(registry: Registry) -> str:
    return registry.tokens.create("device", "tank", "", now_ns()).secret


async def until_code(client: Paho, topic: str, payload: str, code: int) -> None:
    async with asyncio.timeout(3):
        while (await client.publish(topic, payload)).code != code:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_the_description_forbids_is_refused_with_the_reason(
    gateway: Gateway, registry: Registry, token: str, log: Log, qos: int
) -> None:
    before = (await log.status()).last
    async with gateway(registry) as port, paho(port, "tank", token) as tank:
        # paho keeps to itself what a PUBREC says, and shows the code of the PUBCOMP after it: nothing was begun.
        refused = INVALID if qos == 1 else 0x92
        first = await tank.publish("things/tank/properties", '{"level": "full"}', qos)
        second = await tank.publish("things/tank/properties/level", "101", qos)
        third = await tank.publish("things/tank/properties", "{", qos)
        assert [answer.code for answer in (first, second, third)] == [refused] * 3
        if qos == 1:
            assert first.why == "property 'level': type is number, got 'full'"
            assert second.why == "property 'level': maximum is 100, got 101"
        assert (await tank.publish("things/tank/properties", '{"level": 99.5, "new": 1}', qos)).code == 0
        assert (await tank.publish("things/tank/events/full", '{"any": "thing"}', qos)).code == 0
        assert (await tank.publish("things/tank/actions/x/result", "what ever", qos)).code == 0
    payloads: list[bytes] = []
    for entry in await take(log, before, (await log.status()).last - before):
        payloads += entry.batch.column("payload").to_pylist()
    assert [one for one in payloads if one] == [b'{"level": 99.5, "new": 1}', b'{"any": "thing"}', b"what ever"]
    entries = registry.audit.list(kind="message-refused").entries
    assert ("things/tank/properties/level", "property 'level': maximum is 100, got 101") in {
        (one.what, one.why) for one in entries
    }


async def test_a_pubrec_says_why_unless_the_client_wants_no_reasons(
    gateway: Gateway, registry: Registry, token: str
) -> None:
    topic = b"things/tank/properties/level"
    body = len(topic).to_bytes(2) + topic + b"\x00\x07\x00" + b"101"
    publish = b"\x34" + bytes([len(body)]) + body
    why = b"property 'level': maximum is 100, got 101"
    explained = b"\x1f" + len(why).to_bytes(2) + why
    explained = b"\x00\x07\x99" + bytes([len(explained)]) + explained
    async with gateway(registry) as port:
        for properties, expected in ((b"", explained), (b"\x17\x00", b"\x00\x07\x99"), (b"\x27\0\0\1\0", b"\0\7\x99")):
            async with wire(port) as client:
                await client.send(connect("tank", token, properties).hex())
                assert (await packet(client))[0] == 0x20
                await client.send(publish.hex())
                assert await packet(client) == b"\x50" + expected


async def test_what_cannot_be_refused_is_taken_and_will_be_a_reject(
    gateway: Gateway, registry: Registry, token: str, log: Log
) -> None:
    before = (await log.status()).last
    async with gateway(registry) as port:
        async with paho(port, "tank", token, protocol=4) as old:
            await old.publish("things/tank/properties/level", "101", 1)
            await old.publish("things/tank/properties/level", "102", 0)
            await old.publish("things/tank/properties/level", "103", 1)
        async with paho(port, "tank", token) as new:
            await new.publish("things/tank/properties/level", "104", 0)
            assert (await new.publish("things/tank/properties/level", "1", 1)).code == 0
    payloads: list[bytes] = []
    for entry in await take(log, before, (await log.status()).last - before):
        payloads += entry.batch.column("payload").to_pylist()
    assert [one for one in payloads if one] == [b"101", b"102", b"103", b"104", b"1"]


async def test_of_many_messages_in_one_read_only_the_wrong_ones_are_refused(
    gateway: Gateway, registry: Registry, token: str
) -> None:
    async with gateway(registry) as port, paho(port, "tank", token) as tank:
        values = [number % 150 for number in range(300)]
        answers = await asyncio.gather(*(tank.publish("things/tank/properties/level", str(one)) for one in values))
    assert [answer.code for answer in answers] == [INVALID if value > 100 else 0 for value in values]


async def test_a_thing_becomes_strict_within_a_second_and_its_description_counts(
    gateway: Gateway, registry: Registry
) -> None:
    token = registry.tokens.create("device", "other", "", now_ns()).secret
    async with gateway(registry) as port, paho(port, "other", token) as other:
        assert (await other.publish("things/other/properties/level", "101")).code == 0
        registry.things.patch("other", {"allthings:strict": True}, now_ns())
        await until_code(other, "things/other/properties/level", "101", INVALID)
        registry.things.patch("other", {"properties": {"level": {"maximum": 200}}}, now_ns())
        await until_code(other, "things/other/properties/level", "101", 0)
        assert (await other.publish("things/other/properties/level", "201")).code == INVALID
        registry.things.patch("other", {"allthings:strict": False}, now_ns())
        await until_code(other, "things/other/properties/level", "201", 0)


async def test_in_open_mode_too(gateway: Gateway, registry: Registry) -> None:
    async with gateway(registry, open_mode=True) as port, paho(port) as anyone:
        await until_code(anyone, "things/tank/properties/level", "101", INVALID)
        assert (await anyone.publish("things/other/properties/level", "101")).code == 0


@pytest.mark.parametrize("strict", ["yes", 1, None])
def test_strict_is_true_or_false(registry: Registry, strict: object) -> None:
    from allthings.things.errors import BadInputError

    if strict is None:
        assert registry.things.patch("tank", {"allthings:strict": None}, now_ns()).td.get("allthings:strict") is None
        assert registry.things.strict_types() == {}
    else:
        with pytest.raises(BadInputError, match="true or false"):
            registry.things.patch("tank", {"allthings:strict": strict}, now_ns())
