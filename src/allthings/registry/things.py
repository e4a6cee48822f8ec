"""Things: create, read, update, delete, list; and those that are discovered."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.database import Database
from allthings.registry.errors import VersionConflictError
from allthings.registry.listing import Page, Sort, list_things
from allthings.registry.rows import ADOPTED, DISCOVERED, State, Thing, encode_td, td_columns, thing_from
from allthings.registry.schema import CounterRow, DescriptionRow, ThingRow
from allthings.registry.seen import SeenProperty, by_thing, merge_seen, with_our_context
from allthings.registry.settings import DISCOVERED_MAX, LOOKUP_CHUNK
from allthings.things.errors import BadInputError, ConflictError, NotFoundError
from allthings.things.names import (
    ID_PREFIX,
    digest_suffix,
    id_from_name,
    name_from_id,
    slug,
    valid_id,
    valid_thing_name,
)
from allthings.things.td import (
    INFERRED,
    TD_BYTES_MAX,
    check_td,
    discovered_td,
    merge_patch,
    property_types,
    without_forms,
)
from allthings.things.types import PropertyType

__all__ = ["Page", "SeenProperty", "Sort", "State", "Thing", "Things"]

_log = logging.getLogger(__name__)

_COUNTER: Final = "things"
#: What a directory adds when it serves a description (WoT Discovery, section 7.3.2.1): ours to say, not the client's.
_REGISTRATION: Final = "registration"


class Things:
    """All things. Thread-safe; other processes may change things at the same time.

    Wherever an `id` is asked for, the thing's name does as well. Changes take an optional `version`, the one that
    was read: if the thing has another one by now, nothing is changed and VersionConflictError is raised.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._types_lock = threading.Lock()
        self._types: dict[str, dict[str, PropertyType]] = {}
        self._types_version = -1

    def get(self, id_: str) -> Thing:
        """Raises NotFoundError."""
        with self._database.read() as session:
            return thing_from(*_require(session, id_))

    def list(
        self,
        search: str = "",
        state: State | None = None,
        sort: Sort = "name",
        descending: bool = False,
        limit: int = 100,
        after: str = "",
    ) -> Page:
        """A page of the things that match; `after` is the `next` of the page before.

        All words of `search` must occur in name, titles, description or @type; capitals do not matter. `title` sorts
        without regard to capitals. Raises BadInputError.
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
            )

    def version(self) -> int:
        """A number that grows with every change of any thing, in whatever process."""
        with self._database.read() as session:
            return _version(session)

    def all_types(self) -> dict[str, dict[str, PropertyType]]:
        """The types of all properties of all things by name. Not to be changed by the caller.

        Kept from call to call: only things that have changed since are read again.
        """
        with self._types_lock, self._database.read() as session:
            version = _version(session)
            if version != self._types_version:
                self._types = _refreshed_types(session, self._types, self._types_version)
                self._types_version = version
            return self._types

    def create(self, td: Any, now_ns: int, name: str | None = None) -> Thing:
        """Add a thing. Without an id it gets a random one; without a name, one that follows from the id or title.

        A discovered thing of that name is adopted: it gets this description, keeps its readings, and the properties
        that the description does not name stay inferred. Raises InvalidTdError, LimitExceededError, BadInputError,
        ConflictError when the id or the name is taken.
        """
        td = check_client_td(td)
        if name is not None and not valid_thing_name(name):
            raise BadInputError(f"{name[:64]!r} is no name: 1 to 128 letters, digits and . _ : -")
        chosen = name or slug(td["title"]) if "id" not in td else name
        td.setdefault("id", id_from_name(name) if name else uuid.uuid4().urn)

        def change(session: Session) -> Thing:
            number = _bump(session)
            if (found := _find(session, td["id"])) and found[0].state != DISCOVERED:
                raise ConflictError(f"a thing with the id {td['id']} exists already: change it with PUT or PATCH")
            return _add(session, td, chosen, explicit=name is not None, now_ns=now_ns, change=number)

        return self._database.write(change)

    def put(self, id_: str, td: Any, now_ns: int, version: int | None = None) -> tuple[Thing, bool]:
        """Replace a thing's description, or create the thing; True if it was created.

        A discovered thing is adopted by it. The id never changes. Raises as create does, and VersionConflictError.
        """
        td = check_client_td(td)

        def change(session: Session) -> tuple[Thing, bool]:
            number = _bump(session)
            found = _find(session, id_)
            if found is None:
                if version is not None:
                    raise _not_found(id_)
                name = id_ if valid_thing_name(id_) and not valid_id(id_) else None
                created = {**td, "id": _put_id(id_, td, name)}
                if _find(session, created["id"]):
                    raise ConflictError(f"the id {created['id']} belongs to another thing")
                return _add(session, created, name, explicit=name is not None, now_ns=now_ns, change=number), True
            row, _ = found
            _check_version(row, version)
            replaced = {**td, "id": _same_id(row, td)}
            return _update(session, row, replaced, now_ns, number, state=ADOPTED), False

        return self._database.write(change)

    def patch(self, id_: str, merge: Any, now_ns: int, version: int | None = None) -> Thing:
        """Change members of a description (RFC 7396). Raises as put does, and NotFoundError."""
        if not isinstance(merge, dict):
            raise BadInputError("a merge patch of a thing is a JSON object")

        def change(session: Session) -> Thing:
            number = _bump(session)
            row, td = _require(session, id_)
            _check_version(row, version)
            patched = check_client_td(merge_patch(msgspec.json.decode(td), merge))
            patched["id"] = _same_id(row, patched)
            return _update(session, row, patched, now_ns, number)

        return self._database.write(change)

    def adopt(self, id_: str, now_ns: int, title: str | None = None) -> Thing:
        """A person wants this discovered thing. Adopting twice changes nothing but the title. Raises NotFoundError."""

        def change(session: Session) -> Thing:
            number = _bump(session)
            row, encoded = _require(session, id_)
            td = msgspec.json.decode(encoded)
            if title is not None:
                td = check_td({**td, "title": title})
            return _update(session, row, td, now_ns, number, state=ADOPTED)

        return self._database.write(change)

    def remove(self, id_: str, version: int | None = None) -> None:
        """Remove a thing with its tokens; its readings stay in the history. Raises NotFoundError."""

        def change(session: Session) -> None:
            _bump(session)
            row, _ = _require(session, id_)
            _check_version(row, version)
            session.execute(sa.delete(ThingRow).where(ThingRow.name == row.name))

        self._database.write(change)

    def observe(self, seen: Sequence[SeenProperty], now_ns: int) -> int:
        """Note series that were seen: new things become discovered things, known ones get the new properties.

        What a person wrote stays as it is. Returns how many things have changed; when none has, `version` stays.
        """
        groups = by_thing(seen)
        if not groups:
            return 0

        def change(session: Session) -> int:
            number = _bump(session)
            changed = 0
            names = iter(groups)
            while chunk := list(islice(names, LOOKUP_CHUNK)):
                changed += _observe(session, {name: groups[name] for name in chunk}, now_ns, number)
            if not changed:
                session.rollback()
            return changed

        return self._database.write(change)


def check_client_td(td: Any) -> dict[str, Any]:
    """A description as a client sends it, checked, without what the platform adds when it serves one."""
    if isinstance(td, dict):
        td = without_forms({key: value for key, value in td.items() if key != _REGISTRATION})
    return check_td(td)


def _version(session: Session) -> int:
    statement = sa.select(CounterRow.value).where(CounterRow.name == _COUNTER)
    return session.execute(statement).scalar_one()


def _bump(session: Session) -> int:
    """Take the counter's row for this transaction, so that changes happen one after the other."""
    statement = (
        sa.update(CounterRow)
        .where(CounterRow.name == _COUNTER)
        .values(value=CounterRow.value + 1)
        .returning(CounterRow.value)
    )
    return session.execute(statement).scalar_one()


