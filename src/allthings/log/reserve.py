"""The part of the disk that is kept free: below it nothing is appended (decision 5).

A log that runs into a full disk stops, and so do the history and the registry beside it. Room is both space and files
that can still be made: a file system has a number of inodes, and without one of them the log cannot begin its next
block. File systems that make inodes as they need them tell none.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final, NamedTuple

from allthings.log.errors import NoRoomError

_BYTES_PER_MB: Final = 1_000_000
#: For each MB of reserve so many files are kept free. A part of the history is about twenty.
FILES_PER_MB: Final = 4
#: Who waited goes on when there is so much more than the reserve.
_AGAIN: Final = 1.1
_LOOK_EVERY_S: Final = 1.0


class Room(NamedTuple):
    """What is free for us: bytes, and files that can be made (None: as many as fit)."""

    free_bytes: int
    free_files: int | None


def room(path: Path) -> Room:
    """Of the file system of a path."""
    found = os.statvfs(path)
    return Room(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


class Reserve:
    """`reserve_mb` MB (10^6 bytes), and files in proportion, of the file system of `folder`."""

    def __init__(self, folder: Path, reserve_mb: float) -> None:
        self._folder = folder
        self._reserve_mb = reserve_mb
        self._missed = False

    def part(self, share: float) -> Reserve:
        """A share of it."""
        return Reserve(self._folder, self._reserve_mb * share)

    def shortage(self) -> str:
        """What there is too little of, in words; "" when there is room. May block for as long as the disk does."""
        found, least = room(self._folder), _AGAIN if self._missed else 1.0
        files, free_files = round(self._reserve_mb * FILES_PER_MB), found.free_files
        self._missed = True
        if found.free_bytes < self._reserve_mb * least * _BYTES_PER_MB:
            return _said(f"{found.free_bytes // _BYTES_PER_MB} MB are free", self._reserve_mb, "MB")
        if free_files is not None and free_files < files * least:
            return _said(f"{free_files} files can still be made", files, "files")
        self._missed = False
        return ""

    async def require(self) -> None:
        """Raises NoRoomError when there is too little."""
        if short := await asyncio.to_thread(self.shortage):
            raise NoRoomError(f"{short}. Free some space, or move the data")

    async def wait(self) -> None:
        """Wait until there is room."""
        while await asyncio.to_thread(self.shortage):  # noqa: ASYNC110 - a file system is asked
            await asyncio.sleep(_LOOK_EVERY_S)


def _said(found: str, reserve: float, unit: str) -> str:
    return (
        f"the disk is nearly full: {found}, and {reserve:.0f} {unit} are kept in reserve (disk_reserve_mb); with "
        f"{reserve * _AGAIN:.0f} {unit} it goes on"
    )
