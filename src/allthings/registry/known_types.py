"""The types of all properties of all things, kept in step with the database at little cost."""

from __future__ import annotations

import threading

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import versions
from allthings.registry.database import Database
from allthings.registry.schema import DescriptionRow, ThingRow
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
