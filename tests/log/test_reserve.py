"""How much of the disk is kept free, in space and in files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from allthings.log.errors import NoRoomError
from allthings.log.reserve import Reserve, room
from tests.disks import small_disk


async def test_space_below_the_reserve_is_a_shortage_until_there_is_clearly_more(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        reserve = Reserve(disk.folder, 20)
        assert reserve.shortage() == ""
        await reserve.require()
        disk.fill(leave_bytes=19_500_000)
        assert reserve.shortage().startswith("the disk is nearly full: 19 MB are free, and 20 MB are kept in reserve")
        with pytest.raises(NoRoomError, match="Free some space") as refused:
            await reserve.require()
        assert refused.value.status == 507
        waiting = asyncio.create_task(reserve.wait())
        disk.free()
        disk.fill(leave_bytes=21_500_000)
        assert "21 MB are free, and 20 MB are kept" in reserve.shortage()
        assert Reserve(disk.folder, 20).shortage() == ""
        assert not waiting.done()
        disk.free()
        async with asyncio.timeout(10):
            await waiting
        assert reserve.shortage() == ""


def test_files_that_can_be_made_count_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 40, inodes=200) as disk:
        assert Reserve(disk.folder, 16).shortage() == ""
        disk.take_inodes()
        assert Reserve(disk.folder, 16).shortage() == (
            "the disk is nearly full: 0 files can still be made, and 64 files are kept in reserve (disk_reserve_mb); "
            "with 70 files it goes on"
        )


def test_a_file_system_that_tells_no_files_has_as_many_as_fit() -> None:
    assert room(Path("/proc")).free_files is None
