"""The types of all properties of all things, kept in step with the database at little cost."""

from __future__ import annotations

import threading

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import versions
from allthings.registry.database import Database
from allthings.registry.schema import DescriptionRow, ThingRow
from allthings.registry.settings import LOOKUP_CHUNK
from allthings.things.td import property_types
from allthings.things.types import PropertyType


class KnownTypes:
    """Thread-safe. Descriptions are read again only of things that changed since the last call."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._types: dict[str, dict[str, PropertyType]] = {}
        self._version = -1

    def read(self) -> dict[str, dict[str, PropertyType]]:
        """Thing name -> property name -> type. A changed thing makes a new dict, so an answer never changes later."""
        with self._lock, self._database.read() as session:
            version = versions(session).things
            if version != self._version:
                self._types = self._refreshed(session)
                self._version = version
            return self._types

    def _refreshed(self, session: Session) -> dict[str, dict[str, PropertyType]]:
        statement = (
            sa.select(ThingRow.name, DescriptionRow.td)
            .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
            .where(ThingRow.change > self._version)
        )
        changed = {name: property_types(msgspec.json.decode(td)) for name, td in session.execute(statement)}
        types = {**self._types, **changed}
        count = session.execute(sa.select(sa.func.count()).select_from(ThingRow)).scalar_one()
        if count == len(types):
            return types
        # Some were removed.
        left = set(session.execute(sa.select(ThingRow.name)).scalars())
        return {name: known for name, known in types.items() if name in left}


class StrictTypes:
    """The same of the things that are strict alone, for who needs no others. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, dict[str, PropertyType]]] = {}

    def read(self) -> dict[str, dict[str, PropertyType]]:
        """Thing name -> property name -> type. Descriptions are read again only of things that changed."""
        with self._lock, self._database.read() as session:
            strict = sa.select(ThingRow.name, ThingRow.change).where(ThingRow.strict)
            changes = {row.name: row.change for row in session.execute(strict)}
            changed = [name for name, change in changes.items() if self._known.get(name, (-1,))[0] != change]
            found: dict[str, dict[str, PropertyType]] = {}
            for at in range(0, len(changed), LOOKUP_CHUNK):
                chunk = changed[at : at + LOOKUP_CHUNK]
                statement = sa.select(DescriptionRow.thing, DescriptionRow.td).where(DescriptionRow.thing.in_(chunk))
                found |= {name: property_types(msgspec.json.decode(td)) for name, td in session.execute(statement)}
            kept = {name: known for name, known in self._known.items() if name in changes}
            self._known = kept | {name: (changes[name], types) for name, types in found.items()}
            return {name: types for name, (_, types) in self._known.items()}
