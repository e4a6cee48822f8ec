"""Tokens: what devices, programs and the console's MQTT client show instead of a password. Thread-safe."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import ACCESS, count
from allthings.registry.database import Database
from allthings.registry.digests import digest, new_secret
from allthings.registry.schema import ThingRow, TokenRow, UserRow
from allthings.registry.settings import (
    BRIEF_TOKEN_NS,
    EXPIRED_TOKEN_KEPT_NS,
    TOKEN_LABEL_MAX,
    TOKENS_PER_SUBJECT_MAX,
)
from allthings.registry.users import User, user_from
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError
from allthings.things.names import valid_id, valid_thing_name

Kind = Literal["device", "api", "mqtt"]
_PREFIXES: Final[dict[Kind, str]] = {"device": "atd", "api": "ata", "mqtt": "atm"}
_TOKEN: Final = re.compile(r"(atd|ata|atm)_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Token:
    """`subject` is the thing's name (device) or the user's (api, mqtt). `secret` is known only right after creation.

    One of kind mqtt is for MQTT alone, and for some minutes (`expires_ns`).
    """

    id: str
    kind: Kind
    subject: str
    label: str
    created_ns: int
    secret: str = ""
    expires_ns: int | None = None


def looks_like_token(secret: str) -> bool:
    """Whether it has a token's form, so that checking it as a password would be a waste."""
    return _TOKEN.fullmatch(secret) is not None


class Tokens:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, kind: Kind, subject: str, label: str, now_ns: int) -> Token:
        """A new token for a thing (by name or id) or for a user; its secret is in the answer and nowhere else.

        Raises NotFoundError if there is no such thing or user, BadInputError, LimitExceededError.
        """
        if kind not in _PREFIXES:
            raise BadInputError(f"a token is for a device, for api or for mqtt, not for {kind!r}")
        if len(label) > TOKEN_LABEL_MAX or "\x00" in label:
            raise BadInputError(f"a label has at most {TOKEN_LABEL_MAX} characters")
        secret = new_secret(_PREFIXES[kind])
        token_id = secrets.token_hex(8)
        expires_ns = now_ns + BRIEF_TOKEN_NS if kind == "mqtt" else None

        def change(session: Session) -> Token:
            name = _subject(session, kind, subject)
            session.execute(sa.delete(TokenRow).where(TokenRow.expires_ns < now_ns - EXPIRED_TOKEN_KEPT_NS))
            existing = (
                sa.select(sa.func.count())
                .select_from(TokenRow)
                .where(_belongs_to(kind, name), TokenRow.kind == kind, valid_at(now_ns))
            )
            if session.execute(existing).scalar_one() >= TOKENS_PER_SUBJECT_MAX:
                raise LimitExceededError(
                    f"{name} has {TOKENS_PER_SUBJECT_MAX} tokens already: revoke those that are not used"
                )
            row = TokenRow(
                id=token_id,
                digest=digest(secret),
                kind=kind,
                thing=name if kind == "device" else None,
                user=None if kind == "device" else name,
                label=label,
                created_ns=now_ns,
                expires_ns=expires_ns,
            )
            session.add(row)
            return Token(token_id, kind, name, label, now_ns, secret, expires_ns)

        return self._database.write(change)

    def verify_device(self, thing: str, secret: str) -> bool:
        """Whether this is a token of the thing of that name."""
        row = self._find("device", secret)
        return row is not None and row.thing == thing

    def verify_bearer(self, secret: str) -> User | None:
        """The user for whom a program with this token acts."""
        row = self._find("api", secret)
        if row is None:
            return None
        with self._database.read() as session:
            user = session.get(UserRow, row.user)
            return user_from(user) if user else None

    def list(self, subject: str | None = None, *, kind: Kind | None = None) -> list[Token]:
        """Tokens without their secrets, oldest first; those of one thing (by name) or user, of one kind."""
        statement = sa.select(TokenRow).order_by(TokenRow.created_ns, TokenRow.id)
        if subject is not None:
            kinds: tuple[Kind, ...] = ("device", "api")
            statement = statement.where(sa.or_(*(_belongs_to(each, subject) for each in kinds)))
        if kind is not None:
            statement = statement.where(TokenRow.kind == kind)
        with self._database.read() as session:
            return [_token(row) for row in session.scalars(statement)]

    def get(self, id_: str) -> Token:
        """One token without its secret. Raises NotFoundError."""
        with self._database.read() as session:
            return _token(_require(session, id_))

    def revoke(self, id_: str) -> Token:
        """The token is worth nothing from now on; what it was. Raises NotFoundError."""

        def change(session: Session) -> Token:
            count(session, ACCESS)
            row = _require(session, id_)
            session.delete(row)
            return _token(row)

        return self._database.write(change)

    def _find(self, kind: Kind, secret: str) -> TokenRow | None:
        """The index is searched by digest, whose timing tells nothing of the secret; then compared in full."""
        shown = digest(secret)
        with self._database.read() as session:
            statement = sa.select(TokenRow).where(TokenRow.digest == shown, TokenRow.kind == kind)
            row = session.scalars(statement).one_or_none()
            return row if row is not None and hmac.compare_digest(row.digest, shown) else None


def valid_at(now_ns: int) -> sa.ColumnElement[bool]:
    """Tokens that have not expired."""
    return sa.or_(TokenRow.expires_ns.is_(None), TokenRow.expires_ns > now_ns)


def _subject(session: Session, kind: Kind, subject: str) -> str:
    if kind != "device":
        found = session.scalars(sa.select(UserRow.name).where(UserRow.name == subject)).one_or_none()
    elif valid_thing_name(subject) or valid_id(subject):
        either = sa.or_(ThingRow.id == subject, ThingRow.name == subject)
        found = session.scalars(sa.select(ThingRow.name).where(either)).first()
    else:
        found = None
    if found is None:
        raise NotFoundError(f"there is no {'thing' if kind == 'device' else 'user'} {subject[:128]!r}")
    return found


def _require(session: Session, id_: str) -> TokenRow:
    row = session.get(TokenRow, id_) if id_.isalnum() else None
    if row is None:
        raise NotFoundError(f"there is no token with the id {id_[:64]!r}")
    return row


def _belongs_to(kind: Kind, name: str) -> sa.ColumnElement[bool]:
    return (TokenRow.thing if kind == "device" else TokenRow.user) == name


def _token(row: TokenRow) -> Token:
    kind = next(kind for kind in _PREFIXES if kind == row.kind)
    return Token(row.id, kind, row.thing or row.user or "", row.label, row.created_ns, expires_ns=row.expires_ns)
