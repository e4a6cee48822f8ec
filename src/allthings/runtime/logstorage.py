"""The private log's place on disk: whether it can be written to, and what its server needs before it starts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

#: What is written to see whether the disk takes it, and how long that may last on a disk that serves.
_TRIAL_BYTES: Final = 256 * 1024
_TRIAL_S_MAX: Final = 1.0
_AGAIN_S: Final = 0.5
_COPY_BYTES: Final = 1 << 20
#: Of each stream a server writes to the newest block, and may just have begun it.
_NEWEST: Final = 2


class LogStorage:
    """The folder in which the private nats-server keeps its streams."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        #: There while a sync may have failed. It may be lost with what it speaks of, when the machine stops.
        self._mark = folder / "unsynced"
        self._suspect = False

    def obstacle(self) -> str:
        """Why the disk takes no writes, "" when it does."""
        trial = self._folder / "trial"
        started = time.monotonic()
        try:
            try:
                with trial.open("wb") as file:
                    file.write(bytes(_TRIAL_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                trial.unlink(missing_ok=True)
        except OSError as error:
            return error.strerror or str(error)
        took_s = time.monotonic() - started
        return f"a small write took {took_s:.1f} s" if took_s > _TRIAL_S_MAX else ""

    def suspect(self) -> None:
        """What the server wrote last may not be on the disk, though reading it back shows it."""
        self._suspect = True
        try:
            self._mark.touch()
        except OSError:  # then only this process knows; it is the one that starts the server again
            return

    async def prepare(self) -> None:
        """See to it that all that the next server will find is on disk, for it takes for stored what it finds."""
        said = ""
        while obstacle := await asyncio.to_thread(self._settle):
            if obstacle != said:
                self._say(f"the log waits for its disk: {obstacle}")
                said = obstacle
            await asyncio.sleep(_AGAIN_S)

    def _settle(self) -> str:
        try:
            rewrite = self._suspect or self._mark.exists()
            for messages in self._folder.glob("jetstream/*/streams/*/msgs"):
                blocks = [path for path in messages.glob("*.blk") if path.stem.isdecimal()]
                for path in sorted(blocks, key=lambda path: int(path.stem))[-_NEWEST:]:
                    _sync(path, rewrite=rewrite)
                _sync(messages)
            self._mark.unlink(missing_ok=True)
        except OSError as error:
            return f"{error.filename or self._folder}: {error.strerror}"
        self._suspect = False
        return ""


def _sync(path: Path, *, rewrite: bool = False) -> None:
    """`rewrite`: a sync that failed is not repeated by the next one, since the kernel takes its pages for written."""
    descriptor = os.open(path, os.O_RDWR if rewrite else os.O_RDONLY)
    try:
        at = 0
        while rewrite and (data := os.pread(descriptor, _COPY_BYTES, at)):
            at += os.pwrite(descriptor, data, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
