"""Control characters in names are refused with a reason, unless a setting lets them through (MQTT 5 section 1.5.4)."""

from __future__ import annotations

import pytest

from allthings.mqtt.codec import encode
from allthings.mqtt.packets import Connect, Publish, Subscribe, Subscription, Will
from allthings.mqtt.versions import V3, V5, Version
from allthings.mqtt.wire import control_character
from tests.gateway.codes import paho
from tests.gateway.conftest import Gateway, Wire, wire

BELL, NEXT_LINE = "a\x07b", "a\x85b"
#: A CONNACK or DISCONNECT of MQTT 5 begins so; then comes its reason code.
ENDS = 0xE0


async def answer(client: Wire) -> bytes:
    """The first byte of the next packet and its body."""
    head = bytes.fromhex(await client.receive(2))
    return head[:1] + bytes.fromhex(await client.receive(head[1]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("plain/ä/温度/\u2028", ""),
        ("a\nb", "U+000A"),
        ("\x1b[31m", "U+001B"),
        ("\x7f", "U+007F"),
        ("\x9b", "U+009B"),
        ("\xa0\xad", ""),
    ],
)
def test_which_characters_are_meant(text: str, found: str) -> None:
    assert control_character(text) == found


@pytest.mark.parametrize("name", [BELL, NEXT_LINE])
@pytest.mark.parametrize(
    ("place", "reason", "return_code"), [("client", 0x85, 2), ("user", 0x86, 4), ("will", 0x90, None)]
)
async def test_connect(gateway: Gateway, name: str, place: str, reason: int, return_code: int | None) -> None:
    for version in (V5, V3):
        packet = Connect(
            name if place == "client" else "c",
            version,
            user_name=name if place == "user" else None,
            will=Will(name) if place == "will" else None,
        )
        async with gateway() as port, wire(port) as client:
            await client.send(encode(packet, version).hex())
            if version == V5:
                body = await answer(client)
                assert (body[0], body[2]) == (0x20, reason)
                assert b"control character U+00" in body
            elif return_code is not None:
                assert await client.receive(4) == f"20 02 00 0{return_code}"
            assert await client.rest() == ""


@pytest.mark.parametrize("version", [V5, V3])
async def test_publish_ends_the_connection(gateway: Gateway, version: Version) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send(encode(Connect("c", version), version).hex())
        assert (await answer(client))[2] == 0
        await client.send(encode(Publish(BELL, b"1", 1, packet_id=1), version).hex())
        if version == V5:
            body = await answer(client)
            assert (body[0], body[1]) == (ENDS, 0x90)
            assert b"the topic name has the control character U+0007" in body
        assert await client.rest() == ""


async def test_a_filter_is_refused_and_the_others_are_not(gateway: Gateway) -> None:
    for version, refusal in ((V5, 0x8F), (V3, 0x80)):
        async with gateway() as port, wire(port) as client:
            await client.send(encode(Connect("c", version), version).hex())
            await answer(client)
            asked = Subscribe(3, (Subscription("control/#", 1), Subscription(f"control/{NEXT_LINE}", 1)))
            await client.send(encode(asked, version).hex())
            assert list((await answer(client))[-2:]) == [1, refusal]


async def test_a_setting_lets_them_through(gateway: Gateway) -> None:
    async with gateway(control_characters=True) as port, paho(port, client_id=BELL) as client:
        assert await client.subscribe(f"control/{NEXT_LINE}") == 1
        await client.publish(f"control/{NEXT_LINE}", b"1")
        assert (await client.next_message()).topic == f"control/{NEXT_LINE}"
