"""Clients of MQTT 3.1, which calls itself MQIsdp."""

from __future__ import annotations

from paho.mqtt.client import MQTTv31

from tests.gateway.codes import paho
from tests.gateway.conftest import Gateway, wire

#: CONNECT as client "old": without and with Clean Session; the same session of MQTT 3.1.1.
LASTING = "10 11 0006 4D5149736470 03 00 003C 0003 6F6C64"
CLEAN = "10 11 0006 4D5149736470 03 02 003C 0003 6F6C64"
LASTING_3_1_1 = "10 0F 0004 4D515454 04 00 003C 0003 6F6C64"


async def test_they_publish_and_subscribe_with_every_quality(gateway: Gateway) -> None:
    async with gateway() as port, paho(port, protocol=MQTTv31, client_id="old") as old, paho(port) as new:
        assert await old.subscribe("versions/#", 2) == 2
        assert await new.subscribe("answers/#", 2) == 2
        for qos in (0, 1, 2):
            await new.publish(f"versions/{qos}", b"to the old", qos)
            message = await old.next_message()
            assert (message.topic, message.payload, message.qos) == (f"versions/{qos}", b"to the old", qos)
            await old.publish(f"answers/{qos}", b"from the old", qos)
            message = await new.next_message()
            assert (message.topic, message.payload, message.qos) == (f"answers/{qos}", b"from the old", qos)


async def test_connack_says_nothing_of_a_session(gateway: Gateway) -> None:
    async with gateway() as port:
        for connect, expected in ((LASTING, "20 02 00 00"), (LASTING, "20 02 00 00"), (LASTING_3_1_1, "20 02 01 00")):
            async with wire(port) as client:
                await client.send(connect)
                assert await client.receive(4) == expected


async def test_an_empty_client_id_is_answered(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send("10 0E 0006 4D5149736470 03 02 003C 0000")
        assert await client.receive(4) == "20 02 00 02"
        assert await client.rest() == ""


async def test_a_connect_that_comes_in_pieces(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        for byte in bytes.fromhex(CLEAN):
            await client.send(f"{byte:02x}")
        assert await client.receive(4) == "20 02 00 00"
