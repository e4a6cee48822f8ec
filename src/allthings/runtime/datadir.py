"""The data directory: one owner at a time, room on its disk."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from allthings.log.reserve import Reserve
from allthings.runtime.errors import StartError

#: The file in it that has the key of the registry's secrets.
KEY_FILE: Final = "secret.key"
REGISTRY_FILE: Final = "registry.db"
#: The folder in it where is kept what the history has, so that what is lost is noticed.
LEDGER_FOLDER: Final = "history-ledger"
#: The processes of an instance that was killed need a moment to die; they hold the lock until then.
_LOCK_WAIT_S = 15.0


def claim(path: Path, disk_reserve_mb: int) -> int:
    """Make the directory if need be and take it for this process and its children.

    Returns the lock's file descriptor, which children inherit: the directory is free again when all of them are gone.
    Raises StartError when another instance has it or the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(
            f"the data directory {path} cannot be used: {error.strerror}. Name another with --data"
        ) from error
    os.set_inheritable(descriptor, True)
    deadline = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            if _runs(owner) or time.monotonic() > deadline:
                os.close(descriptor)
                raise StartError(
                    f"another allthings (process {owner or 'unknown'}) uses {path}: stop it first, or name another "
                    "directory with --data"
                ) from None
            time.sleep(0.1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    if short := Reserve(path, disk_reserve_mb).shortage():
        os.close(descriptor)
        raise StartError(f"{path}: {short}. Free some space, or name another directory with --data")
    return descriptor


def _runs(process: str) -> bool:
    try:
        os.kill(int(process), 0)
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except PermissionError:
        return True
    except (ValueError, OSError):
        return False
    return status != "Z"
