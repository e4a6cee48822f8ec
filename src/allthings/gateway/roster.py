"""Whose sessions and which retained messages are kept in the log's tables, noted beside the log.

Should a table lose rows, nothing in it tells whose they were. A name comes into the roster once its row is on disk, and
leaves it before the row does: whoever stands in it and is nowhere else was lost. With each name stands how far along
the log its row was, for a table that lost its end has older rows again.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

FOLDER: Final = "roster"


class Noted(NamedTuple):
    """`mark` grows along the log; `waiting` messages waited."""

    mark: int
    waiting: int = 0


_DECODER: Final = msgspec.json.Decoder(dict[str, Noted])


class Roster:
    """Names in several files of which only those are written anew that something changed in.

    `folder` None: nowhere. `name`: how the files' names begin.
    """

    def __init__(self, folder: Path | None, name: str, parts: int) -> None:
        self._folder = folder
        self._name = name
        self._names: list[dict[str, Noted]] = [{} for _ in range(parts)]
        self._changed: set[int] = set()

    def note(self, name: str, noted: Noted) -> None:
        part = self._part(name)
        if self._names[part].get(name) != noted:
            self._names[part][name] = noted
            self._changed.add(part)

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            part = self._part(name)
            self._names[part].pop(name, None)
            # Also if it is not known: its file may be of a former start.
            self._changed.add(part)

    async def write(self) -> None:
        """On disk when it returns. A disk that takes nothing is no reason to stop: the roster is written later."""
        if self._folder is None or not self._changed:
            return
        changed, self._changed = self._changed, set()
        try:
            await asyncio.to_thread(
                _write,
                self._folder,
                {f"{self._name}-{part}.json": msgspec.json.encode(self._names[part]) for part in changed},
            )
        except OSError:
            self._changed |= changed

    def _part(self, name: str) -> int:
        return zlib.crc32(name.encode()) % len(self._names)


def read(folder: Path | None, name: str) -> dict[str, Noted]:
    """What all rosters say whose files begin with `name`. A file that cannot be read says nothing."""
    found: dict[str, Noted] = {}
    for path in sorted(folder.glob(f"{name}-*.json")) if folder is not None else ():
        try:
            found |= _DECODER.decode(path.read_bytes())
        except (OSError, ValueError, msgspec.DecodeError):
            continue
    return found


def forget(folder: Path | None, name: str) -> None:
    """Remove the files of a roster."""
    for path in folder.glob(f"{name}-*.json") if folder is not None else ():
        path.unlink(missing_ok=True)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, data in files.items():
        temporary = folder / f"{name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(folder / name)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
