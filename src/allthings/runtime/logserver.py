"""The log for as long as a command needs it, while the platform does not run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.runtime import logopening, natsserver, sockets
from allthings.runtime.settings import Settings

#: A server that has not answered within this, and so much more for each GB, cannot open what it found.
_WITHIN_S: Final = 60.0
_WITHIN_S_PER_GB: Final = 30.0
_STOP_WITHIN_S: Final = 30.0


class LogUnopenedError(LogUnavailableError):
    """The private server cannot open what is on disk; `streams` are those that it did not get through."""

    def __init__(self, detail: str, streams: list[str]) -> None:
        super().__init__(detail)
        self.streams = streams


def store(settings: Settings) -> Path:
    """Where the private server keeps the log."""
    return settings.data / "log" / "jetstream"


def stored_bytes(settings: Settings) -> int:
    """How much it keeps there."""
    return sum(path.stat().st_size for path in store(settings).rglob("*") if path.is_file())


@contextlib.asynccontextmanager
async def opened(settings: Settings, lock: int) -> AsyncIterator[Log]:
    """The log, with a private server that ends with it and holds the data directory's `lock`.

    Raises LogUnopenedError, LogUnavailableError, StartError.
    """
    keep_bytes = int(settings.log_keep_gb * 1024**3)
    if settings.nats:
        async with _connected(
            await Log.connect(settings.nats, replicas=settings.nats_replicas, keep_bytes=keep_bytes)
        ) as log:
            yield log
        return
    server = natsserver.PrivateNats(settings.data, sockets.free_port(), keep_bytes)
    server.write()
    messages = settings.data / "log" / "nats.log"
    process = await asyncio.create_subprocess_exec(
        *(natsserver.program(settings.nats_server).path, "-c", str(server.configuration), "-l", str(messages)),
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **natsserver.ENVIRONMENT},
        pass_fds=(lock,),
    )
    try:
        within_s = _WITHIN_S + _WITHIN_S_PER_GB * stored_bytes(settings) / 1e9
        async with _connected(await _answering(server.url, keep_bytes, process, messages, within_s)) as log:
            yield log
    finally:
        await _end(process)


@contextlib.asynccontextmanager
async def _connected(log: Log) -> AsyncIterator[Log]:
    try:
        yield log
    finally:
        await log.close()


async def _answering(
    url: str, keep_bytes: int, process: asyncio.subprocess.Process, messages: Path, within_s: float
) -> Log:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        try:
            return await Log.connect(url, keep_bytes=keep_bytes)
        except LogUnavailableError as error:
            why = error.detail
        if process.returncode is not None:
            why = f"its server ended with status {process.returncode}: see {messages}"
        elif logopening.takes_too_much(process.pid):
            why = "its server takes more and more memory to open it"
        elif loop.time() < deadline:
            await asyncio.sleep(0.1)
            continue
        raise LogUnopenedError(why, logopening.unopened(messages, process.pid))


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL if logopening.takes_too_much(process.pid) else signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
