"""Readings that were deleted: what, and up to which position of the log.

The history drops them; but the log still has them for some days, and reads its blocks again after a crash or when a
history has to be made anew. So a deletion is noted here before anything is dropped, and kept while the log reaches back
to it: whoever reads a block again leaves out what it names (`allthings.readings.deletions`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.database import Database
from allthings.registry.schema import DeletionRow
from allthings.registry.settings import DELETIONS_MAX
from allthings.things.errors import LimitExceededError


class Deletion(NamedTuple):
    """Readings of these things and properties (none named: all, and the things' events as well) from `start_ns` on,
    before `end_ns` (None: unbounded), that stand in the log at or before the position `upto`."""

    things: tuple[str, ...]
    properties: tuple[str, ...]
    start_ns: int | None
    end_ns: int | None
    upto: int


class NotedDeletion(NamedTuple):
    """A deletion as it is kept. Until it is `done` the history may have some of it."""

    id: int
    deletion: Deletion
    done: bool


class NotedDeletions:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, deletion: Deletion, now_ns: int) -> int:
        """Keep a deletion that is about to be made; its id. Raises LimitExceededError."""

        def change(session: Session) -> int:
            count = session.execute(sa.select(sa.func.count()).select_from(DeletionRow)).scalar_one()
            if count >= DELETIONS_MAX:
                raise LimitExceededError(
                    f"{count:,} deletions are remembered until the log has dropped what they are about; delete "
                    "longer spans or more things at once, or wait for the log to drop its oldest blocks"
                )
            row = DeletionRow(
                time_ns=now_ns,
                things=msgspec.json.encode(deletion.things).decode(),
                properties=msgspec.json.encode(deletion.properties).decode(),
                start_ns=deletion.start_ns,
                end_ns=deletion.end_ns,
                upto=deletion.upto,
                done=False,
            )
            session.add(row)
            session.flush()
            return row.id

        return self._database.write(change)

    def done(self, id_: int) -> None:
        """The history has nothing of it any more."""
        statement = sa.update(DeletionRow).where(DeletionRow.id == id_).values(done=True)
        self._database.write(lambda session: session.execute(statement))

    def all(self) -> list[NotedDeletion]:
        """Every deletion that is kept, in the order in which they were made."""
        with self._database.read() as session:
            return [_noted(row) for row in session.scalars(sa.select(DeletionRow).order_by(DeletionRow.id))]

    def drop_before(self, position: int) -> int:
        """Forget those that are done and about positions before this, which the log has dropped. How many."""

        def change(session: Session) -> int:
            old = sa.delete(DeletionRow).where(DeletionRow.done, DeletionRow.upto < position)
            result: Any = session.execute(old)
            return int(result.rowcount)

        return self._database.write(change)

    def clamp(self, position: int) -> None:
        """The log ends at this position: nothing that it will bring was deleted, also when it is another log than
        before or has lost its end."""
        beyond = sa.update(DeletionRow).where(DeletionRow.upto > position).values(upto=position)
        self._database.write(lambda session: session.execute(beyond))


def _noted(row: DeletionRow) -> NotedDeletion:
    things = tuple(msgspec.json.decode(row.things, type=list[str]))
    properties = tuple(msgspec.json.decode(row.properties, type=list[str]))
    return NotedDeletion(row.id, Deletion(things, properties, row.start_ns, row.end_ns, row.upto), row.done)
