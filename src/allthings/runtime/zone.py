"""The machine's time zone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from allthings.things.errors import BadInputError
from allthings.things.zones import UTC, find_zone

_LINK: Final = Path("/etc/localtime")
_NAME: Final = Path("/etc/timezone")
_FOLDER: Final = "zoneinfo/"
_UTC: Final = frozenset({"Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"})


def machine_zone(environ: Mapping[str, str] | None = None, link: Path = _LINK, name: Path = _NAME) -> str:
    """The zone of the machine by its IANA name: TZ, else where /etc/localtime leads, else /etc/timezone, else UTC."""
    candidates = [(os.environ if environ is None else environ).get("TZ", "").lstrip(":")]
    try:
        target = os.path.realpath(link)
        candidates.append(target.rpartition(_FOLDER)[2] if _FOLDER in target else "")
        candidates.append(name.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        pass
    for candidate in candidates:
        try:
            found = find_zone(candidate).key
        except BadInputError:
            continue
        return UTC if found in _UTC else found
    return UTC
