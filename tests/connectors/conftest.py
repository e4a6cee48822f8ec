"""Installations of allthings in this process (log, gateway, registry, bridges), and real mosquittos beside them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from allthings.connectors.bridges import Bridges
from allthings.connectors.state import BridgeState
from allthings.log import block
from allthings.log.stream import Log
from allthings.registry.bridges import BridgeSettings
from allthings.registry.registry import Registry
from allthings.registry.sealing import Sealing
from allthings.runtime.sockets import free_port
from allthings.things.times import now_ns
from tests.servers import WITHIN_S, Mosquitto, NatsServer, serving

_numbers = itertools.count()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    directory = tmp_path / "mosquitto"
    directory.mkdir()
    broker = Mosquitto(directory)
    broker.start()
    yield broker
    broker.kill()


class Installation:
    """One allthings: `port` is its gateway's."""

    def __init__(self, log: Log, registry: Registry, port: int, bridges: Bridges) -> None:
        self.log = log
        self.registry = registry
        self.port = port
        self.bridges = bridges

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def bridge(self, name: str, wanted: BridgeSettings) -> None:
        """Make a bridge and wait until it is connected."""
        await asyncio.to_thread(self.registry.bridges.create, name, wanted, now_ns())
        await self.reaches(name, lambda state: state.phase == "connected")

    async def reaches(self, name: str, holds: Callable[[BridgeState], bool]) -> BridgeState:
        """Wait until a bridge's state is so."""
        async with asyncio.timeout(WITHIN_S):
            while not holds(state := self.bridges.state(name)):
                await asyncio.sleep(0.02)
        return state

    async def logged(self, topic: str) -> list[tuple[bytes, str, int]]:
        """Payload, client and flags of all messages of a topic in the log."""
        found: list[tuple[bytes, str, int]] = []
        last = (await self.log.status()).last
        if not last:
            return found
        async for entries in self.log.read(0):
            for entry in entries:
                if not block.is_readings(entry.batch):
                    rows = entry.batch.select(["topic", "payload", "client", "flags"]).to_pylist()
                    found += [(r["payload"], r["client"], r["flags"]) for r in rows if r["topic"] == topic]
            if entries[-1].sequence >= last:
                break
        return found


Start = Callable[..., contextlib.AbstractAsyncContextManager[Installation]]


@pytest.fixture
def installation(tmp_path: Path) -> Start:
    """`async with installation() as one`; with `folder` one that was there before comes back, on the same `port`."""

    @contextlib.asynccontextmanager
    async def start(folder: str = "", port: int = 0) -> AsyncIterator[Installation]:
        directory = tmp_path / (folder or f"installation-{next(_numbers)}")
        directory.mkdir(exist_ok=True)
        async with contextlib.AsyncExitStack() as stack:
            server = NatsServer(directory)
            stack.callback(server.kill)
            server.start()
            registry = Registry(f"sqlite:///{directory}/registry.db", Sealing(Path(directory) / "secret.key"))
            stack.callback(registry.close)
            await asyncio.to_thread(registry.migrate)
            log = await Log.connect(server.url)
            stack.push_async_callback(log.close)
            bridges = Bridges(registry.bridges, log, now_ns)
            stop = asyncio.Event()
            running = asyncio.create_task(bridges.run(stop))
            stack.push_async_callback(asyncio.wait_for, running, WITHIN_S)
            stack.callback(stop.set)
            port = await stack.enter_async_context(serving(log, port=port))
            yield Installation(log, registry, port, bridges)

    return start


class Gate:
    """A way to a port that can be shut, as networks do."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self._to = to
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers |= {writer, other_writer}
            await asyncio.gather(self._pump(reader, other_writer), self._pump(other_reader, writer))
        writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


@contextlib.asynccontextmanager
async def client(port: int, **more: Any) -> AsyncIterator[aiomqtt.Client]:
    """A client of MQTT 5."""
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, timeout=WITHIN_S, **more) as made:
        yield made


async def heard(listening: aiomqtt.Client, count: int) -> list[aiomqtt.Message]:
    """The next messages of a client."""
    found: list[aiomqtt.Message] = []
    async with asyncio.timeout(WITHIN_S):
        async for message in listening.messages:
            found.append(message)
            if len(found) == count:
                break
    return found
