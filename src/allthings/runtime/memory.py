"""Memory that is free inside the process goes back to the system.

Allocators keep what they once had: after a burst the process would stay as large as it ever was.
"""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa


def _trim_of_libc() -> ctypes._NamedFuncPointer | None:
    """`malloc_trim` of glibc; other C libraries have none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None


_trim: Final = _trim_of_libc()


def give_back() -> None:
    """Return free memory of Arrow's pool and of the C library. Takes milliseconds; other threads may go on."""
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)
