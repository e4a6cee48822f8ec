"""How far the history has followed the log, noted outside of both.

A log that ends before that has lost its end, or is another one. It is known at the start, before anybody is let in and
before the history is open: a message that such a log takes would get the number of one that is in the history.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from allthings.historian.errors import log_replaced
from allthings.log.stream import Log

FILE: Final = "log.mark"


def read(data: Path) -> int:
    """The last block that is surely in the history; 0 when nothing is known."""
    try:
        return int((data / FILE).read_text())
    except (OSError, ValueError):
        return 0


def write(data: Path, sequence: int) -> None:
    """Note it. Not synced: an older note does less, but no harm."""
    path = data / FILE
    temporary = path.with_suffix(".new")
    with contextlib.suppress(OSError):
        temporary.write_text(f"{sequence}\n")
        temporary.replace(path)


async def check(log: Log, data: Path) -> None:
    """Raises LogReplacedError when the log ends before the history does, LogUnavailableError."""
    status = await log.status()
    known = max(read(data), *status.positions.values(), 0)
    if status.last < known:
        raise log_replaced(status.last, known)
