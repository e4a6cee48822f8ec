"""A gateway in this process, over the session's log, with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from allthings.gateway.listeners import Listener
from allthings.gateway.run import run_gateway
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.things.times import now_ns
from tests.gateway.station import Clock, Station

Gateway = Callable[..., AbstractAsyncContextManager[int]]
_numbers = itertools.count()


@pytest.fixture
def gateway(log: Log) -> Gateway:
    """`async with gateway() as port`: MQTT on that port of loopback."""

    @contextlib.asynccontextmanager
    async def start(
        registry: Registry | None = None,
        own_log: Log | None = None,
        disk: Path | None = None,
        reserve: int = 0,
        dress: Callable[[socket.socket], Listener] = Listener,
        further: Sequence[Listener] = (),
        open_mode: bool = False,
    ) -> AsyncIterator[int]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.setblocking(False)
        ready, stop = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(
            run_gateway(
                own_log or log,
                registry,
                [dress(listener), *further],
                open_mode=open_mode,
                family=f"test{next(_numbers)}",
                now_ns=now_ns,
                disk=disk,
                disk_reserve_bytes=reserve,
                ready=ready.set,
                stop=stop,
            )
        )
        await asyncio.wait_for(ready.wait(), 30)
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            await asyncio.wait_for(running, 30)
            listener.close()

    return start


@pytest.fixture
async def station(log: Log) -> AsyncIterator[Station]:
    """A gateway without sockets, of its own on the session's log (retained messages are shared by all on it)."""
    started = await Station(log, f"station{next(_numbers)}", Clock()).start(fresh=True)
    yield started
    await started.crash()


class Wire:
    """A client of bytes: for what no well-behaved client would send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, text: str) -> None:
        self._writer.write(bytes.fromhex(text))
        await self._writer.drain()

    async def receive(self, count: int) -> str:
        return (await asyncio.wait_for(self._reader.readexactly(count), 30)).hex(" ")

    async def rest(self) -> str:
        """Everything until the server closes."""
        with contextlib.suppress(ConnectionError):
            return (await asyncio.wait_for(self._reader.read(), 30)).hex(" ")
        return ""

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Wire(reader, writer)
    try:
        yield client
    finally:
        client.close()
