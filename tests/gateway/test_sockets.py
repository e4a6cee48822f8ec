"""Plain sockets behave as asyncio's transports do."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from allthings.gateway.sockets import HIGH_WATER_BYTES, Poller, SocketTransport


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b""
        self.events: list[str] = []
        self.changed = asyncio.Event()

    def _note(self, event: str) -> None:
        self.events.append(event)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._note("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self._note("lost")

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Recorder, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server side on a Poller, and its client."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    poller = Poller(asyncio.get_running_loop())
    recorder = Recorder()
    poller.listen(listener, lambda: recorder)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    await recorder.until(lambda: recorder.events)
    yield recorder, reader, writer
    writer.close()
    poller.stop_listening(listener)
    poller.close()
    listener.close()
    await asyncio.sleep(0)


Pair = tuple[Recorder, asyncio.StreamReader, asyncio.StreamWriter]


async def test_bytes_go_both_ways_and_the_end_is_told_once(pair: Pair) -> None:
    recorder, reader, writer = pair
    writer.write(b"x" * 700_000)
    await recorder.until(lambda: len(recorder.data) == 700_000)
    recorder.transport.write(b"answer")
    assert await reader.readexactly(6) == b"answer"
    writer.close()
    await recorder.until(lambda: "lost" in recorder.events)
    recorder.transport.write(b"into the void")
    recorder.transport.close()
    recorder.transport.abort()
    await asyncio.sleep(0)
    assert recorder.events == ["made", "lost"]


async def test_a_reader_that_does_not_read_is_told_to_the_protocol_and_gets_everything(pair: Pair) -> None:
    recorder, reader, _ = pair
    whole = bytes(range(256)) * 60_000
    for start in range(0, len(whole), 100_000):
        recorder.transport.write(whole[start : start + 100_000])
    assert recorder.events == ["made", "pause"]
    assert recorder.transport.get_write_buffer_size() > HIGH_WATER_BYTES
    recorder.transport.close()
    assert await reader.read(-1) == whole
    await recorder.until(lambda: "lost" in recorder.events)


async def test_paused_reading_leaves_bytes_in_the_socket(pair: Pair) -> None:
    recorder, _, writer = pair
    transport: SocketTransport = recorder.transport
    transport.pause_reading()
    writer.write(b"later")
    await writer.drain()
    await asyncio.sleep(0.1)
    assert recorder.data == b""
    transport.resume_reading()
    await recorder.until(lambda: recorder.data == b"later")


async def test_a_reset_connection_is_lost(pair: Pair) -> None:
    recorder, _, writer = pair
    writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
    await recorder.until(lambda: "lost" in recorder.events)
    assert recorder.transport.is_closing()


async def test_what_a_connection_had_is_free_as_it_ends() -> None:
    """Without the garbage collector, which would do it when the next ones come."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    poller = Poller(asyncio.get_running_loop())
    made: list[weakref.ref[Recorder]] = []

    def recorder() -> Recorder:
        one = Recorder()
        made.append(weakref.ref(one))
        return one

    gc.disable()
    try:
        poller.listen(listener, recorder)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(20):
            while not made:
                await asyncio.sleep(0.01)
            assert made[0]() is not None
            writer.close()
            while made[0]() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
        poller.stop_listening(listener)
        poller.close()
        listener.close()
