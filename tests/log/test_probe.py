"""What is found out about a log that does not take appends, over a real server on a small disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.log.probe import Suspicion
from allthings.log.pulse import Pulse
from allthings.log.stream import Log
from tests.disks import SmallDisk, small_disk
from tests.servers import NatsServer

KEEP_BYTES = 10_000_000


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk") / "small", 40) as disk:
        yield disk


class Scene(NamedTuple):
    disk: SmallDisk
    server: NatsServer
    log: Log
    suspicion: Suspicion


@pytest.fixture
async def scene(disk: SmallDisk, tmp_path: Path) -> AsyncIterator[Scene]:
    folder = disk.folder / tmp_path.name
    folder.mkdir()
    server = NatsServer(folder)
    server.start()
    log = await Log.connect(server.url, keep_bytes=KEEP_BYTES)
    suspicion = await Suspicion.open(server.url)
    try:
        yield Scene(disk, server, log, suspicion)
    finally:
        await suspicion.close()
        await log.close()
        server.kill()
        disk.free()


async def break_stream(scene: Scene) -> asyncio.Task[int]:
    """Let one append meet a full disk; the append that goes on trying."""
    scene.disk.fill()
    appending = asyncio.create_task(scene.log.append_surely(os.urandom(1 << 20), "test", on_trouble=lambda _: None))
    async with asyncio.timeout(20):
        assert await scene.suspicion.raised(20)
    scene.disk.free()
    return appending


async def test_a_log_that_works_is_said_to_and_readers_see_nothing_of_it(scene: Scene) -> None:
    table = await scene.log.table("things")
    await table.put("one", b"1")
    await scene.log.save_position("reader", 7)
    assert await scene.log.trouble() == ""
    assert (await scene.suspicion.look()).detail == ""
    assert [row async for row in table.rows()] == [("one", b"1")]
    status = await scene.log.status()
    assert status.positions == {"reader": 7}
    entry = await scene.log.get(status.last)
    assert entry is not None
    assert entry.batch.schema.equals(block.MESSAGES, check_metadata=True)
    assert (entry.batch.num_rows, entry.source) == (0, "probe")
    stop = asyncio.Event()
    async for entries in scene.log.read(status.last - 1, stop=stop):
        assert [(entry.batch.num_rows, entry.retained) for entry in entries] == [(0, False)]
        stop.set()


async def test_a_stream_that_met_a_full_disk_fails_until_its_server_is_started_again(scene: Scene) -> None:
    loop = asyncio.get_running_loop()
    appending = await break_stream(scene)
    # The disk is free again, and the server does everything else.
    verdict = await scene.suspicion.look()
    assert (verdict.answers, list(verdict.failing), verdict.full) == (True, ["allthings"], False)
    assert "does not take appends (blocks: " in await scene.log.trouble()
    await scene.log.save_position("reader", 1)
    assert not appending.done()
    scene.server.kill()
    await loop.run_in_executor(None, scene.server.start)
    # What was under way is tried again when the connection is there again, not when its time is over.
    async with asyncio.timeout(3):
        sequence = await appending
    entry = await scene.log.get(sequence)
    assert entry is not None
    assert entry.size == 1 << 20
    assert await scene.log.trouble() == ""


async def test_a_log_at_its_limit_is_full_and_not_broken(scene: Scene) -> None:
    with contextlib.suppress(LogUnavailableError):
        while True:
            await scene.log.append(os.urandom(1 << 20), "test")
    with contextlib.suppress(LogUnavailableError):
        while True:
            await scene.log.append(b"", "test")
    verdict = await scene.suspicion.look()
    assert (verdict.answers, verdict.full) == (True, True), verdict
    assert "maximum bytes exceeded" in verdict.detail


async def test_a_server_that_is_gone_does_not_answer(scene: Scene) -> None:
    scene.server.kill()
    assert not (await scene.suspicion.look()).answers
    assert await scene.log.trouble() == "the log's server does not answer"


async def test_many_who_ask_share_attempts_that_began_after_they_asked() -> None:
    begun: list[float] = []
    time = asyncio.get_running_loop().time

    async def attempt() -> str:
        begun.append(time())
        await asyncio.sleep(0)
        return str(len(begun))

    pulse = Pulse(attempt, every_s=0.05)
    asked = time()
    assert await asyncio.gather(*(pulse.trouble() for _ in range(50))) == ["1"] * 50
    assert await asyncio.gather(*(pulse.trouble() for _ in range(50))) == ["2"] * 50
    assert begun[1] - begun[0] >= 0.05
    assert await pulse.trouble(age_s_max=time() - asked) == "2", "one that is not too old is good enough"
    assert len(begun) == 2
