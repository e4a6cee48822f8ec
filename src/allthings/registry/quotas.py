"""Quotas: how many messages and bytes a second clients and tenants may send. Thread-safe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import ACCESS, count
from allthings.registry.database import Database
from allthings.registry.schema import QuotaRow
from allthings.registry.settings import QUOTA_MAX, QUOTAS_MAX
from allthings.registry.subjects import check_scope
from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError

Over = Literal["slow", "refuse"]
OVERS: Final[tuple[Over, ...]] = ("slow", "refuse")


@dataclass(frozen=True)
class Quota:
    """A limit for each client (`client`), each client of a thing or user, each tenant (`tenant`), or one tenant.

    The more special scope wins. None is no limit. `over`: what happens to more than that.
    """

    scope: str
    messages_s: float | None
    bytes_s: float | None
    over: Over


class Quotas:
    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> list[Quota]:
        """All quotas by scope."""
        with self._database.read() as session:
            return [_quota(row) for row in session.scalars(sa.select(QuotaRow).order_by(QuotaRow.scope))]

    def put(self, quota: Quota) -> bool:
        """Set a quota; True if there was none for its scope. Raises BadInputError, LimitExceededError."""
        check_scope(quota.scope)
        if quota.over not in OVERS:
            raise BadInputError(f"over: {' or '.join(OVERS)}, not {quota.over!r}")
        for name, limit in (("messages_s", quota.messages_s), ("bytes_s", quota.bytes_s)):
            if limit is not None and not (math.isfinite(limit) and 0 < limit <= QUOTA_MAX):
                raise BadInputError(f"{name}: a number above 0 and at most {QUOTA_MAX:g}, or null for no limit")

        def change(session: Session) -> bool:
            count(session, ACCESS)
            row = session.get(QuotaRow, quota.scope)
            if row is None:
                if session.execute(sa.select(sa.func.count()).select_from(QuotaRow)).scalar_one() >= QUOTAS_MAX:
                    raise LimitExceededError(f"there are {QUOTAS_MAX} quotas already")
                row = QuotaRow(scope=quota.scope)
                session.add(row)
                created = True
            else:
                created = False
            row.messages_s, row.bytes_s, row.over = quota.messages_s, quota.bytes_s, quota.over
            return created

        return self._database.write(change)

    def remove(self, scope: str) -> None:
        """Raises NotFoundError."""

        def change(session: Session) -> None:
            count(session, ACCESS)
            row = session.get(QuotaRow, scope) if scope.isprintable() else None
            if row is None:
                raise NotFoundError(f"there is no quota for {scope[:64]!r}")
            session.delete(row)

        self._database.write(change)


def _quota(row: QuotaRow) -> Quota:
    return Quota(row.scope, row.messages_s, row.bytes_s, cast(Over, row.over))
