"""The tables. Times are nanoseconds since the epoch, UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from allthings.things.names import ID_MAX, PROPERTY_NAME_MAX, TENANT, TENANT_NAME_MAX, THING_NAME_MAX

#: `thing:` and a name.
SUBJECT_MAX: Final = THING_NAME_MAX + 16


def _ordered(length: int) -> TypeEngine[str]:
    """Text that sorts by code point on every database, whatever its locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class CounterRow(Table):
    """`things` counts every change of any thing, `access` every change of who may do what, `bridges` of a bridge.

    Who changes something takes its row first, so changes have one order.
    """

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class ThingRow(Table):
    """What lists, searches and the gateway need of a thing; `change` is the counter's value at its last change.

    `strict` and `tenant` follow from the description's members `allthings:strict` and `allthings:tenant`.
    """

    __tablename__ = "things"
    __table_args__ = (
        Index("ix_things_title_key", "title_key", "name"),
        Index("ix_things_created", "created_ns", "name"),
        Index("ix_things_modified", "modified_ns", "name"),
    )

    name: Mapped[str] = mapped_column(_ordered(THING_NAME_MAX), primary_key=True)
    id: Mapped[str] = mapped_column(_ordered(ID_MAX), unique=True)
    title: Mapped[str] = mapped_column(Text)
    title_key: Mapped[str] = mapped_column(_ordered(256))
    state: Mapped[str] = mapped_column(String(16))
    search: Mapped[str] = mapped_column(Text)
    created_ns: Mapped[int] = mapped_column(BigInteger)
    modified_ns: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    change: Mapped[int] = mapped_column(BigInteger, index=True)
    strict: Mapped[bool] = mapped_column(Boolean, server_default=false(), index=True)
    tenant: Mapped[str] = mapped_column(_ordered(TENANT_NAME_MAX), server_default=TENANT)


class DescriptionRow(Table):
    """The Thing Description as JSON, apart from ThingRow so that lists and searches read little."""

    __tablename__ = "descriptions"

    thing: Mapped[str] = mapped_column(
        _ordered(THING_NAME_MAX), ForeignKey("things.name", ondelete="CASCADE"), primary_key=True
    )
    td: Mapped[str] = mapped_column(Text)


class RemovalRow(Table):
    """What was removed from the directory: readings and events up to `position` of the log are no longer its news.

    `part` is "" for a whole thing, `properties/NAME` or `events/NAME` for a part of its description.
    """

    __tablename__ = "removals"

    thing: Mapped[str] = mapped_column(_ordered(THING_NAME_MAX), primary_key=True)
    part: Mapped[str] = mapped_column(_ordered(PROPERTY_NAME_MAX + 16), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger, index=True)


class DeletionRow(Table):
    """Readings that were deleted: `things` and `properties` are lists as JSON; `upto` is a position of the log.

    It is kept, also when `done`, while the log has blocks up to that position, which may be read again.
    """

    __tablename__ = "deletions"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    time_ns: Mapped[int] = mapped_column(BigInteger)
    things: Mapped[str] = mapped_column(Text)
    properties: Mapped[str] = mapped_column(Text)
    start_ns: Mapped[int | None] = mapped_column(BigInteger)
    end_ns: Mapped[int | None] = mapped_column(BigInteger)
    upto: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[bool] = mapped_column(Boolean)


class UserRow(Table):
    """`stamp` is the access counter's value when the password was last changed."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    password: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))
    tenant: Mapped[str] = mapped_column(_ordered(TENANT_NAME_MAX), server_default=TENANT)
    stamp: Mapped[int] = mapped_column(BigInteger, server_default="0")


class SessionRow(Table):
    """A login; only the token's digest is kept."""

    __tablename__ = "sessions"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    created_ns: Mapped[int] = mapped_column(BigInteger, index=True)
    seen_ns: Mapped[int] = mapped_column(BigInteger)


class TokenRow(Table):
    """A device's token belongs to a thing, that of a program or of a browser's MQTT to a user.

    Only the digest is kept.
    """

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    thing: Mapped[str | None] = mapped_column(
        _ordered(THING_NAME_MAX), ForeignKey("things.name", ondelete="CASCADE"), index=True
    )
    user: Mapped[str | None] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    label: Mapped[str] = mapped_column(String(128))
    created_ns: Mapped[int] = mapped_column(BigInteger)
    #: Null: it lasts until it is revoked.
    expires_ns: Mapped[int | None] = mapped_column(BigInteger)


class DevicePasswordRow(Table):
    """A password that a person chose for a device; `stamp` is the access counter's value at its last change."""

    __tablename__ = "device_passwords"

    thing: Mapped[str] = mapped_column(
        _ordered(THING_NAME_MAX), ForeignKey("things.name", ondelete="CASCADE"), primary_key=True
    )
    password: Mapped[str] = mapped_column(String(256))
    stamp: Mapped[int] = mapped_column(BigInteger)
    created_ns: Mapped[int] = mapped_column(BigInteger)


class AccessRuleRow(Table):
    """A rule allows its subject to publish, subscribe, or both on a topic filter with placeholders."""

    __tablename__ = "access_rules"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(_ordered(SUBJECT_MAX), index=True)
    filter: Mapped[str] = mapped_column(Text)
    publish: Mapped[bool] = mapped_column(Boolean)
    subscribe: Mapped[bool] = mapped_column(Boolean)
    note: Mapped[str] = mapped_column(String(256))
    created_ns: Mapped[int] = mapped_column(BigInteger)


class QuotaRow(Table):
    """How much a second one client or one tenant may send; NULL is no limit."""

    __tablename__ = "quotas"

    scope: Mapped[str] = mapped_column(_ordered(SUBJECT_MAX), primary_key=True)
    messages_s: Mapped[float | None] = mapped_column(Double)
    bytes_s: Mapped[float | None] = mapped_column(Double)
    over: Mapped[str] = mapped_column(String(16))


class BridgeRow(Table):
    """A bridge to another broker; `maps` is JSON. The password must be told to that broker, so it is sealed."""

    __tablename__ = "bridges"

    name: Mapped[str] = mapped_column(_ordered(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    url: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(8))
    user: Mapped[str] = mapped_column(Text)
    password: Mapped[str] = mapped_column(Text)
    ca: Mapped[str] = mapped_column(Text)
    maps: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean)
    created_ns: Mapped[int] = mapped_column(BigInteger)
    modified_ns: Mapped[int] = mapped_column(BigInteger)
    certificate: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)


class AuditRow(Table):
    """Something that was refused (`area` refusal) or that a person changed (`area` change)."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_area", "area", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    time_ns: Mapped[int] = mapped_column(BigInteger, index=True)
    area: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(32))
    who: Mapped[str] = mapped_column(Text)
    client: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    repeated: Mapped[int] = mapped_column(BigInteger)
