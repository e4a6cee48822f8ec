"""Bridges to other brokers.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _ordered(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    counters = sa.table("counters", sa.column("name", sa.String), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "bridges", "value": 0}])
    op.create_table(
        "bridges",
        sa.Column("name", _ordered(64), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("version", sa.String(8), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("user", "password", "ca", "maps")),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_bridges"),
        sa.UniqueConstraint("id", name="uq_bridges_id"),
    )


def downgrade() -> None:
    op.drop_table("bridges")
    op.execute(sa.text("DELETE FROM counters WHERE name = 'bridges'"))
