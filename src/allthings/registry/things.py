"""Things: create, read, update, delete, list; and those that are discovered."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry import rows
from allthings.registry.counters import ACCESS, THINGS, count, versions
from allthings.registry.database import Database
from allthings.registry.known_types import KnownTypes, StrictTypes
from allthings.registry.listing import Page, Sort, list_things
from allthings.registry.removals import note_parts, note_thing
from allthings.registry.rows import ADOPTED, DISCOVERED, Check, State, Thing, no_check
from allthings.registry.schema import AccessRuleRow, QuotaRow, ThingRow
from allthings.registry.seen import Seen, SeenEvent, SeenProperty, by_thing, observe, with_inferred, with_our_context
from allthings.things.errors import BadInputError, ConflictError
from allthings.things.names import (
    ID_PREFIX,
    THING_NAME_MAX,
    digest_suffix,
    id_from_name,
    name_from_id,
    slug,
    valid_id,
    valid_thing_name,
)
from allthings.things.td import check_td, confirm_changed, merge_patch, without_forms
from allthings.things.td.limits import STRICT_KEY, TENANT_KEY
from allthings.things.types import PropertyType

__all__ = ["Page", "SeenEvent", "SeenProperty", "Sort", "State", "Thing", "Things"]

#: What a directory adds when it serves a description (WoT Discovery, section 7.3.2.1): ours to say, not the client's.
_REGISTRATION: Final = "registration"


class Things:
    """All things. Thread-safe; other processes may change things at the same time.

    Wherever an id is asked for, the thing's name does as well. Changes take an optional `check`, which may refuse them
    when it sees the thing as it is by then. A change that leaves everything as it was makes no new version.

    What can remove something takes the log's newest `position`: what was sent up to there brings it back no more (see
    `allthings.registry.removals`). Without it, 0, nothing is held back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known_types = KnownTypes(database)
        self._strict_types = StrictTypes(database)

    def get(self, id_: str) -> Thing:
        """Raises NotFoundError."""
        with self._database.read() as session:
            return rows.thing_from(*rows.require(session, id_))

    def list(
        self,
        search: str = "",
        state: State | None = None,
        sort: Sort = "name",
        descending: bool = False,
        limit: int = 100,
        after: str = "",
        offset: int = 0,
    ) -> Page:
        """A page of the things that match.

        `after` is the `next` of the page before, or `offset` counts things to skip. All words of `search` must occur
        in name, id, titles, description or @type; capitals do not matter. `title` sorts without regard to capitals.
        Raises BadInputError.
        """
        with self._database.read() as session:
            return list_things(
                session,
                search=search,
                state=state,
                sort=sort,
                descending=descending,
                limit=limit,
                after=after,
                offset=offset,
            )

    def version(self) -> int:
        """A number that grows with every change of any thing, in whatever process."""
        with self._database.read() as session:
            return versions(session).things

    def edition(self) -> tuple[int, int]:
        """Two numbers that no other state of the directory has, also of one that began anew: that of the newest
        change, and when what is there was changed last."""
        with self._database.read() as session:
            newest = session.scalar(sa.select(sa.func.max(ThingRow.modified_ns)))
            return versions(session).things, newest or 0

    def all_types(self) -> dict[str, dict[str, PropertyType]]:
        """The types of all properties of all things by name. Cheap to call; not to be changed by the caller."""
        return self._known_types.read()

    def strict_types(self) -> dict[str, dict[str, PropertyType]]:
        """As all_types, of the things that are strict (`allthings:strict` in their description)."""
        return self._strict_types.read()

    def create(self, td: Any, now_ns: int, name: str | None = None) -> Thing:
        """Add a thing. Without an id it gets a random one; without a name, one that follows from the id or title.

        A discovered thing of that name is adopted: it gets this description, keeps its readings, and the properties
        that the description does not name stay inferred. Raises InvalidTdError, LimitExceededError, BadInputError,
        ConflictError when the id or the name is taken.
        """
        td = _check_client_td(td)
        if name is not None and not valid_thing_name(name):
            raise BadInputError(f"{name[:64]!r} is no name: 1 to 128 letters, digits and . _ : -")
        likely = "" if "id" in td else slug(td["title"])
        td.setdefault("id", id_from_name(name) if name else uuid.uuid4().urn)

        def change(session: Session) -> Thing:
            number = count(session, THINGS)
            found = rows.find(session, td["id"])
            if found and found[0].id == td["id"] and found[0].state != DISCOVERED:
                raise ConflictError(f"a thing with the id {td['id']} exists already: change it with PUT or PATCH")
            return _add(session, td, name, likely, now_ns, number)

        return self._database.write(change)

    def put(self, id_: str, td: Any, now_ns: int, check: Check = no_check, position: int = 0) -> tuple[Thing, bool]:
        """Replace a thing's description, or create the thing; True if it was created.

        A discovered thing is adopted by it. The id never changes. Raises as create does, and what `check` raises.
        """
        td = _check_client_td(td)

        def change(session: Session) -> tuple[Thing, bool]:
            number = count(session, THINGS)
            found = rows.find(session, id_)
            if found is None:
                check(None)
                id_given, name = _new_id(id_, td)
                if rows.find(session, id_given):
                    raise ConflictError(f"the id {id_given} belongs to another thing")
                return _add(session, {**td, "id": id_given}, name, "", now_ns, number), True
            row, old = found
            check(rows.thing_from(row, old))
            replaced = _checked_change(row, old, td)
            note_parts(session, row.name, msgspec.json.decode(old), replaced, position)
            return rows.update(session, row, old, replaced, ADOPTED, now_ns, number), False

        return self._database.write(change)

    def patch(self, id_: str, merge: Any, now_ns: int, check: Check = no_check, position: int = 0) -> Thing:
        """Change members of a description (RFC 7396). Raises as put does, and NotFoundError."""
        if not isinstance(merge, dict):
            raise BadInputError("a merge patch of a thing is a JSON object")

        def change(session: Session) -> Thing:
            number = count(session, THINGS)
            row, old = rows.require(session, id_)
            check(rows.thing_from(row, old))
            td = _check_client_td(merge_patch(msgspec.json.decode(old), merge))
            patched = _checked_change(row, old, td)
            note_parts(session, row.name, msgspec.json.decode(old), patched, position)
            state = DISCOVERED if row.state == DISCOVERED else ADOPTED
            return rows.update(session, row, old, patched, state, now_ns, number)

        return self._database.write(change)

    def adopt(self, id_: str, now_ns: int, title: str | None = None) -> Thing:
        """A person wants this discovered thing, perhaps under another title. Raises NotFoundError."""

        def change(session: Session) -> Thing:
            number = count(session, THINGS)
            row, old = rows.require(session, id_)
            td = msgspec.json.decode(old)
            if title is not None:
                td = check_td({**td, "title": title})
            return rows.update(session, row, old, td, ADOPTED, now_ns, number)

        return self._database.write(change)

    def remove(self, id_: str, check: Check = no_check, position: int = 0) -> None:
        """Remove a thing with its credentials, rules and quotas; its readings stay. Raises NotFoundError."""

        def change(session: Session) -> None:
            count(session, THINGS)
            count(session, ACCESS)
            row, old = rows.require(session, id_)
            check(rows.thing_from(row, old))
            session.execute(sa.delete(ThingRow).where(ThingRow.name == row.name))
            session.execute(sa.delete(AccessRuleRow).where(AccessRuleRow.subject == f"thing:{row.name}"))
            session.execute(sa.delete(QuotaRow).where(QuotaRow.scope == f"thing:{row.name}"))
            note_thing(session, row.name, position)

        self._database.write(change)

    def observe(self, seen: Sequence[Seen], now_ns: int) -> int:
        """Note series and events that were seen: new things become discovered things, known ones get what is new.

        What a person wrote stays as it is, and what was removed stays away unless it was seen since. Returns how many
        things have changed; when none has, `version` stays. Names that cannot be are left out, and so are things
        beyond DISCOVERED_MAX and what a description cannot hold; their readings are in the history nonetheless.
        """
        groups = by_thing(seen)
        return self._database.write(lambda session: observe(session, groups, now_ns)) if groups else 0


