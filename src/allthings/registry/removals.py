"""What was removed from the directory, so that nothing but news brings it back.

A thing, a property or an event that is removed is gone for everything that was sent up to then, told by the position in
the log: after a restart, when blocks are read again, and when a thing of that name is made anew. The history keeps its
readings; only what is current, lists and discovery look here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.database import Database
from allthings.registry.schema import CounterRow, DescriptionRow, RemovalRow, ThingRow
from allthings.registry.settings import LOOKUP_CHUNK, REMOVALS_MAX
from allthings.things.names import valid_property_name, valid_thing_name

_log = logging.getLogger(__name__)
_UNSETTLED: Final = "removals-unsettled"
WHOLE: Final = ""
#: The members of a description whose parts devices bring.
PROPERTIES: Final = "properties"
EVENTS: Final = "events"


class Removal(NamedTuple):
    """Something removed: `part` is "" for the whole thing, `properties/NAME` or `events/NAME` for a part of it."""

    thing: str
    part: str
    position: int


class Removals:
    """The position up to which readings and events do not count, of every thing and part."""

    def __init__(self, removals: Iterable[Removal] = ()) -> None:
        self._positions: dict[str, dict[str, int]] = {}
        #: The greatest of all; readings beyond it all count.
        self.newest = 0
        for removal in removals:
            self.add(removal)

    def add(self, removal: Removal) -> bool:
        """Take in one more; whether it says anything new."""
        parts = self._positions.setdefault(removal.thing, {})
        if parts.get(removal.part, 0) >= removal.position:
            return False
        parts[removal.part] = removal.position
        self.newest = max(self.newest, removal.position)
        return True

    def __iter__(self) -> Iterator[Removal]:
        for thing, parts in self._positions.items():
            yield from (Removal(thing, part, position) for part, position in parts.items())

    def __bool__(self) -> bool:
        return bool(self._positions)

    def of_property(self, thing: str, name: str) -> int:
        """Readings of this property up to here do not count; 0 when all do."""
        return self._of(thing, f"{PROPERTIES}/{name}")

    def of_event(self, thing: str, name: str) -> int:
        """The same for an event."""
        return self._of(thing, f"{EVENTS}/{name}")

    def of_thing(self, thing: str) -> int:
        """The same for everything that a thing sends."""
        return self._positions.get(thing, {}).get(WHOLE, 0)

    def _of(self, thing: str, part: str) -> int:
        parts = self._positions.get(thing)
        return max(parts.get(WHOLE, 0), parts.get(part, 0)) if parts else 0


class RemovedThings:
    """What other rooms ask and tell of removals. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Removals:
        """Everything that was removed."""
        with self._database.read() as session:
            return Removals(_from(session.scalars(sa.select(RemovalRow))))

    def of(self, thing: str) -> Removals:
        """What was removed of one name."""
        with self._database.read() as session:
            return removals_of(session, [thing])

    def clamp(self, position: int) -> None:
        """The log ends at this position: nothing that it will bring was removed, also when it is another log than
        before or has lost its end."""
        beyond = sa.update(RemovalRow).where(RemovalRow.position > position).values(position=position)
        self._database.write(lambda session: session.execute(beyond))

    def settle(self, series: Callable[[], Iterable[tuple[str, str]]], position: int) -> int:
        """Once, after an upgrade from a version that did not note removals: what the history has (`series` gives
        things and properties) and no description knows was removed before `position`. How many were noted."""
        with self._database.read() as session:
            if not _unsettled(session):
                return 0
        known = list(series())

        def change(session: Session) -> int:
            if not _unsettled(session):
                return 0
            session.execute(sa.update(CounterRow).where(CounterRow.name == _UNSETTLED).values(value=0))
            removed = list(_unknown(session, known))
            _note(session, [(thing, part, position) for thing, part in removed[:REMOVALS_MAX]])
            return len(removed)

        return self._database.write(change)


def note_thing(session: Session, thing: str, position: int) -> None:
    """The whole thing is removed. Nothing is noted for position 0: nobody has read anything yet."""
    session.execute(sa.delete(RemovalRow).where(RemovalRow.thing == thing))
    _note(session, [(thing, WHOLE, position)] if position else [])


def note_parts(session: Session, thing: str, old: Mapping[str, Any], td: Mapping[str, Any], position: int) -> None:
    """A description was changed from `old`: note which properties and events it has no longer."""
    gone = [
        f"{kind}/{name}" for kind in (PROPERTIES, EVENTS) for name in old.get(kind, {}) if name not in td.get(kind, {})
    ]
    if gone and position:
        _note(session, [(thing, part, position) for part in gone])


def removals_of(session: Session, things: Iterable[str]) -> Removals:
    """What was removed of these names, which are not more than one statement may look up."""
    return Removals(_from(session.scalars(sa.select(RemovalRow).where(RemovalRow.thing.in_(list(things))))))


def _note(session: Session, removals: list[tuple[str, str, int]]) -> None:
    for start in range(0, len(removals), LOOKUP_CHUNK):
        chunk = removals[start : start + LOOKUP_CHUNK]
        for thing in {thing for thing, _, _ in chunk}:
            parts = [part for owner, part, _ in chunk if owner == thing]
            session.execute(sa.delete(RemovalRow).where(RemovalRow.thing == thing, RemovalRow.part.in_(parts)))
        session.execute(
            sa.insert(RemovalRow), [{"thing": thing, "part": part, "position": at} for thing, part, at in chunk]
        )
    surplus = session.execute(sa.select(sa.func.count()).select_from(RemovalRow)).scalar_one() - REMOVALS_MAX
    if surplus > 0:
        oldest = sa.select(RemovalRow.position).order_by(RemovalRow.position).offset(surplus - 1).limit(1)
        session.execute(sa.delete(RemovalRow).where(RemovalRow.position <= oldest.scalar_subquery()))
        _log.warning("more than %d removals: what was removed first may be discovered again", REMOVALS_MAX)


def _from(rows: Iterable[RemovalRow]) -> list[Removal]:
    return [Removal(row.thing, row.part, row.position) for row in rows]


def _unsettled(session: Session) -> bool:
    statement = sa.select(CounterRow.value).where(CounterRow.name == _UNSETTLED)
    return bool(session.execute(statement).scalar_one_or_none())


def _unknown(session: Session, series: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The things, and the properties of known things, that no description has."""
    by_thing: dict[str, list[str]] = {}
    for thing, name in series:
        if valid_thing_name(thing) and valid_property_name(name):
            by_thing.setdefault(thing, []).append(name)
    names = list(by_thing)
    for start in range(0, len(names), LOOKUP_CHUNK):
        chunk = names[start : start + LOOKUP_CHUNK]
        statement = (
            sa.select(ThingRow.name, DescriptionRow.td)
            .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
            .where(ThingRow.name.in_(chunk))
        )
        known = {name: msgspec.json.decode(td).get(PROPERTIES, {}) for name, td in session.execute(statement)}
        for thing in chunk:
            if thing not in known:
                yield thing, WHOLE
            else:
                yield from ((thing, f"{PROPERTIES}/{name}") for name in by_thing[thing] if name not in known[thing])
