"""A role takes no memory that it does not need, and gives back what it needs no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from allthings.runtime import memory, role

# In processes of their own, since what others did to this one's memory would be measured too.
_RESIDENT = """
import os
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
"""

_FREE = """
import numpy as np
import pyarrow as pa
from allthings.runtime.memory import give_back

def arrays(count):
    return [pa.array(np.zeros(10_000)).cast(pa.string()) for _ in range(count)]

arrays(1)
give_back()
before = resident()
# Freed pieces below one that is not: without a trim the C library keeps all of them.
pieces = [bytes(n % 1000 + 100_000) for n in range(1_000)]
columns = arrays(200)
kept = bytes(100_000)
grown = resident() - before
del pieces, columns
give_back()
print(grown, resident() - before)
"""

_FILES = """
import pyarrow as pa
from allthings.runtime.memory import let_go_of_files

before = resident()
let_go_of_files()
after = resident()
print(before, after, *pa.array([1, 2]).to_pylist())
"""

_CHANGED = """
import ctypes, mmap, sys
from allthings.runtime.memory import let_go_of_files

libc = ctypes.CDLL(None, use_errno=True)
with open(sys.argv[1], "rb") as file:
    pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
pages[:5] = b"ours!"
address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
# What a loader does with the tables that it has adapted to where a library was put.
assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(len(pages)), mmap.PROT_READ) == 0
let_go_of_files()
print(ctypes.string_at(address, 5).decode())
"""


def _said(program: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_is_free_is_returned() -> None:
    grown, left = map(int, _said(_RESIDENT + _FREE))
    assert grown > 50_000_000
    assert left < grown / 4


def test_code_that_is_not_used_leaves_and_comes_back() -> None:
    before, after, *worked = _said(_RESIDENT + _FILES)
    assert int(after) < int(before) - 20_000_000
    assert worked == ["1", "2"]


def test_pages_that_differ_from_their_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "library"
    path.write_bytes(bytes(64 * 1024))
    assert _said(_CHANGED, str(path)) == ["ours!"]


def test_a_page_of_its_own_keeps_a_mapping_wherever_it_is() -> None:
    def mapping(address: int, permissions: str, **kilobytes: int) -> str:
        sizes = {"Rss": 64, "Private_Dirty": 0, "Anonymous": 0, "AnonHugePages": 0, "Swap": 0, "SwapPss": 0} | kilobytes
        lines = [f"{name}:{size:>12} kB" for name, size in sizes.items()]
        head = f"{address:x}-{address + 65536:x} {permissions} 00000000 fe:00 1234   /usr/lib/libc.so.6"
        return "\n".join([head, *lines, "VmFlags: rd ex mr mw me"])

    smaps = "\n".join(
        [
            mapping(0x100000, "r-xp"),
            mapping(0x200000, "r--p", Private_Dirty=4, Anonymous=4),
            # Written to, swapped out, and perhaps read in again.
            mapping(0x300000, "r--p", Swap=4, SwapPss=4),
            mapping(0x400000, "r--p", Anonymous=4),
            mapping(0x500000, "rw-p"),
            mapping(0x600000, "r--p"),
        ]
    )
    assert memory.clean(smaps.encode()) == [(0x100000, 0x110000), (0x600000, 0x610000)]


def test_a_role_does_without_pandas(tmp_path: Path) -> None:
    (tmp_path / "some_role.py").write_text(
        "import sys, threading\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
        "print(__name__, *sys.argv[1:], *sorted(each.name for each in threading.enumerate()))\n"
    )
    done = subprocess.run(
        [*role.command("some_role"), "--flag"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["pandas", "__main__", "--flag", "MainThread", "memory"]


def test_the_allocators_of_roles_are_told_what_to_be() -> None:
    program = "import pyarrow as pa; print(pa.default_memory_pool().backend_name)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=dict(memory.ENVIRONMENT)
    )
    assert done.stdout.strip() == memory.ENVIRONMENT["ARROW_DEFAULT_MEMORY_POOL"]