def _find(session: Session, id_: str) -> tuple[ThingRow, str] | None:
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


def _require(session: Session, id_: str) -> tuple[ThingRow, str]:
    found = _find(session, id_)
    if found is None:
        raise _not_found(id_)
    return found


def _not_found(id_: str) -> NotFoundError:
    return NotFoundError(f"there is no thing with the id or name {id_[:128]!r}")


def _check_version(row: ThingRow, version: int | None) -> None:
    if version is not None and version != row.version:
        raise VersionConflictError(
            f"the thing {row.name} has changed: it is at version {row.version}, not {version}; read it again",
            version=row.version,
        )


def _put_id(id_: str, td: Mapping[str, Any], name: str | None) -> str:
    given = td.get("id")
    if name is not None:
        return str(given) if given else id_from_name(name)
    if not valid_id(id_):
        raise BadInputError(f"{id_[:64]!r} is neither a URI nor a name of 1 to 128 letters, digits and . _ : -")
    if given not in (None, id_):
        raise BadInputError(f"the description has the id {given}, but the address says {id_}")
    return id_


def _same_id(row: ThingRow, td: Mapping[str, Any]) -> str:
    if td.get("id", row.id) != row.id:
        raise BadInputError(f"an id never changes: the thing {row.name} has {row.id}, the description {td['id']}")
    return row.id


def _add(session: Session, td: dict[str, Any], name: str | None, *, explicit: bool, now_ns: int, change: int) -> Thing:
    name = name or name_from_id(td["id"], td["title"])
    taken = _named(session, name)
    if taken is not None and taken[0].state != DISCOVERED:
        if explicit:
            raise ConflictError(f"the name {name} is taken by the thing {taken[0].id}")
        suffix = "-" + digest_suffix(td["id"])
        name = name[: 128 - len(suffix)] + suffix
        taken = _named(session, name)
        if taken is not None:
            raise ConflictError(f"the name {name} is taken by the thing {taken[0].id}: choose one")
    if td["id"].startswith(ID_PREFIX) and td["id"] != id_from_name(name):
        raise BadInputError(f"the id {td['id']} is kept for the thing of that name, not for {name}")
    if taken is not None:
        row, old = taken
        merged = with_inferred(td, msgspec.json.decode(old))
        return _update(session, row, merged, now_ns, change, state=ADOPTED)
    row = ThingRow(
        name=name,
        state=ADOPTED,
        created_ns=now_ns,
        modified_ns=now_ns,
        version=1,
        change=change,
        **td_columns(name, td),
    )
    encoded = encode_td(td)
    session.add(row)
    session.flush()
    session.add(DescriptionRow(thing=name, td=encoded))
    session.flush()
    return thing_from(row, encoded)


