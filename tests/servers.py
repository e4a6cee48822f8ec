"""Programs and gateways that tests talk to, on free ports of loopback; they can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from allthings.gateway.listeners import Listener
from allthings.gateway.run import run_gateway
from allthings.log.stream import Log
from allthings.registry.registry import Registry
from allthings.runtime import natsserver
from allthings.runtime.sockets import free_port
from allthings.things.times import now_ns

WITHIN_S: Final = 30
_POLL_S: Final = 0.02


class Server:
    """A program that listens on a port; `start` returns when it takes connections."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.port = port
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(_POLL_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


class NatsServer(Server):
    """A private nats-server with JetStream that syncs always."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_payload: 34603008\n'
            f'jetstream {{ store_dir: "{directory}", sync_interval: always }}\n'
        )
        super().__init__([natsserver.program("").path, "-c", str(configuration), "-l", str(directory / "log")], port)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"


class Mosquitto(Server):
    """A mosquitto that keeps its sessions on disk with each change."""

    def __init__(self, directory: Path, further: str = "") -> None:
        port = free_port()
        configuration = directory / "mosquitto.conf"
        configuration.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type error\nuser root\n"
            f"persistence true\npersistence_location {directory}/\nautosave_interval 1\nautosave_on_changes true\n"
            f"max_queued_messages 0\nmax_inflight_messages 0\n{further}"
        )
        super().__init__([mosquitto_program(), "-c", str(configuration)], port)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


def mosquitto_program() -> str:
    """Debian keeps it where only an administrator's PATH leads."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed (Debian: apt install mosquitto)")
    return found


@contextlib.asynccontextmanager
async def serving(
    log: Log,
    registry: Registry | None = None,
    *,
    port: int = 0,
    dress: Callable[[socket.socket], Listener] = Listener,
    further: Sequence[Listener] = (),
    **options: Any,
) -> AsyncIterator[int]:
    """A gateway in this process; its port. `dress` makes the listener of its socket, `options` are those of
    `run_gateway`."""
    with socket.create_server(("127.0.0.1", port), backlog=100) as listener:
        listener.setblocking(False)
        ready, stop = asyncio.Event(), asyncio.Event()
        given: dict[str, Any] = {"now_ns": now_ns, "reserve": None, **options}
        running = asyncio.create_task(
            run_gateway(log, registry, [dress(listener), *further], ready=ready.set, stop=stop, **given)
        )
        async with asyncio.timeout(WITHIN_S):
            await ready.wait()
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            async with asyncio.timeout(WITHIN_S):
                await running
