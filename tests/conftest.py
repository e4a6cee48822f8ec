"""Real components, started once a session, on loopback ports of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from allthings.log.stream import Log
from tests.servers import NatsServer

#: With two workers one takes all of these, one after the other, and the other one the rest, file by file.
_PLATFORM = "platform"


@pytest.hookimpl(tryfirst=True)  # before the workers read the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts the whole platform takes longest, so it begins at once. What opens an embedded history in this
    process comes behind it: each opening keeps some file descriptors, and paho's select() ends at number 1023."""
    items.sort(key=_place)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path) if _place(item) == 2 else _PLATFORM))


def _place(item: pytest.Item) -> int:
    if item.get_closest_marker("system") or item.get_closest_marker("browser"):
        return 0
    return 1 if "historian" in item.path.parts or "web" in item.path.parts else 2


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
