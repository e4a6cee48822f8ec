"""What goes over the wire, byte by byte, where the standard prescribes it."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Gateway, wire

CONNECT_3 = "10 0d 00 04 4d 51 54 54 04 02 00 3c 00 01 61"
CONNECT_5 = "10 0e 00 04 4d 51 54 54 05 02 00 3c 00 00 01 61"
ACCEPTED_3 = "20 02 00 00"


async def test_connack_of_both_versions(gateway: Gateway) -> None:
    async with gateway() as port:
        async with wire(port) as client:
            await client.send(CONNECT_3)
            assert await client.receive(4) == ACCEPTED_3
        async with wire(port) as client:
            await client.send(CONNECT_5)
            head = await client.receive(5)
            assert head.startswith("20 ")
            assert head.split()[2:4] == ["00", "00"]


async def test_an_unknown_version_is_refused_in_a_form_it_can_read(gateway: Gateway) -> None:
    async with gateway() as port:
        async with wire(port) as client:
            await client.send("10 0f 00 06 4d 51 49 73 64 70 03 02 00 3c 00 01 61")
            assert await client.rest() == "20 02 00 01"
        async with wire(port) as client:
            await client.send("10 0e 00 04 4d 51 54 54 06 02 00 3c 00 00 01 61")
            assert (await client.rest()).split()[3] == "84"


@pytest.mark.parametrize(
    ("bytes_", "code"),
    [
        pytest.param("32 08 00 01 61 00 00 00 31 32", "82", id="packet identifier 0 (2.2.1)"),
        pytest.param("36 07 00 01 61 00 01 00 31", "81", id="QoS 3 (3.3.1-4)"),
        pytest.param("30 06 00 01 23 00 31 32", "90", id="wildcard in a topic name (3.3.2-2)"),
        pytest.param("30 06 00 02 c3 28 00 31", "81", id="ill-formed UTF-8 (1.5.4-1)"),
        pytest.param("30 08 00 01 61 03 23 00 41 31", "94", id="topic alias beyond the maximum (3.3.2-9)"),
        pytest.param("82 08 00 01 00 00 02 61 23 00", "8f", id="bad topic filter (4.7.1-1)"),
        pytest.param("30 ff ff ff ff 01", "81", id="remaining length of five bytes (1.5.5)"),
        pytest.param("30 ff ff ff 7f", "95", id="packet too large (3.2.2.3.6)"),
        pytest.param(CONNECT_5, "82", id="a second CONNECT (3.1.0-2)"),
        pytest.param("20 03 00 00 00", "82", id="CONNACK from a client"),
    ],
)
async def test_what_the_standard_forbids_is_answered_with_its_code_and_a_close(
    gateway: Gateway, bytes_: str, code: str
) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send(CONNECT_5)
        length = int((await client.receive(2)).split()[1], 16)
        await client.receive(length)
        await client.send(bytes_)
        answer = (await client.rest()).split()
        assert answer[0] == "e0"
        assert answer[2] == code


async def test_the_first_packet_must_be_connect(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send("c0 00")
        assert await client.rest() == ""


async def test_packets_may_come_in_single_bytes_and_before_connack(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        for byte in (CONNECT_3 + " 32 07 00 01 61 00 01 31 32 c0 00").split():
            await client.send(byte)
        assert await client.receive(4) == ACCEPTED_3
        # PINGRESP may overtake the PUBACK, which waits for the disk.
        assert sorted((await client.receive(6)).split()) == sorted(["40", "02", "00", "01", "d0", "00"])


async def test_a_run_of_publishes_is_acknowledged_in_order(gateway: Gateway) -> None:
    async with gateway() as port, wire(port) as client:
        await client.send(CONNECT_3)
        await client.receive(4)
        await client.send(" ".join(f"32 06 00 01 61 00 {n:02x} 31" for n in range(1, 100)))
        acknowledged = (await client.receive(4 * 99)).split()
        assert acknowledged == " ".join(f"40 02 00 {n:02x}" for n in range(1, 100)).split()
