"""People: passwords and logins.

Passwords are kept as argon2id (RFC 9106), sessions as digests of random tokens. Thread-safe.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import ACCESS, count
from allthings.registry.database import Database
from allthings.registry.digests import digest, new_secret, readable_password
from allthings.registry.passwords import Passwords
from allthings.registry.schema import AccessRuleRow, QuotaRow, SessionRow, UserRow
from allthings.registry.settings import (
    SESSION_IDLE_NS,
    SESSION_NS,
    SESSION_SEEN_NS,
    SESSIONS_PER_USER_MAX,
    USER_NAME_MAX,
)
from allthings.things.errors import BadInputError, ConflictError, NotFoundError
from allthings.things.names import TENANT, TENANT_NAME_MAX, valid_tenant

Role = Literal["admin", "operator", "viewer"]
ROLES: Final[tuple[Role, ...]] = ("admin", "operator", "viewer")
ADMIN: Final = "admin"

_NAME: Final = re.compile(rf"[A-Za-z0-9._@-]{{1,{USER_NAME_MAX}}}")


@dataclass(frozen=True)
class User:
    """An admin may change everything, an operator everything but who may do what; a viewer may look."""

    name: str
    role: Role
    tenant: str = TENANT


class Users:
    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    def create(self, name: str, password: str, role: Role, tenant: str = TENANT) -> User:
        """Raises BadInputError for a name, password, role or tenant that cannot be, ConflictError if it is taken."""
        if not valid_user_name(name):
            raise BadInputError(f"{name[:64]!r} is no user name: 1 to {USER_NAME_MAX} letters, digits and . _ @ -")
        _check(role, tenant)
        hashed = self._passwords.hash(password)

        def change(session: Session) -> User:
            if session.get(UserRow, name):
                raise ConflictError(f"there is a user {name} already")
            session.add(UserRow(name=name, password=hashed, role=role, tenant=tenant, stamp=count(session, ACCESS)))
            return User(name, role, tenant)

        return self._database.write(change)

    def get(self, name: str) -> User:
        """Raises NotFoundError."""
        with self._database.read() as session:
            return user_from(_require(session, name))

    def change(self, name: str, role: Role | None = None, tenant: str | None = None) -> User:
        """Give a user another role or tenant. Raises NotFoundError, BadInputError, ConflictError (the last admin)."""
        _check(role or "viewer", tenant or TENANT)

        def change(session: Session) -> User:
            count(session, ACCESS)
            row = _require(session, name)
            if role is not None and role != "admin":
                _keep_an_admin(session, row)
            row.role = role or row.role
            row.tenant = tenant or row.tenant
            return user_from(row)

        return self._database.write(change)

    def list(self) -> list[User]:
        """All users by name."""
        with self._database.read() as session:
            return [user_from(row) for row in session.scalars(sa.select(UserRow).order_by(UserRow.name))]

    def remove(self, name: str) -> None:
        """Remove a user with the sessions, tokens, rules and quotas. Raises NotFoundError, ConflictError."""

        def change(session: Session) -> None:
            count(session, ACCESS)
            row = _require(session, name)
            _keep_an_admin(session, row)
            session.execute(sa.delete(UserRow).where(UserRow.name == row.name))
            session.execute(sa.delete(AccessRuleRow).where(AccessRuleRow.subject == f"user:{row.name}"))
            session.execute(sa.delete(QuotaRow).where(QuotaRow.scope == f"user:{row.name}"))

        self._database.write(change)

    def verify(self, name: str, password: str) -> User | None:
        """The user, if the password is right. Takes as long for a user that does not exist: 0.05 to 0.3 s."""
        with self._database.read() as session:
            row = session.get(UserRow, name) if valid_user_name(name) else None
            user, hashed = (user_from(row), row.password) if row else (None, None)
        return user if self._passwords.matches(hashed, password) else None

    def set_password(self, name: str, password: str) -> None:
        """Also ends all sessions of the user, and MQTT connections made with the old password.

        Raises NotFoundError, BadInputError.
        """
        hashed = self._passwords.hash(password)

        def change(session: Session) -> None:
            row = _require(session, name)
            row.stamp = count(session, ACCESS)
            row.password = hashed
            session.execute(sa.delete(SessionRow).where(SessionRow.user == name))

        self._database.write(change)

    def ensure_admin(self) -> str | None:
        """Create the user `admin` if there is no user at all; its password, which is told only here."""
        with self._database.read() as session:
            if _any_user(session):
                return None
        password = readable_password()
        hashed = self._passwords.hash(password)

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
            user, seen_ns = user_from(found[0]), found[1]
        if now_ns - seen_ns >= SESSION_SEEN_NS:
            touch = sa.update(SessionRow).where(SessionRow.digest == key).values(seen_ns=now_ns)
            self._database.write(lambda session: session.execute(touch))
        return user

    def close_session(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        statement = sa.delete(SessionRow).where(SessionRow.digest == digest(token))
        self._database.write(lambda session: session.execute(statement))


def _expired(now_ns: int) -> sa.ColumnElement[bool]:
    return sa.or_(SessionRow.created_ns <= now_ns - SESSION_NS, SessionRow.seen_ns <= now_ns - SESSION_IDLE_NS)


def _any_user(session: Session) -> bool:
    return session.scalars(sa.select(UserRow.name).limit(1)).first() is not None


def _require(session: Session, name: str) -> UserRow:
    row = session.get(UserRow, name) if valid_user_name(name) else None
    if row is None:
        raise NotFoundError(f"there is no user {name[:64]!r}")
    return row


def _keep_an_admin(session: Session, row: UserRow) -> None:
    """Somebody must be left who can undo what was done."""
    if row.role != "admin":
        return
    others = sa.select(UserRow.name).where(UserRow.role == "admin", UserRow.name != row.name).limit(1)
    if session.scalars(others).first() is None:
        raise ConflictError(f"{row.name} is the only administrator: make another one first")


def _check(role: str, tenant: str) -> None:
    if role not in ROLES:
        raise BadInputError(f"a role is one of {', '.join(ROLES)}, not {role!r}")
    if not valid_tenant(tenant):
        raise BadInputError(f"{tenant[:64]!r} is no tenant: 1 to {TENANT_NAME_MAX} letters, digits and . _ -")


def valid_user_name(name: str) -> bool:
    """Whether this can name a user: 1 to 64 letters, digits, `. _ @ -`."""
    return _NAME.fullmatch(name) is not None


def role_from(text: str) -> Role:
    """What is not known may do the least."""
    return next((role for role in ROLES if role == text), "viewer")


def user_from(row: UserRow) -> User:
    return User(row.name, role_from(row.role), row.tenant)
