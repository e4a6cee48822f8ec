"""Unix sockets whose path is longer than an address may be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: `sun_path` has 108 bytes, the last one zero.
_ADDRESS_BYTES_MAX: Final = 107


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """The address of a socket's path, for bind or connect: a long one goes through a descriptor of its folder.

    Raises OSError when the folder cannot be opened.
    """
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
