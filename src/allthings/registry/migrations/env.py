"""What Alembic runs for each command: on the connection that the caller gives."""

from __future__ import annotations

from alembic import context

from allthings.registry.schema import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    # SQLite can do it as well, and the caller has begun the transaction.
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
