"""Counters of changes: how other processes notice, by one cheap query, that something is no longer as it was."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.schema import CounterRow

Counter = Literal["things", "access", "bridges"]
THINGS: Final[Counter] = "things"
ACCESS: Final[Counter] = "access"
BRIDGES: Final[Counter] = "bridges"


class Versions(NamedTuple):
    """Each number grows with every change, in whatever process.

    `access`: of a rule, a quota, a credential's end, a user's role, a tenant. `things`: of any thing.
    """

    things: int
    access: int


def versions(session: Session) -> Versions:
    """Both counters in one query."""
    found = {row.name: row.value for row in session.scalars(sa.select(CounterRow))}
    return Versions(found[THINGS], found[ACCESS])


def count(session: Session, counter: Counter) -> int:
    """One more change; the new number. Writers go one after the other, so numbers have the order of the commits."""
    statement = (
        sa.update(CounterRow)
        .where(CounterRow.name == counter)
        .values(value=CounterRow.value + 1)
        .returning(CounterRow.value)
    )
    return session.execute(statement).scalar_one()
