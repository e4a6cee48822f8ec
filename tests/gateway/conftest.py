"""A gateway in this process, over the session's log, with real clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from allthings.gateway.ring import Ring
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.runtime.authority import Authority
from tests.gateway.authorities import made
from tests.gateway.station import Clock, Station
from tests.servers import serving

Serving = AbstractAsyncContextManager[int]
Gateway = Callable[..., Serving]
_numbers = itertools.count()


@pytest.fixture
def gateway(log: Log) -> Gateway:
    """`async with gateway() as port`: MQTT on that port of loopback."""

    def start(registry: Registry | None = None, own_log: Log | None = None, **options: Any) -> Serving:
        return serving(own_log or log, registry, family=f"test{next(_numbers)}", **options)

    return start


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with a server certificate and a device's. Tests that change it make their own."""
    authority = made(tmp_path_factory.mktemp("certs"))
    authority.issue("pump-7")
    return authority


@pytest.fixture
async def station(log: Log) -> AsyncIterator[Station]:
    """A gateway without sockets, of its own on the session's log (retained messages are shared by all on it)."""
    started = await Station(log, f"station{next(_numbers)}", Clock()).start(fresh=True)
    yield started
    await started.crash()


def opened_ring(entries: int) -> Ring:
    """Many sockets at once; the test is skipped where the machine forbids them."""
    ring = Ring.open(entries)
    if ring is None:
        pytest.skip("this machine allows no io_uring")
    return ring


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
