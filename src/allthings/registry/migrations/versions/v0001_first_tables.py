"""Things, their descriptions, users, sessions, tokens.

Revision: 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _ordered(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    op.bulk_insert(counters, [{"name": "things", "value": 0}])
    op.create_table(
        "things",
        sa.Column("name", _ordered(128), nullable=False),
        sa.Column("id", _ordered(512), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("title_key", _ordered(256), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_things"),
        sa.UniqueConstraint("id", name="uq_things_id"),
    )
    op.create_index("ix_things_title_key", "things", ["title_key", "name"])
    op.create_index("ix_things_created", "things", ["created_ns", "name"])
    op.create_index("ix_things_modified", "things", ["modified_ns", "name"])
    op.create_index("ix_things_change", "things", ["change"])
    op.create_table(
        "descriptions",
        sa.Column("thing", _ordered(128), nullable=False),
        sa.Column("td", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("thing", name="pk_descriptions"),
        sa.ForeignKeyConstraint(["thing"], ["things.name"], name="fk_descriptions_thing", ondelete="CASCADE"),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("password", sa.String(256), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_sessions_user", ondelete="CASCADE"),
    )
    op.create_index("ix_sessions_user", "sessions", ["user"])
    op.create_index("ix_sessions_created_ns", "sessions", ["created_ns"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("thing", _ordered(128), nullable=True),
        sa.Column("user", sa.String(64), nullable=True),
        sa.Column("label", sa.String(128), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
        sa.ForeignKeyConstraint(["thing"], ["things.name"], name="fk_tokens_thing", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_tokens_user", ondelete="CASCADE"),
    )
    op.create_index("ix_tokens_thing", "tokens", ["thing"])
    op.create_index("ix_tokens_user", "tokens", ["user"])


def downgrade() -> None:
    for table in ("tokens", "sessions", "users", "descriptions", "things", "counters"):
        op.drop_table(table)