def _check_client_td(td: Any) -> dict[str, Any]:
    """A description as a client sends it, checked, without what the platform adds when it serves one."""
    if isinstance(td, dict):
        td = without_forms({key: value for key, value in td.items() if key != _REGISTRATION})
    td = check_td(td)
    return with_our_context(td) if STRICT_KEY in td or TENANT_KEY in td else td


def _checked_change(row: ThingRow, old: str, td: Mapping[str, Any]) -> dict[str, Any]:
    if td.get("id", row.id) != row.id:
        raise BadInputError(f"an id never changes: the thing {row.name} has {row.id}, the description {td['id']}")
    return confirm_changed({**td, "id": row.id}, msgspec.json.decode(old))


def _new_id(id_: str, td: Mapping[str, Any]) -> tuple[str, str | None]:
    """The id and, if the address has one, the name of a thing that is PUT where none was.

    An address that could be both is an id, unless it is the name that follows from the description's id.
    """
    given = td.get("id")
    if given is not None and valid_thing_name(id_) and (not valid_id(id_) or name_from_id(given) == id_):
        return given, id_
    if valid_id(id_):
        if given not in (None, id_):
            raise BadInputError(f"the description has the id {given}, but the address says {id_}")
        return id_, None
    if not valid_thing_name(id_):
        raise BadInputError(f"{id_[:64]!r} is neither a URI nor a name of 1 to 128 letters, digits and . _ : -")
    return id_from_name(id_), id_


def _add(session: Session, td: dict[str, Any], name: str | None, likely: str, now_ns: int, change: int) -> Thing:
    """`name` was chosen by a person, `likely` is the first guess if none was."""
    chosen = name or likely or name_from_id(td["id"], td["title"])
    taken = rows.find_name(session, chosen)
    if taken is not None and taken[0].state != DISCOVERED:
        suffix = "-" + digest_suffix(td["id"])
        other = chosen[: THING_NAME_MAX - len(suffix)] + suffix
        if name is not None or rows.find_name(session, other):
            raise ConflictError(f"the name {chosen} is taken by the thing {taken[0].id}: choose another")
        chosen, taken = other, None
    if td["id"].startswith(ID_PREFIX) and td["id"] != id_from_name(chosen):
        raise BadInputError(f"the id {td['id']} is kept for the thing of that name, not for {chosen}")
    if taken is None:
        return rows.insert(session, chosen, td, now_ns, change)
    row, old = taken
    return rows.update(session, row, old, with_inferred(td, msgspec.json.decode(old)), ADOPTED, now_ns, change)
