"""Real components, started once a session, on loopback ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from allthings.log.stream import Log


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts the whole platform comes late, so that a broken part shows first; what opens an embedded history in
    this process comes last: each opening keeps some file descriptors, and paho's select() ends at number 1023."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    if "historian" in item.path.parts or "web" in item.path.parts:
        return 2
    return int(item.get_closest_marker("system") is not None or item.get_closest_marker("browser") is not None)


class NatsServer:
    """A private nats-server with JetStream that syncs always; can be killed and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        configuration = self._directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 34603008\n'
            f'jetstream {{ store_dir: "{self._directory}", sync_interval: always }}\n'
        )
        program = shutil.which("nats-server") or str(Path(sys.executable).parent / "nats-server")
        self._process = subprocess.Popen(
            [program, "-c", str(configuration), "-l", str(self._directory / "log")], env=dict(os.environ)
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


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
