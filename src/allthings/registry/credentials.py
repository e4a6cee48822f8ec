"""Who shows which credentials: devices by a token, a password or a certificate, people by a password or a token.

What was found stays linked to its credential: `renew` tells later whether it still holds, so that a connection ends
when its token is revoked, its password changed, or its thing or user removed. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import ACCESS, count
from allthings.registry.database import Database
from allthings.registry.digests import digest
from allthings.registry.passwords import Passwords
from allthings.registry.rows import require
from allthings.registry.schema import DevicePasswordRow, ThingRow, TokenRow, UserRow
from allthings.registry.settings import LOOKUP_CHUNK
from allthings.registry.tokens import valid_at
from allthings.registry.users import role_from, valid_user_name
from allthings.things.errors import NotFoundError
from allthings.things.names import valid_thing_name

_TOKEN: Final = "token:"  # noqa: S105 - the kind of a credential
_PASSWORD: Final = "password:"  # noqa: S105 - the kind of a credential
_CERTIFICATE: Final = "certificate"


@dataclass(frozen=True)
class Standing:
    """Who somebody is. `credential` is what showed it: `token:{id}`, `password:{stamp}` or `certificate`.

    `expires_ns`: when it no longer does for those who come then; 0 never.
    """

    kind: Literal["device", "user"]
    name: str
    role: str
    tenant: str
    credential: str
    expires_ns: int = 0


class Credentials:
    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    def by_tokens(self, shown: Sequence[tuple[str, str]], now_ns: int) -> list[Standing | None]:
        """For each (name, secret) whom it shows, if the secret is a token of the thing or user of that name.

        One query for all. The index is searched by digest, whose timing tells nothing of the secret.
        """
        digests = [digest(secret) for _, secret in shown]
        found: dict[bytes, Standing] = {}
        with self._database.read() as session:
            for row, tenant, user in session.execute(_tokens().where(TokenRow.digest.in_(digests), valid_at(now_ns))):
                found[bytes(row.digest)] = _of_token(row, tenant, user)
        standings = [found.get(each) for each in digests]
        return [
            standing if standing is not None and standing.name == name else None
            for standing, (name, _) in zip(standings, shown, strict=True)
        ]

    def by_password(self, name: str, password: str) -> Standing | None:
        """Whose password this is: the thing's of that name, or the user's. Takes 0.05 to 0.3 s, also for nobody."""
        with self._database.read() as session:
            device = _device(session, name)
            user = session.get(UserRow, name) if valid_user_name(name) else None
            of_user = (_of_user(user, f"{_PASSWORD}{user.stamp}"), user.password) if user else None
        if device is not None and self._passwords.matches(device[1], password):
            return device[0]
        if of_user is None and device is not None:
            return None
        standing, hashed = of_user or (None, None)
        return standing if self._passwords.matches(hashed, password) else None

    def by_certificate(self, thing: str) -> Standing | None:
        """The device of this name, for who has shown a certificate that was mapped to it; None if there is none."""
        if not valid_thing_name(thing):
            return None
        with self._database.read() as session:
            row = session.get(ThingRow, thing)
            return Standing("device", row.name, "", row.tenant, _CERTIFICATE) if row else None

    def renew(self, standings: Collection[Standing]) -> dict[Standing, Standing | None]:
        """Each as it is now (role and tenant may have changed), or None if its credential holds no longer."""
        renewed: dict[Standing, Standing | None] = dict.fromkeys(standings)
        tokens = {one.credential.removeprefix(_TOKEN): one for one in standings if one.credential.startswith(_TOKEN)}
        devices = {one.name: one for one in standings if one.credential == _CERTIFICATE}
        with self._database.read() as session:
            for chunk in _chunks(tokens):
                for row, tenant, user in session.execute(_tokens().where(TokenRow.id.in_(chunk))):
                    renewed[tokens[row.id]] = _of_token(row, tenant, user)
            for chunk in _chunks(devices):
                for name, tenant in session.execute(_tenants(chunk)):
                    renewed[devices[name]] = Standing("device", name, "", tenant, _CERTIFICATE)
            for one in standings:
                if one.credential.startswith(_PASSWORD):
                    renewed[one] = _renewed_password(session, one)
        return renewed

    def set_device_password(self, thing: str, password: str, now_ns: int) -> str:
        """Give a thing (by name or id) a password; it ends connections made with the one before. Its name.

        Raises NotFoundError, BadInputError.
        """
        hashed = self._passwords.hash(password)

        def change(session: Session) -> str:
            stamp = count(session, ACCESS)
            name = require(session, thing)[0].name
            row = session.get(DevicePasswordRow, name)
            if row is None:
                session.add(DevicePasswordRow(thing=name, password=hashed, stamp=stamp, created_ns=now_ns))
            else:
                row.password, row.stamp, row.created_ns = hashed, stamp, now_ns
            return name

        return self._database.write(change)

    def device_password_ns(self, thing: str) -> int | None:
        """When the thing of that name got its password; None if it has none."""
        with self._database.read() as session:
            row = session.get(DevicePasswordRow, thing)
            return row.created_ns if row else None

    def remove_device_password(self, thing: str) -> None:
        """Raises NotFoundError if the thing of that name has none."""

        def change(session: Session) -> None:
            count(session, ACCESS)
            row = session.get(DevicePasswordRow, thing)
            if row is None:
                raise NotFoundError(f"the thing {thing[:128]!r} has no password")
            session.delete(row)

        self._database.write(change)


def _tokens() -> Any:
    return (
        sa.select(TokenRow, ThingRow.tenant, UserRow)
        .join(ThingRow, ThingRow.name == TokenRow.thing, isouter=True)
        .join(UserRow, UserRow.name == TokenRow.user, isouter=True)
    )


def _tenants(things: Collection[str]) -> Any:
    return sa.select(ThingRow.name, ThingRow.tenant).where(ThingRow.name.in_(things))


def _of_token(row: TokenRow, tenant: str | None, user: UserRow | None) -> Standing:
    credential = _TOKEN + row.id
    if user is not None:
        return _of_user(user, credential, row.expires_ns or 0)
    return Standing("device", row.thing or "", "", tenant or "", credential)


def _of_user(user: UserRow, credential: str, expires_ns: int = 0) -> Standing:
    return Standing("user", user.name, role_from(user.role), user.tenant, credential, expires_ns)


def _device(session: Session, name: str) -> tuple[Standing, str] | None:
    """The device of that name if it has a password, and its hash."""
    if not valid_thing_name(name):
        return None
    statement = (
        sa.select(DevicePasswordRow, ThingRow.tenant)
        .join(ThingRow, ThingRow.name == DevicePasswordRow.thing)
        .where(DevicePasswordRow.thing == name)
    )
    found = session.execute(statement).one_or_none()
    if found is None:
        return None
    row, tenant = found
    return Standing("device", name, "", tenant, f"{_PASSWORD}{row.stamp}"), row.password


def _renewed_password(session: Session, one: Standing) -> Standing | None:
    if one.kind == "device":
        found = _device(session, one.name)
        now = found[0] if found else None
    else:
        user = session.get(UserRow, one.name)
        now = _of_user(user, f"{_PASSWORD}{user.stamp}") if user else None
    return now if now is not None and now.credential == one.credential else None


def _chunks(names: Collection[str]) -> list[list[str]]:
    left = iter(names)
    return list(iter(lambda: list(islice(left, LOOKUP_CHUNK)), []))
