"""Access rules, passwords of devices, tenants, quotas, strict things, the audit list.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: What held before there were rules: devices below their own thing, people everywhere, viewers only look.
_DEFAULTS = [
    ("default-devices", "devices", "things/{thing}/#", True, True, "a device under its own thing"),
    ("default-users", "users", "#", False, True, "people see everything"),
    ("default-users-sys", "users", "$SYS/#", False, True, "and how the broker is"),
    ("default-admins", "role:admin", "#", True, False, "administrators publish everywhere"),
    ("default-operators", "role:operator", "#", True, False, "operators publish everywhere"),
]


def _ordered(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    counters = sa.table("counters", sa.column("name", sa.String), sa.column("value", sa.BigInteger))
    op.bulk_insert(counters, [{"name": "access", "value": 1}])
    op.add_column("things", sa.Column("strict", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("things", sa.Column("tenant", _ordered(64), server_default="main", nullable=False))
    op.create_index("ix_things_strict", "things", ["strict"])
    op.add_column("users", sa.Column("tenant", _ordered(64), server_default="main", nullable=False))
    op.add_column("users", sa.Column("stamp", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "device_passwords",
        sa.Column("thing", _ordered(128), nullable=False),
        sa.Column("password", sa.String(256), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("thing", name="pk_device_passwords"),
        sa.ForeignKeyConstraint(["thing"], ["things.name"], name="fk_device_passwords_thing", ondelete="CASCADE"),
    )
    rules = op.create_table(
        "access_rules",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("subject", _ordered(144), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("publish", sa.Boolean(), nullable=False),
        sa.Column("subscribe", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(256), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_rules"),
    )
    op.create_index("ix_access_rules_subject", "access_rules", ["subject"])
    op.bulk_insert(
        rules,
        [
            {
                "id": id_,
                "subject": subject,
                "filter": topic_filter,
                "publish": publish,
                "subscribe": subscribe,
                "note": note,
                "created_ns": 0,
            }
            for id_, subject, topic_filter, publish, subscribe, note in _DEFAULTS
        ],
    )
    op.create_table(
        "quotas",
        sa.Column("scope", _ordered(144), nullable=False),
        sa.Column("messages_s", sa.Double(), nullable=True),
        sa.Column("bytes_s", sa.Double(), nullable=True),
        sa.Column("over", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_quotas"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("area", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("who", "client", "address", "what", "why")),
        sa.Column("repeated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_area", "audit", ["area", "id"])
    op.create_index("ix_audit_time_ns", "audit", ["time_ns"])


def downgrade() -> None:
    for table in ("audit", "quotas", "access_rules", "device_passwords"):
        op.drop_table(table)
    op.drop_column("users", "stamp")
    op.drop_column("users", "tenant")
    op.drop_index("ix_things_strict", "things")
    op.drop_column("things", "tenant")
    op.drop_column("things", "strict")
    op.execute(sa.text("DELETE FROM counters WHERE name = 'access'"))
