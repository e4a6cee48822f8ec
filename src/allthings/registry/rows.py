"""Things as rows, and rows as things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from allthings.registry.schema import ThingRow
from allthings.registry.settings import SEARCHED_MAX

State = Literal["adopted", "discovered"]
ADOPTED: Final[State] = "adopted"
DISCOVERED: Final[State] = "discovered"
_TITLE_KEY_MAX: Final = 256


@dataclass(frozen=True)
class Thing:
    """A thing as it is configured. `td` has no forms of the platform; `version` grows with each change (ETag)."""

    name: str
    id: str
    title: str
    state: State
    td: dict[str, Any]
    created_ns: int
    modified_ns: int
    version: int


def thing_from(row: ThingRow, td: str) -> Thing:
    return Thing(
        name=row.name,
        id=row.id,
        title=row.title,
        state=DISCOVERED if row.state == DISCOVERED else ADOPTED,
        td=msgspec.json.decode(td),
        created_ns=row.created_ns,
        modified_ns=row.modified_ns,
        version=row.version,
    )


def td_columns(name: str, td: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a thing that follow from its description."""
    title = storable(td["title"])
    return {
        "id": td["id"],
        "title": title,
        "title_key": title.casefold()[:_TITLE_KEY_MAX],
        "search": _searchable(name, td),
    }


def encode_td(td: Mapping[str, Any]) -> str:
    return msgspec.json.encode(td).decode()


def storable(text: str) -> str:
    """Text that every database takes: PostgreSQL knows no NUL, and lone surrogates are no text."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _searchable(name: str, td: Mapping[str, Any]) -> str:
    types = td.get("@type", [])
    parts = [name, td["title"], *(td.get("titles") or {}).values(), td.get("description", "")]
    parts += types if isinstance(types, list) else [types]
    return storable("\n".join(parts))[:SEARCHED_MAX].casefold()
