"""A log's server that answers and takes no appends is replaced, or what is wrong is said.

A stream whose subjects were taken from it stands for one that has failed: it takes no appends either, and needs no
disk that fails (tests.soak.faults has those).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import nats
import pytest
from nats.js.api import StreamConfig

from allthings.log import settings
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.runtime import natsserver
from allthings.runtime.child import Child, ChildSpec
from allthings.runtime.logstorage import LogStorage
from allthings.runtime.logwatch import LogWatch
from allthings.runtime.sockets import free_port

TAKES_NOTHING = "the log does not take appends (blocks: nats: no response from stream)"


class Scene(NamedTuple):
    url: str
    server: Child
    storage: LogStorage
    log: Log
    said: list[str]

    @contextlib.asynccontextmanager
    async def watched(self, *, ours: bool = True) -> AsyncIterator[None]:
        watch = LogWatch(
            self.url, self.said.append, lambda: False, self.server if ours else None, self.storage if ours else None
        )
        task = asyncio.create_task(watch.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def spoil(self) -> None:
        connection = await nats.connect(self.url)
        await connection.jetstream().update_stream(StreamConfig(name=settings.STREAM, subjects=["elsewhere"]))
        await connection.close()

    async def heal(self) -> None:
        connection = await nats.connect(self.url)
        await connection.jetstream().delete_stream(settings.STREAM)
        await connection.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    private = natsserver.PrivateNats(tmp_path, free_port(), 10**8)
    private.write()
    said: list[str] = []
    storage = LogStorage(tmp_path / "log", said.append)

    async def answers() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", private.port)
        except OSError:
            return False
        writer.close()
        return True

    command = [natsserver.program("").path, "-c", str(private.configuration), "-l", str(tmp_path / "log" / "nats.log")]
    server = Child(ChildSpec("log", command, probe=answers, before=storage.prepare), lambda: None, said.append)
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(30):
        await server.ready.wait()
    log = await Log.connect(private.url, keep_bytes=10**7)
    yield Scene(private.url, server, storage, log, said)
    await log.close()
    await server.stop()
    await running


async def test_a_server_of_ours_is_started_again_until_it_takes_appends(scene: Scene) -> None:
    async with scene.watched():
        await scene.spoil()
        # Nobody asks: who appends has trouble, and says so.
        with pytest.raises(LogUnavailableError):
            await scene.log.append(b"", "test")
        await until(lambda: scene.server.restarts >= 2)
        await until(lambda: scene.server.state == "running")
        await scene.heal()
        await until(lambda: scene.said[-1] == "the log takes appends again")
    assert scene.said == [
        f"{TAKES_NOTHING} though its server answers; the server is started again",
        "the log takes appends again",
    ]
    assert not (scene.storage._mark).exists()


async def test_a_disk_that_takes_no_writes_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    obstacles = ["No space left on device"]
    monkeypatch.setattr(scene.storage, "obstacle", lambda: obstacles[0])
    async with scene.watched():
        await scene.spoil()
        assert await scene.log.trouble() == TAKES_NOTHING
        await until(lambda: bool(scene.said))
        assert scene.said == [
            "the log's disk takes no writes (No space left on device); nothing is acknowledged until it does"
        ]
        assert scene.server.restarts == 0
        obstacles[0] = ""
        await until(lambda: scene.server.restarts > 0)


async def test_the_server_of_somebody_else_is_spoken_of(scene: Scene) -> None:
    async with scene.watched(ours=False):
        await scene.spoil()
        assert await scene.log.trouble() == TAKES_NOTHING
        await until(lambda: bool(scene.said))
        (said,) = scene.said
        assert said.startswith(f"{TAKES_NOTHING} though its server at nats://127.0.0.1:")
        assert "nothing is acknowledged. See to its disk, then start it again" in said
        token = scene.url.partition("//")[2].partition("@")[0]
        assert token not in said
        await scene.heal()
        await until(lambda: scene.said[-1] == "the log takes appends again")
    assert scene.server.restarts == 0
