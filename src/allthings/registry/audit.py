"""The audit list: what was refused to whom, and who changed what may be done. Bounded in number and age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.database import Database
from allthings.registry.rows import storable
from allthings.registry.schema import AuditRow
from allthings.registry.settings import AUDIT_AGE_NS, AUDIT_ENTRIES_MAX, AUDIT_TEXT_MAX, PAGE_MAX
from allthings.things.errors import BadInputError

Area = Literal["refusal", "change"]
REFUSAL: Final[Area] = "refusal"
CHANGE: Final[Area] = "change"
AREAS: Final[tuple[Area, ...]] = (REFUSAL, CHANGE)


@dataclass(frozen=True)
class AuditEntry:
    """`who` (a thing's or user's name, as claimed) at `address` with the client id `client`: what, and why.

    `repeated`: how often the same happened again shortly after, and was not listed again.
    """

    time_ns: int
    area: Area
    kind: str
    who: str
    address: str
    what: str
    why: str = ""
    client: str = ""
    repeated: int = 0
    id: int = 0


class AuditPage(NamedTuple):
    """Newest first; `next` is "" on the last page."""

    entries: list[AuditEntry]
    next: str


class Audit:
    """Thread-safe. Refusals, which strangers can cause, never push changes out of the list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries, and drop those that are too many or too old."""
        if not entries:
            return
        rows = [_row(entry) for entry in entries]
        newest_ns = max(entry.time_ns for entry in entries)
        areas = {entry.area for entry in entries}

        def change(session: Session) -> None:
            session.execute(sa.insert(AuditRow), rows)
            session.execute(sa.delete(AuditRow).where(AuditRow.time_ns < newest_ns - AUDIT_AGE_NS))
            for area in sorted(areas):
                first = (
                    sa.select(AuditRow.id)
                    .where(AuditRow.area == area)
                    .order_by(AuditRow.id.desc())
                    .offset(AUDIT_ENTRIES_MAX)
                    .limit(1)
                    .scalar_subquery()
                )
                session.execute(sa.delete(AuditRow).where(AuditRow.area == area, AuditRow.id <= first))

        self._database.write(change)

    def list(
        self,
        limit: int = 100,
        after: str = "",
        area: Area | None = None,
        kind: str | None = None,
        who: str | None = None,
    ) -> AuditPage:
        """A page; `after` is the `next` of the page before. Raises BadInputError."""
        if not 1 <= limit <= PAGE_MAX:
            raise BadInputError(f"a page has 1 to {PAGE_MAX} entries, not {limit}")
        if area is not None and area not in AREAS:
            raise BadInputError(f"area: {' or '.join(AREAS)}, not {area!r}")
        statement = sa.select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
        if after:
            if not (after.isascii() and after.isdigit() and len(after) < 19):
                raise BadInputError("`next` is not from an answer to this query: begin again without it")
            statement = statement.where(AuditRow.id < int(after))
        for column, wanted in ((AuditRow.area, area), (AuditRow.kind, kind), (AuditRow.who, who)):
            if wanted is not None:
                statement = statement.where(column == storable(wanted))
        with self._database.read() as session:
            found = list(session.scalars(statement))
            more = len(found) > limit
            return AuditPage([_entry(row) for row in found[:limit]], str(found[limit - 1].id) if more else "")


def _row(entry: AuditEntry) -> dict[str, object]:
    texts = {name: _text(getattr(entry, name)) for name in ("kind", "who", "client", "address", "what", "why")}
    texts["kind"] = texts["kind"][:32]
    return {"time_ns": entry.time_ns, "area": entry.area, "repeated": entry.repeated, **texts}


def _text(text: str) -> str:
    return storable(text[:AUDIT_TEXT_MAX])


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        time_ns=row.time_ns,
        area=cast(Area, row.area),
        kind=row.kind,
        who=row.who,
        address=row.address,
        what=row.what,
        why=row.why,
        client=row.client,
        repeated=row.repeated,
        id=row.id,
    )
