"""Passwords of bridges are sealed, and bridges can show a client certificate.

Revision: 0005, after 0004.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FILES = ("certificate", "key")
_BRIDGES = sa.table("bridges", *(sa.column(name, sa.String) for name in ("name", "id", "url", "password")))


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        # What is replaced is overwritten in the file, too.
        op.execute(sa.text("PRAGMA secure_delete=ON"))
    _rewrite(lambda text, where: context.config.attributes["sealing"].seal(text, where))
    for name in _FILES:
        op.add_column("bridges", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("bridges") as batch:
        for name in _FILES:
            batch.alter_column(name, server_default=None)


def downgrade() -> None:
    _rewrite(lambda text, where: context.config.attributes["sealing"].open(text, where))
    with op.batch_alter_table("bridges") as batch:
        for name in _FILES:
            batch.drop_column(name)


def _rewrite(change: Callable[[str, str], str]) -> None:
    bridges = op.get_bind()
    for name, identity, url, password in bridges.execute(sa.select(_BRIDGES).where(_BRIDGES.c.password != "")).all():
        changed = change(password, f"bridge {identity} {url}")
        bridges.execute(_BRIDGES.update().where(_BRIDGES.c.name == name).values(password=changed))
