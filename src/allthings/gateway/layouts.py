"""The layouts of what the gateway keeps in the log: which is today's, and how rows of former ones become such.

A row of a table, and the changes beside a block's messages, begin with the number of their layout. Up to the fifth they
did not, and are told apart by what stands in them. What begins with a number above today's was written by a newer
allthings: it is refused, since to leave it out would lose it.

    1  sessions of one gateway, with the wills of clients that are away
    2  with who owns a session
    3  with the gateway that keeps it
    4  wills in a table of their own
    5  with the shared subscriptions of what waits
    6  with the number of the layout
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from allthings.gateway.errors import NewerLayoutError

LAYOUT: Final = 6

_SHARED: Final = 0b1000
_PLAIN: Final = 0b0111
_SHARE_NUMBER_SHIFT: Final = 3
#: The one gateway that there was when rows did not say whose they are.
_ONLY_GATEWAY: Final = "gateway"

_WAITING: Final = "expiry_s left_ns subscriptions flights inbox positions options elsewhere"
#: The fields of a session's row, by layout.
_SESSIONS: Final = {
    1: f"client sequence followed {_WAITING} will will_due_ns dropped expired",
    2: f"client owner sequence followed {_WAITING} will will_due_ns dropped expired",
    3: f"client owner keeper sequence followed {_WAITING} will will_due_ns dropped expired",
    4: f"client owner keeper sequence followed {_WAITING} dropped expired",
    5: f"client owner keeper sequence followed {_WAITING} dropped expired shares",
}


def check(layout: int) -> None:
    """Raises NewerLayoutError."""
    if layout > LAYOUT:
        raise NewerLayoutError(
            f"sessions or retained messages were kept by a newer allthings (in layout {layout}, this program knows "
            f"{LAYOUT}): install that one, or restore a backup"
        )


def _list(data: bytes) -> list[Any]:
    try:
        row = msgspec.msgpack.decode(data)
    except ValueError as error:
        # Text that is no UTF-8.
        raise msgspec.DecodeError(str(error)) from None
    if not isinstance(row, list):
        raise msgspec.ValidationError("it is no list")
    return row


def _unnumbered(data: bytes) -> list[Any]:
    row = _list(data)
    if row and isinstance(row[0], int):
        check(row[0])
        raise msgspec.ValidationError(f"it is not as layout {row[0]} says")
    return row


def session(data: bytes) -> tuple[list[Any], list[Any] | None]:
    """A session's row of layouts 1 to 5 as that of today (allthings.gateway.kept.KeptSession), and its will's if any.

    Raises msgspec.DecodeError when it is damaged, NewerLayoutError.
    """
    row = _unnumbered(data)
    names = next((names.split() for layout, names in _SESSIONS.items() if _is(layout, row)), None)
    if names is None:
        raise msgspec.ValidationError(f"no session has {len(row)} such fields")
    old = dict(zip(names, row, strict=True))
    if "shares" not in old:
        try:
            filters = [topic_filter for topic_filter, *_ in old["subscriptions"]]
            old["shares"] = [each for each in filters if each.startswith("$share/")][:1]
            old["options"] = _wider(old["options"], shared=bool(old["shares"]))
        except (AttributeError, TypeError, ValueError) as error:
            raise msgspec.ValidationError(str(error)) from None
    old.setdefault("owner", "")
    old.setdefault("keeper", _ONLY_GATEWAY)
    will = [old["client"], old["will"], 0, old["will_due_ns"]] if old.get("will") else None
    today = f"client owner keeper sequence followed {_WAITING} dropped expired shares".split()
    return [LAYOUT, *(old[name] for name in today)], will


def _is(layout: int, row: list[Any]) -> bool:
    """Of layouts with as many fields one has a name where the other one has a number."""
    names = _SESSIONS[layout].split()
    return len(row) == len(names) and isinstance(row[names.index("sequence")], int)


def _wider(options: bytes, *, shared: bool) -> bytes:
    """Options of one byte, in which a bit stood for some shared subscription, as those of two bytes."""
    old = np.frombuffer(options, np.uint8)
    number = np.where(old & _SHARED, int(shared) << _SHARE_NUMBER_SHIFT, 0)
    return ((old & _PLAIN) | number).astype(np.uint16).tobytes()


def several(data: bytes) -> list[Any]:
    """What stands in a row of retained messages or wills of any layout; they differ in what is left out at the end.

    Raises msgspec.DecodeError when it is damaged, NewerLayoutError.
    """
    row = _list(data)
    if row and isinstance(row[0], int):
        check(row.pop(0))
    return row


def changes(data: bytes) -> list[Any]:
    """Changes of sessions of layouts 1 to 5, as today's without the number.

    Raises msgspec.DecodeError when they are damaged, NewerLayoutError.
    """
    found = []
    for change in _unnumbered(data):
        match change:
            case ["open", client, int(expiry_s), clean]:
                found.append(["open", client, "", expiry_s, clean])
            case ["will", client, due_ns, will]:
                found += [["willheld", client, 0, will], ["will", client, due_ns]]
            case _:
                found.append(change)
    return found
