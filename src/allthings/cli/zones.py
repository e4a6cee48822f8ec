"""Time zones on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    import msgspec

_LOCAL: Final = Path("/etc/localtime")


def local_zone() -> str:
    """The IANA name of this machine's time zone: TZ, else what /etc/localtime is a link to.

    Raises typer.BadParameter when neither tells.
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        name = str(_LOCAL.resolve())
    # The database lies in a folder of this name, wherever that is.
    name = name.rpartition("zoneinfo/")[2]
    if not name or name.startswith("/"):
        raise typer.BadParameter(
            "this machine does not tell its time zone; name it, such as Europe/Berlin", param_hint="--zone"
        )
    return name


def in_zone(time: msgspec.Raw, zone: str) -> str:
    """A time of an answer (JSON) as clocks in a zone show it, with their offset."""
    import msgspec

    from allthings.things.times import NS_PER_S, format_time, parse_time
    from allthings.things.zones import find_zone, periods

    ns = parse_time(msgspec.json.decode(time))
    (offset_ns,) = (one.offset_ns for one in periods(find_zone(zone), ns, ns) if one.start_ns <= ns < one.end_ns)
    sign, seconds = "+" if offset_ns >= 0 else "-", abs(offset_ns) // NS_PER_S
    offset = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    # Before standard time offsets have seconds, which RFC 3339 has no place for.
    offset += f":{seconds % 60:02d}" if seconds % 60 else ""
    return format_time(ns + offset_ns).removesuffix("Z") + offset
