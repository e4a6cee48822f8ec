"""The few small files that tell the embedded engine which tables there are, and copies of them beside the history.

One that is empty or damaged keeps the whole engine from beginning, one that is gone makes it forget a table, and the
data lies there untouched. So these files are copied whenever the engine has begun well, and put back when it cannot.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from allthings.historian.ledger import replace, sync_folder

_COPIES: Final = "tables"
_DAMAGED: Final = "damaged"
_FILE_BYTES_MAX: Final = 1_000_000
#: What the names of views begin with (see `views.py`).
_VIEWS: Final = "sql_"


class Skeleton:
    """That of the history at `history`, with its copies in `folder`."""

    def __init__(self, history: Path, folder: Path) -> None:
        self._history = history
        self._copies = folder / _COPIES
        self._damaged = folder / _DAMAGED

    def keep(self) -> None:
        """Copy what there is. Raises OSError."""
        wanted = {path.relative_to(self._history) for path in _files(self._history)}
        for path in wanted:
            self._copy(self._history / path, self._copies / path)
        for copy in list(_files(self._copies)):
            if copy.relative_to(self._copies) not in wanted:
                copy.unlink()

    def restore(self, *, changed: bool) -> list[str]:
        """Put back what is gone or empty and, with `changed`, what is not as it was copied; their names. Then views go
        as well, since they are made anew at each start.

        Nothing is done where there is no history at all. Raises OSError.
        """
        if not (self._history / "store").is_dir() and not (self._history / "metadata").is_dir():
            return []
        back = []
        for copy in list(_files(self._copies)):
            path = copy.relative_to(self._copies)
            target = self._history / path
            if _as_copied(target, copy) if changed else _present(target):
                continue
            if target.exists():
                self._set_aside(path)
            self._copy(copy, target)
            back.append(str(path))
        for view in list((self._history / "store").glob(f"*/*/{_VIEWS}*.sql")) if changed else ():
            self._set_aside(view.relative_to(self._history))
            back.append(view.name)
        return back

    def _set_aside(self, path: Path) -> None:
        """Keep a damaged file where the engine does not look."""
        target = self._damaged / "-".join(path.parts)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(self._history / path, target)

    def _copy(self, source: Path, target: Path) -> None:
        if _as_copied(target, source):
            return
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(target, source.read_bytes())


def unreadable(history: Path) -> str:
    """Why files of a history cannot be opened, which is no damage of theirs; "" when all can."""
    if not history.exists():
        return ""
    try:
        if history.is_dir():
            for path in _files(history):
                path.read_bytes()
            if not os.access(history, os.W_OK | os.X_OK):
                return f"{history} cannot be written"
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    return ""


def put_aside(history: Path) -> Path:
    """Move a history that cannot be opened out of the way; where it is now. Raises OSError."""
    number = 1
    while (target := history.with_name(f"{history.name}.damaged-{number}")).exists():
        number += 1
    history.rename(target)
    sync_folder(history.parent)
    return target


def _files(folder: Path) -> Iterator[Path]:
    """The definitions of databases and tables, and formats: all that is no part. Links the engine makes itself, and
    views are made anew at each start."""
    store = folder / "store"
    for found in ((folder / "metadata").glob("*.sql"), store.glob("*/*/*.sql"), store.glob("*/*/format_version.txt")):
        for path in found:
            if path.name.startswith(_VIEWS):
                continue
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= _FILE_BYTES_MAX:
                yield path


def _present(path: Path) -> bool:
    return path.is_dir() or (path.is_file() and path.stat().st_size > 0)


def _as_copied(path: Path, copy: Path) -> bool:
    try:
        return path.read_bytes() == copy.read_bytes()
    except OSError:
        return False