def _named(session: Session, name: str) -> tuple[ThingRow, str] | None:
    found = _find(session, name)
    return found if found is not None and found[0].name == name else None


def with_inferred(td: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The new description with those inferred properties of the old one that it does not name."""
    properties = td.get("properties", {})
    kept = {
        name: affordance
        for name, affordance in old.get("properties", {}).items()
        if affordance.get(INFERRED) and name not in properties
    }
    if not kept:
        return td
    merged = with_our_context({**td, "properties": {**properties, **kept}})
    return merged if _fits(encode_td(merged)) else td


def _update(
    session: Session, row: ThingRow, td: dict[str, Any], now_ns: int, change: int, state: State | None = None
) -> Thing:
    encoded = encode_td(td)
    for column, value in td_columns(row.name, td).items():
        setattr(row, column, value)
    row.state = state or row.state
    row.modified_ns = now_ns
    row.version += 1
    row.change = change
    statement = sa.update(DescriptionRow).where(DescriptionRow.thing == row.name).values(td=encoded)
    session.execute(statement)
    session.flush()
    return thing_from(row, encoded)


def _fits(encoded: str) -> bool:
    return len(encoded.encode()) <= TD_BYTES_MAX


def _observe(session: Session, groups: Mapping[str, Sequence[SeenProperty]], now_ns: int, change: int) -> int:
    known = {
        name: (version, td)
        for name, version, td in session.execute(
            sa.select(ThingRow.name, ThingRow.version, DescriptionRow.td)
            .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
            .where(ThingRow.name.in_(groups))
        )
    }
    changed: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    descriptions: dict[str, str] = {}
    room = DISCOVERED_MAX - _count_discovered(session) if len(known) < len(groups) else 0
    for name, seen in groups.items():
        version, old = known.get(name, (0, ""))
        td = msgspec.json.decode(old) if old else discovered_td(name, {})
        properties = merge_seen(td.get("properties", {}), seen)
        if properties is None or (not old and room <= 0):
            continue
        td = with_our_context({**td, "properties": properties})
        encoded = encode_td(td)
        if not _fits(encoded):
            _log.warning("the description of %s is full: new properties are kept in the history only", name)
            continue
        descriptions[name] = encoded
        row = {"name": name, "modified_ns": now_ns, "version": version + 1, "change": change}
        if old:
            changed.append(row)
        else:
            room -= 1
            added.append(row | {"state": DISCOVERED, "created_ns": now_ns} | td_columns(name, td))
    if len(known) < len(groups) and room <= 0:
        _log.warning("%d discovered things are the most: others are kept in the history only", DISCOVERED_MAX)
    _write(session, changed, added, descriptions)
    return len(descriptions)


def _write(
    session: Session, changed: list[dict[str, Any]], added: list[dict[str, Any]], descriptions: Mapping[str, str]
) -> None:
    if changed:
        session.execute(sa.update(ThingRow), changed)
        session.execute(sa.update(DescriptionRow), [_description(row, descriptions) for row in changed])
    if added:
        session.execute(sa.insert(ThingRow), added)
        session.execute(sa.insert(DescriptionRow), [_description(row, descriptions) for row in added])


def _description(row: Mapping[str, Any], descriptions: Mapping[str, str]) -> dict[str, str]:
    return {"thing": row["name"], "td": descriptions[row["name"]]}


def _count_discovered(session: Session) -> int:
    statement = sa.select(sa.func.count()).select_from(ThingRow).where(ThingRow.state == DISCOVERED)
    return session.execute(statement).scalar_one()


def _refreshed_types(
    session: Session, types: Mapping[str, dict[str, PropertyType]], since: int
) -> dict[str, dict[str, PropertyType]]:
    """The types with what changed after the counter stood at `since`."""
    statement = (
        sa.select(ThingRow.name, DescriptionRow.td)
        .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
        .where(ThingRow.change > since)
    )
    changed = {name: property_types(msgspec.json.decode(td)) for name, td in session.execute(statement)}
    refreshed = {**types, **changed}
    count = session.execute(sa.select(sa.func.count()).select_from(ThingRow)).scalar_one()
    if count != len(refreshed):  # some were removed
        left = set(session.execute(sa.select(ThingRow.name)).scalars())
        refreshed = {name: known for name, known in refreshed.items() if name in left}
    return refreshed
