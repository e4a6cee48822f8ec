"""Things as rows: finding, adding and changing them within a transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import ACCESS, count
from allthings.registry.schema import DescriptionRow, ThingRow
from allthings.registry.settings import SEARCHED_MAX
from allthings.things.errors import NotFoundError
from allthings.things.names import TENANT, valid_id, valid_thing_name
from allthings.things.td import TD_BYTES_MAX
from allthings.things.td.limits import STRICT_KEY, TENANT_KEY

State = Literal["adopted", "discovered"]
ADOPTED: Final[State] = "adopted"
DISCOVERED: Final[State] = "discovered"
_TITLE_KEY_MAX: Final = 256


@dataclass(frozen=True)
class Thing:
    """A thing as it is configured. `td` has no forms of the platform; `version` grows with each change.

    `change` is the number that its last change had among those of all things: no other state of it has the same, nor of
    one that is made again under its name.
    """

    name: str
    id: str
    title: str
    state: State
    td: dict[str, Any]
    created_ns: int
    modified_ns: int
    version: int
    change: int


#: Called within the transaction of a change with the thing as it is (None: there is none), before anything is changed.
#: What it raises ends the change.
Check = Callable[[Thing | None], None]


def no_check(_thing: Thing | None) -> None:
    """Every change may go on."""


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
        change=row.change,
    )


def td_columns(name: str, td: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a thing that follow from its description."""
    title = storable(td["title"])
    return {
        "id": td["id"],
        "title": title,
        "title_key": title.casefold()[:_TITLE_KEY_MAX],
        "search": _searchable(name, td),
        "strict": td.get(STRICT_KEY, False),
        "tenant": td.get(TENANT_KEY, TENANT),
    }


def encode_td(td: Mapping[str, Any]) -> str:
    return msgspec.json.encode(td).decode()


def fits(encoded: str) -> bool:
    """Whether a description could also be sent back by a client."""
    return len(encoded.encode()) <= TD_BYTES_MAX


def find(session: Session, id_: str) -> tuple[ThingRow, str] | None:
    """The thing of this id or name, with its description as JSON."""
    if not (valid_thing_name(id_) or valid_id(id_)):
        return None
    statement = (
        sa.select(ThingRow, DescriptionRow.td)
        .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
        .where(sa.or_(ThingRow.id == id_, ThingRow.name == id_))
    )
    # A name can look like an id; the id is meant.
    rows = sorted(session.execute(statement), key=lambda row: row[0].id != id_)
    return (rows[0][0], rows[0][1]) if rows else None


def find_name(session: Session, name: str) -> tuple[ThingRow, str] | None:
    """The thing of this name, with its description as JSON."""
    statement = (
        sa.select(ThingRow, DescriptionRow.td)
        .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
        .where(ThingRow.name == name)
    )
    row = session.execute(statement).one_or_none()
    return (row[0], row[1]) if row else None


def require(session: Session, id_: str) -> tuple[ThingRow, str]:
    """As find. Raises NotFoundError."""
    found = find(session, id_)
    if found is None:
        raise not_found(id_)
    return found


def not_found(id_: str) -> NotFoundError:
    return NotFoundError(f"there is no thing with the id or name {id_[:128]!r}")


def insert(session: Session, name: str, td: Mapping[str, Any], now_ns: int, change: int) -> Thing:
    """Add an adopted thing."""
    encoded = encode_td(td)
    row = ThingRow(
        name=name,
        state=ADOPTED,
        created_ns=now_ns,
        modified_ns=now_ns,
        version=1,
        change=change,
        **td_columns(name, td),
    )
    session.add(row)
    session.flush()
    session.add(DescriptionRow(thing=name, td=encoded))
    session.flush()
    return thing_from(row, encoded)


def update(
    session: Session, row: ThingRow, old: str, td: Mapping[str, Any], state: State, now_ns: int, change: int
) -> Thing:
    """Give a thing another description or state. If both are as they were, nothing is changed, no version either."""
    encoded = encode_td(td)
    if encoded == old and state == row.state:
        thing = thing_from(row, encoded)
        session.rollback()
        return thing
    if td.get(TENANT_KEY, TENANT) != row.tenant:
        count(session, ACCESS)
    for column, value in td_columns(row.name, td).items():
        setattr(row, column, value)
    row.state = state
    row.modified_ns = now_ns
    row.version += 1
    row.change = change
    statement = sa.update(DescriptionRow).where(DescriptionRow.thing == row.name).values(td=encoded)
    session.execute(statement)
    session.flush()
    return thing_from(row, encoded)


def storable(text: str) -> str:
    """Text that every database takes: PostgreSQL knows no NUL, and lone surrogates are no text."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def _searchable(name: str, td: Mapping[str, Any]) -> str:
    types = td.get("@type", [])
    parts = [name, td["id"], td["title"], *(td.get("titles") or {}).values(), td.get("description", "")]
    parts += types if isinstance(types, list) else [types]
    return storable("\n".join(parts))[:SEARCHED_MAX].casefold()
