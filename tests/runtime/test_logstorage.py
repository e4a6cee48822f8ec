"""The log's place on disk: whether it takes writes, and that what a server finds there is synced."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from allthings.runtime import logstorage
from allthings.runtime.logstorage import LogStorage
from tests.disks import small_disk


def test_a_disk_without_space_or_inodes_is_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4, inodes=20) as disk:
        storage = LogStorage(disk.folder, lambda _: None)
        assert storage.obstacle() == ""
        assert os.listdir(disk.folder) == []
        disk.fill(leave_bytes=64 * 1024)
        assert "No space left" in storage.obstacle()
        disk.free()
        assert storage.obstacle() == ""
        disk.take_inodes()
        assert "No space left" in storage.obstacle()
        disk.free()
        assert storage.obstacle() == ""


def test_a_disk_that_is_slow_is_no_good_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logstorage, "_TRIAL_S_MAX", -1.0)
    assert "a small write took" in LogStorage(tmp_path, lambda _: None).obstacle()


class Synced:
    """Which files are synced and which are written to, in place of the disk's answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[str] = []
        self.written: list[str] = []
        self.failing = 0
        fsync, pwrite = os.fsync, os.pwrite

        def name(descriptor: int) -> str:
            return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name

        def note_fsync(descriptor: int) -> None:
            if self.failing:
                self.failing -= 1
                raise OSError(5, "Input/output error")
            fsync(descriptor)
            self.synced.append(name(descriptor))

        def note_pwrite(descriptor: int, data: bytes, offset: int) -> int:
            self.written.append(name(descriptor))
            return pwrite(descriptor, data, offset)

        monkeypatch.setattr(os, "fsync", note_fsync)
        monkeypatch.setattr(os, "pwrite", note_pwrite)


def streams(folder: Path) -> Path:
    """A log of one stream with four blocks."""
    messages = folder / "jetstream" / "$G" / "streams" / "allthings" / "msgs"
    messages.mkdir(parents=True)
    for number in (1, 2, 9, 10):
        (messages / f"{number}.blk").write_bytes(os.urandom(1_500_000) if number == 10 else b"block")
    (messages / "index.db").write_bytes(b"index")
    return messages


async def test_the_newest_blocks_are_synced_before_a_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams(tmp_path)
    noted = Synced(monkeypatch)
    await LogStorage(tmp_path, lambda _: None).prepare()
    assert noted.synced == ["9.blk", "10.blk", "msgs"]
    assert noted.written == []


async def test_what_may_not_have_been_synced_is_written_again_once_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = streams(tmp_path)
    before = (messages / "10.blk").read_bytes()
    said: list[str] = []
    LogStorage(tmp_path, said.append).suspect()
    # The supervisor that suspected it may have been killed.
    storage = LogStorage(tmp_path, said.append)
    noted = Synced(monkeypatch)
    noted.failing = 2
    async with asyncio.timeout(10):
        await storage.prepare()
    assert said == [f"the log waits for its disk: {tmp_path}: Input/output error"]
    assert noted.written == ["9.blk", "9.blk", "9.blk", "10.blk", "10.blk"]
    assert noted.synced == ["9.blk", "10.blk", "msgs"]
    assert (messages / "10.blk").read_bytes() == before
    noted.written.clear()
    await storage.prepare()
    assert noted.written == []
