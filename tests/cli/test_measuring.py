"""The publisher of `allthings bench`, read by a broker of a few lines."""

from __future__ import annotations

import asyncio

import pytest

from allthings.cli.measuring import Publisher, connect_packet, publish_packet


def test_packets_as_the_standard_has_them() -> None:
    assert connect_packet("a", keep_alive_s=10) == b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a"
    assert connect_packet("a", "u", "p", 10) == b"\x10\x13\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01a\x00\x01u\x00\x01p"
    assert publish_packet("a/b", 10, b"x") == b"\x32\x08\x00\x03a/b\x00\x0ax"


def test_the_length_of_a_long_packet_takes_two_bytes() -> None:
    packet = publish_packet("a", 1, bytes(200))
    assert packet[1:3] == bytes([0x80 | (205 % 128), 1])
    assert len(packet) == 3 + 205


async def serve(window: list[int], code: int = 0) -> asyncio.Server:
    """A broker that acknowledges in pieces, and notes how many messages were ever unacknowledged at once."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(2)
        await reader.readexactly(first[1])
        writer.write(bytes([0x20, 2, 0, code]))
        waiting: list[bytes] = []
        try:
            while True:
                head = await reader.readexactly(2)
                body = await reader.readexactly(head[1])
                topic_length = int.from_bytes(body[:2], "big")
                waiting.append(body[2 + topic_length : 4 + topic_length])
                if len(waiting) == window[0]:
                    # An acknowledgement may arrive cut anywhere.
                    data = b"".join(b"\x40\x02" + packet_id for packet_id in waiting)
                    waiting.clear()
                    writer.write(data[:5])
                    await writer.drain()
                    writer.write(data[5:])
        except asyncio.IncompleteReadError:
            writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", 0)


async def test_it_keeps_the_window_full_and_ends_with_everything_acknowledged() -> None:
    loop = asyncio.get_running_loop()
    server = await serve([10])
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, publisher = await loop.create_connection(lambda: Publisher("x", "t", 10, "", ""), "127.0.0.1", port)
        await publisher.connected
        publisher.start()
        while publisher.acknowledged < 5_000:
            await asyncio.sleep(0)
        publisher.stop()
        await asyncio.wait_for(publisher.finished, 5)
        assert publisher.sent == publisher.acknowledged
        assert publisher.latencies_s
        publisher.close()


async def test_a_refusal_is_told() -> None:
    loop = asyncio.get_running_loop()
    server = await serve([1], code=5)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, publisher = await loop.create_connection(lambda: Publisher("x", "t", 1, "u", "p"), "127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError, match="code 5"):
            await publisher.connected
        publisher.close()
