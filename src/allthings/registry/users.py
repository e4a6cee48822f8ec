"""People: passwords and logins.

Passwords are kept as argon2id (RFC 9106), sessions as digests of random tokens. Thread-safe.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from allthings.registry.database import Database
from allthings.registry.digests import digest, new_secret, readable_password
from allthings.registry.schema import SessionRow, UserRow
from allthings.registry.settings import (
    PASSWORD_CHECKS_AT_ONCE,
    PASSWORD_MAX,
    PASSWORD_MIN,
    SESSION_IDLE_NS,
    SESSION_NS,
    SESSION_SEEN_NS,
    SESSIONS_PER_USER_MAX,
    USER_NAME_MAX,
)
from allthings.things.errors import BadInputError, ConflictError, NotFoundError

Role = Literal["admin", "viewer"]
ROLES: Final[tuple[Role, ...]] = ("admin", "viewer")
ADMIN: Final = "admin"

_NAME: Final = re.compile(rf"[A-Za-z0-9._@-]{{1,{USER_NAME_MAX}}}")


@dataclass(frozen=True)
class User:
    """An admin may change things; a viewer may look."""

    name: str
    role: Role


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._turns = threading.BoundedSemaphore(PASSWORD_CHECKS_AT_ONCE)

    def create(self, name: str, password: str, role: Role) -> User:
        """Raises BadInputError for a name, password or role that cannot be, ConflictError if the name is taken."""
        if not _NAME.fullmatch(name):
            raise BadInputError(f"{name[:64]!r} is no user name: 1 to {USER_NAME_MAX} letters, digits and . _ @ -")
        if role not in ROLES:
            raise BadInputError(f"a role is one of {', '.join(ROLES)}, not {role!r}")
        hashed = self._hash(password)

        def change(session: Session) -> User:
            if session.get(UserRow, name):
                raise ConflictError(f"there is a user {name} already")
            session.add(UserRow(name=name, password=hashed, role=role))
            return User(name, role)

        return self._database.write(change)

    def list(self) -> list[User]:
        """All users by name."""
        with self._database.read() as session:
            return [_user(row) for row in session.scalars(sa.select(UserRow).order_by(UserRow.name))]

    def remove(self, name: str) -> None:
        """Remove a user with the sessions and tokens. Raises NotFoundError."""

        def change(session: Session) -> None:
            row = _require(session, name)
            session.execute(sa.delete(UserRow).where(UserRow.name == row.name))

        self._database.write(change)

    def verify(self, name: str, password: str) -> User | None:
        """The user, if the password is right. Takes as long for a user that does not exist: 0.05 to 0.3 s."""
        with self._database.read() as session:
            row = session.get(UserRow, name) if _NAME.fullmatch(name) else None
            known = (_user(row), row.password) if row else None
        nobody = (None, self._nobodys_hash)  # made at the first call, whoever asks, so that it tells nothing
        user, hashed = known or nobody
        shown = password.encode(errors="replace") if len(password) <= PASSWORD_MAX else b""
        with self._turns:
            try:
                self._hasher.verify(hashed, shown)
            except (VerificationError, InvalidHashError):
                return None
        return user

    def set_password(self, name: str, password: str) -> None:
        """Also ends all sessions of the user. Raises NotFoundError, BadInputError."""
        hashed = self._hash(password)

        def change(session: Session) -> None:
            _require(session, name).password = hashed
            session.execute(sa.delete(SessionRow).where(SessionRow.user == name))

        self._database.write(change)

    def ensure_admin(self) -> str | None:
        """Create the user `admin` if there is no user at all; its password, which is told only here."""
        with self._database.read() as session:
            if _any_user(session):
                return None
        password = readable_password()
        hashed = self._hash(password)

        def change(session: Session) -> str | None:
            if _any_user(session):  # another process was faster
                return None
            session.add(UserRow(name=ADMIN, password=hashed, role="admin"))
            return password

        return self._database.write(change)

    def open_session(self, user: User, now_ns: int) -> str:
        """A new session's token, for the cookie. A user's oldest sessions end when there are too many."""
        token = new_secret("ats")

        def change(session: Session) -> None:
            _require(session, user.name)
            session.execute(sa.delete(SessionRow).where(_expired(now_ns)))
            newest = (
                sa.select(SessionRow.digest)
                .where(SessionRow.user == user.name)
                .order_by(SessionRow.created_ns.desc())
                .limit(SESSIONS_PER_USER_MAX - 1)
            )
            keep = list(session.scalars(newest))
            session.execute(sa.delete(SessionRow).where(SessionRow.user == user.name, SessionRow.digest.not_in(keep)))
            session.add(SessionRow(digest=digest(token), user=user.name, created_ns=now_ns, seen_ns=now_ns))

        self._database.write(change)
        return token

    def session(self, token: str, now_ns: int) -> User | None:
        """Whose session this is; None if it never was, has ended, or was not used for too long."""
        key = digest(token)
        with self._database.read() as session:
            statement = (
                sa.select(UserRow, SessionRow.seen_ns)
                .join(SessionRow, SessionRow.user == UserRow.name)
                .where(SessionRow.digest == key, sa.not_(_expired(now_ns)))
            )
            found = session.execute(statement).one_or_none()
            if found is None:
                return None
            user, seen_ns = _user(found[0]), found[1]
        if now_ns - seen_ns >= SESSION_SEEN_NS:
            touch = sa.update(SessionRow).where(SessionRow.digest == key).values(seen_ns=now_ns)
            self._database.write(lambda session: session.execute(touch))
        return user

    def close_session(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        statement = sa.delete(SessionRow).where(SessionRow.digest == digest(token))
        self._database.write(lambda session: session.execute(statement))

    @cached_property
    def _nobodys_hash(self) -> str:
        """What the password of an unknown user is compared with."""
        return self._hasher.hash(readable_password())

    def _hash(self, password: str) -> str:
        if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
            raise BadInputError(f"a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters, not {len(password)}")
        with self._turns:
            return self._hasher.hash(password.encode(errors="replace"))


def _expired(now_ns: int) -> sa.ColumnElement[bool]:
    return sa.or_(SessionRow.created_ns <= now_ns - SESSION_NS, SessionRow.seen_ns <= now_ns - SESSION_IDLE_NS)


def _any_user(session: Session) -> bool:
    return session.scalars(sa.select(UserRow.name).limit(1)).first() is not None


def _require(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name) if _NAME.fullmatch(name) else None
    if row is None:
        raise NotFoundError(f"there is no user {name[:64]!r}")
    return row


def _user(row: UserRow) -> User:
    return User(row.name, "admin" if row.role == "admin" else "viewer")
