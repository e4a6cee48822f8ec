"""The log's server opening what is on disk: said when it takes long, ended when it never will.

A damaged record can lead nats-server into taking memory without end while it restores a stream. A sound log needs
little, however large it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from allthings.runtime.child import Child

#: A server that has so much memory before it answers will never answer.
MEMORY_MB_MAX: Final = 1_000
_LOOK_EVERY_S: Final = 0.5
_TELL_AFTER_S: Final = 20.0
_READ_BYTES: Final = 1_000_000
_LINE: Final = re.compile(r"^\[(\d+)\].*?(Starting restore|Restored [\d,.]+ messages) for stream '\$G > ([\w-]+)'")

ADVICE: Final = "stop it, and let `allthings repair` put aside what cannot be opened; the history stays as it is"


def takes_too_much(pid: int) -> bool:
    """Whether a process has more memory than opening a log needs."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return False
    return pages * 4096 > MEMORY_MB_MAX * 1_000_000


def unopened(messages: Path, pid: int) -> list[str]:
    """The streams that the server `pid` began to restore and did not restore, by what it wrote to `messages`."""
    try:
        with messages.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _READ_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    begun: dict[str, bool] = {}
    for line in lines:
        if (found := _LINE.match(line)) and int(found[1]) == pid:
            begun[found[3]] = not found[2].startswith("Starting")
    return [name for name, done in begun.items() if not done]


async def watch(child: Child, messages: Path, say: Callable[[str], None]) -> None:
    """Until cancelled. `child` is the log's server, `messages` its log file."""
    loop = asyncio.get_running_loop()
    since_s, told = loop.time(), False
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        if child.state != "starting" or child.pid is None:
            since_s, told = loop.time(), False
            continue
        streams = f" ({', '.join(unopened(messages, child.pid))})"
        if takes_too_much(child.pid):
            say(f"the log's server takes more and more memory to open a damaged log{streams}; {ADVICE}")
            child.unusable.set()
            return
        if loop.time() - since_s > _TELL_AFTER_S and not told:
            told = True
            say(
                f"the log's server has been opening the log for {_TELL_AFTER_S:.0f} s{streams}; "
                f"if it never ends, {ADVICE}"
            )
