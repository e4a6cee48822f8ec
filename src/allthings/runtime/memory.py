"""Memory that a role does not need: what keeps it from being taken, and what gives it back.

Allocators keep what they once had, and a process that has started or was busy has pages of programs and libraries in
it that nothing uses any more: without this it would stay as large as it ever was. The process of each role calls
`stay_small` when it starts.
"""

from __future__ import annotations

import ctypes
import mmap
import re
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

#: For the environment of every role: what has to be said before its allocators start. Threads share two arenas of the
#: C library, for each arena keeps its own free memory; and Arrow's columns come from the allocator that returns what is
#: free by itself, whichever thread had it.
ENVIRONMENT: Final[Mapping[str, str]] = (
    {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "jemalloc"} if sys.platform == "linux" else {}
)

_LOOK_EVERY_S: Final = 20.0
#: A process is at rest while it uses less of one core than this: merging after a large upload counts as rest.
_AT_REST_SHARE: Final = 0.5

#: In /proc/self/smaps: a private mapping of a file that cannot be written to, of which this process has no page of its
#: own (what a loader or a debugger changed), neither in memory nor swapped out. Such a page would be lost.
_CLEAN: Final = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [^/\n]*/[^\n]*\n"
    rb"(?:[A-Z][^\n]*\n)*?Anonymous: +0 kB\n(?:[A-Z][^\n]*\n)*?Swap: +0 kB$",
    re.MULTILINE,
)

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Without:
    """Keeps a module from being imported that others import when it is there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._name:
            raise ModuleNotFoundError(f"roles do without {name} (allthings.runtime.memory)", name=name)


def do_without_pandas() -> None:
    """Arrow loads pandas when it is installed, to look whether a list is one of its columns: 25 MB and a second."""
    sys.meta_path.insert(0, _Without("pandas"))


def give_back() -> None:
    """Return free memory of Arrow's pool and of the C library. Takes milliseconds; other threads may go on."""
    arrow: ModuleType | None = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if hasattr(_LIBC, "malloc_trim"):  # glibc has it, other C libraries have not
        _LIBC.malloc_trim(0)


def let_go_of_files() -> None:
    """Take pages of files that nobody has written to (code, tables of constants) out of this process.

    The kernel maps 64 kB around each byte that a start touches, so an engine of which a twentieth is in use has most
    of itself resident. The pages stay in the system's cache; what is used again is mapped again, in microseconds.
    """
    try:
        mappings = Path("/proc/self/smaps").read_bytes()
    except OSError:  # systems but Linux have no such file
        return
    for start, end in clean(mappings):
        _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def clean(mappings: bytes) -> list[tuple[int, int]]:
    """Where the mappings of files stand that can be let go of, out of what /proc/self/smaps has."""
    return [(int(found[1], 16), int(found[2], 16)) for found in _CLEAN.finditer(mappings)]


def stay_small() -> None:
    """Begin, in a thread, to give memory back now and then, and to let go of files while this process is at rest."""
    threading.Thread(target=_follow, name="memory", daemon=True).start()


def _follow() -> NoReturn:
    looked_s, used_s = time.monotonic(), time.process_time()
    while True:
        time.sleep(_LOOK_EVERY_S)
        give_back()
        before = looked_s, used_s
        looked_s, used_s = time.monotonic(), time.process_time()
        if used_s - before[1] < _AT_REST_SHARE * (looked_s - before[0]):
            let_go_of_files()
