"""Begin the engine of a history, whatever became of its files.

An embedded engine does not begin at all when a file that defines a table is damaged. Then those files are put back
from their copies; and when that is not enough, the whole history is put aside, said, and a new one begun, which is
filled from the log. A reason that is not the folder's own (no right to read it, a full disk, no memory) touches
nothing.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from allthings.historian import skeleton
from allthings.historian.engine import Engine
from allthings.historian.errors import HistorianUnavailableError
from allthings.historian.skeleton import Skeleton

_LOGGER = logging.getLogger(__name__)
_EMBEDDED = "chdb://"


def begin(dsn: str, folder: Path | None) -> Engine:
    """The engine, begun. `folder` is the ledger's; None mends nothing. Raises HistorianUnavailableError."""
    history = _folder(dsn)
    if folder is None or history is None:
        return Engine(dsn)
    copies = Skeleton(history, folder)
    try:
        _put_back(copies, changed=False)
        try:
            return Engine(dsn)
        except HistorianUnavailableError as error:
            if reason := skeleton.unreadable(history):
                raise HistorianUnavailableError(f"the history's files cannot be used: {reason}") from error
            if _put_back(copies, changed=True):
                try:
                    return Engine(dsn)
                except HistorianUnavailableError:
                    _LOGGER.warning("that did not help")
            if not history.exists() or not _begins_elsewhere(history):
                raise
            aside = skeleton.put_aside(history)
            _LOGGER.error(
                "the history's engine cannot begin with %s (%s). It is put aside as %s, and a new history is begun",
                history,
                error.detail,
                aside.name,
            )
            return Engine(dsn)
    except OSError as error:
        raise HistorianUnavailableError(f"the history's files cannot be used: {error}") from error


def well(dsn: str, folder: Path | None) -> None:
    """The engine has begun well: copy the files that it needs for that."""
    history = _folder(dsn)
    if folder is not None and history is not None:
        try:
            Skeleton(history, folder).keep()
        except OSError as error:
            _LOGGER.warning("the definitions of the history's tables cannot be copied: %s", error)


def _folder(dsn: str) -> Path | None:
    """Where an embedded history is."""
    return Path(urlsplit(dsn).path) if dsn.startswith(_EMBEDDED) else None


def _put_back(copies: Skeleton, *, changed: bool) -> bool:
    if back := copies.restore(changed=changed):
        _LOGGER.warning("the history's files that define its tables were damaged; put back: %s", ", ".join(back))
    return bool(back)


def _begins_elsewhere(history: Path) -> bool:
    """Whether an engine begins well with an empty folder beside the history: then it is the history that is damaged."""
    trial = history.with_name(f"{history.name}.trial")
    shutil.rmtree(trial, ignore_errors=True)
    try:
        Engine(f"{_EMBEDDED}{trial}").close()
    except HistorianUnavailableError:
        return False
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    return True
