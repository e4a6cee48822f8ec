"""When `allthings repair` refuses, and what it finds in a log that it can and cannot open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from allthings.log.stream import Log
from allthings.runtime import datadir, logmark
from allthings.runtime.errors import StartError
from allthings.runtime.repair import Findings, repair
from allthings.runtime.settings import Settings, load
from tests.log.test_block import messages
from tests.servers import NatsServer


def settings(data: Path, **more: str) -> Settings:
    return load({"data": str(data), "disk_reserve_mb": 16, **more})


def silent(_: str) -> None: ...


def yes(_: Findings) -> bool:
    return True


async def test_it_never_runs_beside_the_platform(tmp_path: Path) -> None:
    lock = datadir.claim(tmp_path, 16)
    try:
        with pytest.raises(StartError, match="another allthings"):
            await repair(settings(tmp_path), silent, yes)
    finally:
        os.close(lock)


async def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no data directory"):
        await repair(settings(tmp_path / "nowhere"), silent, yes)
    assert not (tmp_path / "nowhere").exists()


async def test_an_empty_log_of_somebody_else_goes_on_behind_the_mark(
    tmp_path: Path, own_nats_server: NatsServer
) -> None:
    """With `nats` there is nothing to put aside here."""
    data = tmp_path / "data"
    data.mkdir()
    logmark.write(data, 41)
    repaired = await repair(settings(data, nats=own_nats_server.url), silent, yes)
    assert repaired.done
    assert not repaired.aside
    assert (repaired.findings.log_last, repaired.findings.goes_on_behind) == (0, 41)
    assert repaired.findings.history_trouble == "there is none"
    log = await Log.connect(own_nats_server.url)
    assert await log.append_batch(messages(["t"], [b"x"]), "gateway") == 42
    await log.close()


async def test_nothing_is_done_that_was_not_agreed_to(tmp_path: Path) -> None:
    logmark.write(tmp_path, 41)
    asked: list[Findings] = []
    repaired = await repair(settings(tmp_path), silent, lambda findings: asked.append(findings) is not None)
    assert [(each.log_last, each.goes_on_behind) for each in asked] == [(0, 41)]
    assert not repaired.done
    assert (await repair(settings(tmp_path), silent, lambda _: False)).findings.needed
