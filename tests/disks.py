"""Small file systems that tests fill, and take away the room of."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_BLOCK = 4096


class SmallDisk:
    """A file system in memory, at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._files = folder / "files"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all space but so much."""
        with self._ballast.open("ab") as ballast:
            while (more := self._free() - leave_bytes) >= _BLOCK:
                # Somebody else may be faster, or have made room.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, more // _BLOCK * _BLOCK)

    def take_inodes(self) -> None:
        """Take all inodes."""
        self._files.mkdir(exist_ok=True)
        number = len(os.listdir(self._files))
        with contextlib.suppress(OSError):
            while True:
                (self._files / str(number)).touch()
                number += 1

    def free(self) -> None:
        """Give back all that was taken."""
        self._ballast.unlink(missing_ok=True)
        if self._files.exists():
            for file in self._files.iterdir():
                file.unlink()

    def _free(self) -> int:
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: int, inodes: int = 0) -> Iterator[SmallDisk]:
    """A file system of so many MB mounted at `folder`. Skips the test where this is not allowed."""
    folder.mkdir(exist_ok=True)
    options = f"size={size_mb}m" + (f",nr_inodes={inodes}" if inodes else "")
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True
        )
    except OSError as error:
        pytest.skip(f"a small file system cannot be mounted: {error}")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip() or done.returncode}")
    try:
        yield SmallDisk(folder)
    finally:
        for _ in range(50):
            if not subprocess.run(["umount", str(folder)], capture_output=True).returncode:
                break
            time.sleep(0.1)  # a process that was killed is not gone yet
        else:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
