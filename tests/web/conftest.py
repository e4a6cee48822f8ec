"""The web application over the real parts: SQLite, embedded ClickHouse, a nats-server, the twin and ingest running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from allthings.historian.history import History
from allthings.historian.ingest import Ingest
from allthings.log import block
from allthings.log.stream import Log
from allthings.readings.decoder import Decoder
from allthings.readings.feed import Feed
from allthings.readings.model import Model
from allthings.registry.registry import Registry
from allthings.registry.sealing import Sealing
from allthings.registry.users import User
from allthings.things.times import now_ns
from allthings.twin import run as twin_run
from allthings.twin.twin import Twin
from allthings.web.app import create_app
from allthings.web.services import PlatformStats, Role, Services
from allthings.web.settings import WebSettings

BASE = "http://127.0.0.1:8484"
PASSWORD = "a password for tests"


@dataclass
class Platform:
    """The parts with their consumers running, and applications over them."""

    services: Services
    registry: Registry
    history: History
    twin: Twin
    log: Log
    admin: User
    token: str

    async def publish(self, topic: str, payload: bytes, client: str = "test") -> int:
        """Append one message as a gateway does; its position."""
        return await self.publish_many([(topic, payload)], client)

    async def publish_many(self, messages: list[tuple[str, bytes]], client: str = "test") -> int:
        """Append messages in one block; the position of the last."""
        received = now_ns()
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array([received + row for row in range(len(messages))], block.MESSAGES.field("received").type),
                pa.array([topic for topic, _ in messages]),
                pa.array([payload for _, payload in messages], pa.binary()),
                pa.array([client] * len(messages)).dictionary_encode(),
                pa.array([1] * len(messages), pa.uint8()),
                pa.array([None] * len(messages), pa.binary()),
            ],
            schema=block.MESSAGES,
        )
        return block.position(await self.log.append_batch(batch, "test"), len(messages) - 1)

    async def caught_up(self, position: int | None = None) -> None:
        """Until twin and history have everything up to a position (None: up to the end of the log)."""
        last = (await self.log.status()).last if position is None else block.sequence(position)
        await until(lambda: self.twin.sequence >= last)

        async def historian() -> bool:
            return await self.log.position("historian") >= last

        await until(historian)


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = 20) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(within_s):
        while True:
            met = condition()
            if await met if isinstance(met, Awaitable) else met:
                return
            await asyncio.sleep(0.01)


@pytest.fixture(scope="package")
async def platform(log: Log, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """One platform for all tests of this folder: an embedded history can be opened once in a process."""
    folder: Path = tmp_path_factory.mktemp("web")
    registry = Registry(f"sqlite:///{folder}/registry.db", Sealing(folder / "secret.key"))
    registry.migrate()
    admin = registry.users.create("admin", PASSWORD, "admin")
    token = registry.tokens.create("api", "admin", "tests", now_ns()).secret
    history = History(f"chdb://{folder}/history")
    await asyncio.to_thread(history.open)
    twin = Twin(now_ns, history.deletions)
    decoder = Decoder(lambda: Model(registry.things.all_types()))
    start = (await log.status()).last
    twin.load(history.current(), start)
    await log.save_position("historian", start)
    stop = asyncio.Event()
    services = Services(
        registry=registry,
        history=history,
        twin=twin,
        log=log,
        decoder=decoder,
        settings=WebSettings(data_dir=folder, started_ns=now_ns()),
        stats=PlatformStats(connections=3, roles=[Role("gateway", "running")]),
    )
    feed = Feed(log, decoder)
    tasks = [
        asyncio.create_task(feed.run(start, stop)),
        asyncio.create_task(Ingest(log, feed, decoder, history).run(stop)),
        asyncio.create_task(twin_run.run(log, feed, twin, registry.things.observe, stop=stop, clock=now_ns)),
    ]
    yield Platform(services, registry, history, twin, log, admin, token)
    stop.set()
    await asyncio.gather(*tasks)
    services.pools.close()
    await decoder.close()
    await asyncio.to_thread(history.close)
    registry.close()


@pytest.fixture(scope="package")
def app(platform: Platform) -> Any:
    """The application with authentication."""
    return create_app(platform.services)


def client_of(app: Any, **more: Any) -> httpx.AsyncClient:
    """A client that talks to an application in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, **more)


@pytest.fixture
async def anyone(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Without credentials."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def http(app: Any, platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A program with an administrator's token."""
    async with client_of(app, headers={"Authorization": f"Bearer {platform.token}"}) as client:
        yield client


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is these problem details, and give them."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:allthings:problem:{kind}", body
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body
