"""What was removed and what was deleted is remembered.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _ordered(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("thing", _ordered(128), nullable=False),
        sa.Column("part", _ordered(144), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("thing", "part", name="pk_removals"),
    )
    op.create_index("ix_removals_position", "removals", ["position"])
    op.create_table(
        "deletions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("things", sa.Text(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=True),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
    )
    # Earlier versions did not note what was removed: what the history has and these things do not is settled once,
    # at the next start (allthings.registry.removals).
    counters = sa.table("counters", sa.column("name", sa.String), sa.column("value", sa.BigInteger))
    things = op.get_bind().execute(sa.text("SELECT count(*) FROM things")).scalar_one()
    op.bulk_insert(counters, [{"name": "removals-unsettled", "value": int(things > 0)}])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM counters WHERE name = 'removals-unsettled'"))
    op.drop_table("deletions")
    op.drop_table("removals")
