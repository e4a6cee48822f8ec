"""The links within an embedded history, when a copy has followed them.

The engine keeps a database's definitions and its tables' parts below `store`, and links there from `metadata` and
`data`. A copy that follows links has folders in their place, with the same files once more, and the engine does not
begin with such. It makes the links itself when nothing stands there.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from allthings.things.times import now_ns

_LOGGER = logging.getLogger(__name__)
_UUID: Final = re.compile(r"\bUUID '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'")


def mend(history: Path) -> list[str]:
    """Take away what stands in a link's place; returns what that was, by its path within the history.

    A folder goes when `store` has all that is in it; if `store` has nothing of it, it is moved there; otherwise it is
    put aside. Raises OSError.
    """
    mended = []
    for place, kept in list(_links(history)):
        if place.is_symlink() or not place.exists():
            continue
        shown = str(place.relative_to(history))
        if not kept.exists() and place.is_dir():
            kept.parent.mkdir(parents=True, exist_ok=True)
            place.rename(kept)
        elif place.is_dir() and _has_all(kept, place):
            shutil.rmtree(place)
        else:
            stamp = datetime.fromtimestamp(now_ns() // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = history.with_name(f"{history.name}.copied-{stamp}") / shown
            aside.parent.mkdir(parents=True, exist_ok=True)
            place.rename(aside)
            shown += f" (now {aside})"
        mended.append(shown)
    if mended:
        _LOGGER.warning(
            "the history was copied by something that follows links; folders in their place were taken away: %s",
            ", ".join(mended),
        )
    return mended


def _links(history: Path) -> Iterator[tuple[Path, Path]]:
    """Where links stand, or should, and the folder that each leads to; tables before their databases."""
    for definition in sorted((history / "metadata").glob("*.sql")):
        folder = _kept(history, definition)
        if folder is None:
            continue
        database = definition.stem
        # When `store` has no definitions these are the only ones.
        definitions = folder if folder.exists() else history / "metadata" / database
        for table in sorted(definitions.glob("*.sql")):
            if (parts := _kept(history, table)) is not None:
                yield history / "data" / database / table.stem, parts
        yield history / "metadata" / database, folder


def _kept(history: Path, definition: Path) -> Path | None:
    try:
        found = _UUID.search(definition.read_text(errors="replace"))
    except OSError:
        return None
    return history / "store" / found[1][:3] / found[1] if found else None


def _has_all(kept: Path, copy: Path) -> bool:
    """Whether each file of the copy is there as well, as long as there."""
    for path in copy.rglob("*"):
        if path.is_file():
            original = kept / path.relative_to(copy)
            if not original.is_file() or original.stat().st_size != path.stat().st_size:
                return False
    return True
