"""Real components, started once a session, on loopback ports of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from allthings.log.stream import Log
from tests.servers import NatsServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts the whole platform comes late, so that a broken part shows first; what opens an embedded history in
    this process comes last: each opening keeps some file descriptors, and paho's select() ends at number 1023."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if "historian" in item.path.parts or "web" in item.path.parts:
        return 2
    return int(item.get_closest_marker("system") is not None or item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The session's nats-server. Tests that kill it take one of their own."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server for one test, which may kill it."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
async def log(nats_server: NatsServer) -> AsyncIterator[Log]:
    """A connection to the session's log. Its stream is shared: look only behind your own appends."""
    opened = await Log.connect(nats_server.url)
    yield opened
    await opened.close()
