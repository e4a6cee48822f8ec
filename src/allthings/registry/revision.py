"""Which migration a database is at, told without Alembic: loading that costs memory, and a process that finds
everything up to date, or only asks, does without."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from allthings.registry.database import Database

#: The newest migration of this version.
NEWEST: Final = "0006"


def revision(database: Database) -> str | None:
    """The migration that a database is at; None before the first one. Raises RegistryUnavailableError."""
    with database.read() as session:
        if not sa.inspect(session.connection()).has_table("alembic_version"):
            return None
        return session.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
