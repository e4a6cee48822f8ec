"""How much room the platform's data takes and has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def folder_bytes(folder: Path) -> int:
    """Bytes on disk of all files below a folder. Files that vanish meanwhile do not count."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                        else:
                            total += entry.stat(follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        continue
        except FileNotFoundError:
            continue
    return total


def free_bytes(folder: Path) -> int:
    """Bytes free for us on the file system of a folder."""
    return shutil.disk_usage(folder).free
