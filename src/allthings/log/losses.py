"""What was found to be lost, in a file beside the log: for `allthings doctor`, long after the line that told it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from allthings.things.times import NS_PER_S, format_time

FILE: Final = "losses.jsonl"
#: A file that is larger becomes the old one, whatever was the old one is gone.
_BYTES_MAX: Final = 1_000_000

#: What can be lost.
MESSAGES: Final = "messages that waited"
SESSION: Final = "session"
RETAINED: Final = "retained message"
WILL: Final = "will"
BLOCKS: Final = "blocks"
REGISTRY: Final = "registry"


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """`what` was lost (see above), whose it was (a client, a topic, a span of blocks), how many, and why.

    `time`: when it was found, RFC 3339.
    """

    time: str
    what: str
    whose: str
    count: int
    why: str


def found(now_ns: int, what: str, whose: str, count: int, why: str) -> Loss:
    """A loss that was found now."""
    return Loss(time=format_time(now_ns // NS_PER_S * NS_PER_S), what=what, whose=whose, count=count, why=why)


def write(data: Path | None, losses: list[Loss]) -> None:
    """Add to the data directory's file. A disk that takes nothing must stop nobody: all of it is in the log of the
    process as well."""
    if data is None or not losses:
        return
    path = data / FILE
    lines = b"".join(msgspec.json.encode(loss) + b"\n" for loss in losses)
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size > _BYTES_MAX:
            path.replace(path.with_suffix(".old.jsonl"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, lines)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(data: Path) -> list[Loss]:
    """What the file has, oldest first; lines that cannot be read are left out."""
    try:
        lines = (data / FILE).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=Loss))
    return found


def sentence(loss: Loss) -> str:
    """A loss in words."""
    blocks = f"block {loss.whose} of the log is" if loss.count == 1 else f"blocks {loss.whose} of the log are"
    texts = {
        SESSION: f"the session of client {loss.whose!r} is lost, with {loss.count} messages that waited for it",
        MESSAGES: f"{loss.count} messages that waited for client {loss.whose!r} are lost",
        RETAINED: f"the retained message of topic {loss.whose!r} is lost",
        WILL: f"the will of client {loss.whose!r} is lost",
        BLOCKS: f"{blocks} lost",
        REGISTRY: f"the registry {loss.whose} is lost",
    }
    return f"{texts.get(loss.what, f'{loss.what} {loss.whose}')}: {loss.why}"
