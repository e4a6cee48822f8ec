"""Tokens that last for some minutes.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("expires_ns", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM tokens WHERE expires_ns IS NOT NULL"))
    with op.batch_alter_table("tokens") as batch:
        batch.drop_column("expires_ns")
