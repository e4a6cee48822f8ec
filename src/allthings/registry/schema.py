"""The tables. Times are nanoseconds since the epoch, UTC."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from allthings.things.names import ID_MAX, THING_NAME_MAX


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
    """`things` counts every change of any thing. Who changes things takes this row first, so changes have one order."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class ThingRow(Table):
    """What lists and searches need of a thing; `change` is the counter's value at its last change."""

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


class DescriptionRow(Table):
    """The Thing Description as JSON, apart from ThingRow so that lists and searches read little."""

    __tablename__ = "descriptions"

    thing: Mapped[str] = mapped_column(
        _ordered(THING_NAME_MAX), ForeignKey("things.name", ondelete="CASCADE"), primary_key=True
    )
    td: Mapped[str] = mapped_column(Text)


class UserRow(Table):
    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    password: Mapped[str] = mapped_column(String(256))
    role: Mapped[str] = mapped_column(String(16))


class SessionRow(Table):
    """A login; only the token's digest is kept."""

    __tablename__ = "sessions"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    created_ns: Mapped[int] = mapped_column(BigInteger, index=True)
    seen_ns: Mapped[int] = mapped_column(BigInteger)


class TokenRow(Table):
    """A device's token belongs to a thing, a program's to a user; only the digest is kept."""

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
