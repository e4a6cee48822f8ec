"""Pages of things: search, order, and the place where the next page begins (keyset paging)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.rows import State, Thing, storable, thing_from
from allthings.registry.schema import DescriptionRow, ThingRow
from allthings.registry.settings import PAGE_MAX, SEARCH_MAX, SEARCH_WORDS_MAX
from allthings.things.errors import BadInputError

Sort = Literal["name", "id", "title", "created", "modified"]

_KEYS: Final[dict[str, Any]] = {
    "name": ThingRow.name,
    "id": ThingRow.id,
    "title": ThingRow.title_key,
    "created": ThingRow.created_ns,
    "modified": ThingRow.modified_ns,
}
_UNIQUE: Final = frozenset({"name", "id"})
_AFTER_MAX: Final = 2_048


@dataclass(frozen=True)
class Page:
    """`next` begins the next page ("" at the end); `total` counts all that match, not only this page."""

    things: list[Thing]
    next: str
    total: int


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """The last thing of a page, with the order in which it was the last."""

    sort: str
    descending: bool
    key: str | int
    name: str


def list_things(
    session: Session,
    *,
    search: str,
    state: State | None,
    sort: Sort,
    descending: bool,
    limit: int,
    after: str,
    offset: int,
) -> Page:
    """One page. Raises BadInputError for a sort, limit, offset or `after` that cannot be."""
    if sort not in _KEYS:
        raise BadInputError(f"things are sorted by {', '.join(_KEYS)}, not by {sort[:64]!r}")
    if not 1 <= limit <= PAGE_MAX:
        raise BadInputError(f"a page has 1 to {PAGE_MAX} things, not {limit}")
    if not 0 <= offset < 1 << 63:
        raise BadInputError(f"an offset is 0 or more, not {offset}")
    found = _conditions(search, state)
    total = session.execute(sa.select(sa.func.count()).select_from(ThingRow).where(*found)).scalar_one()
    key = _KEYS[sort]
    order = [key] if sort in _UNIQUE else [key, ThingRow.name]
    statement = (
        sa.select(ThingRow, DescriptionRow.td)
        .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
        .where(*found)
        .order_by(*(column.desc() for column in order) if descending else order)
        .limit(limit + 1)
        .offset(offset or None)
    )
    if after:
        place = _decode_place(after, sort, descending)
        left = sa.tuple_(key, ThingRow.name)
        right = sa.tuple_(sa.literal(place.key, key.type), sa.literal(place.name, ThingRow.name.type))
        statement = statement.where(left < right if descending else left > right)
    rows = session.execute(statement).all()
    things = [thing_from(row, td) for row, td in rows[:limit]]
    more = len(rows) > limit
    return Page(things, _encode_place(rows[limit - 1][0], sort, descending) if more else "", total)


def _conditions(search: str, state: State | None) -> list[sa.ColumnElement[bool]]:
    """Every word must occur somewhere in name, id, titles, description or @type."""
    if len(search) > SEARCH_MAX:
        raise BadInputError(f"a search has at most {SEARCH_MAX} characters, not {len(search)}")
    words = storable(search).casefold().split()[:SEARCH_WORDS_MAX]
    conditions: list[sa.ColumnElement[bool]] = [ThingRow.search.contains(word, autoescape=True) for word in words]
    if state is not None:
        conditions.append(ThingRow.state == state)
    return conditions


def _encode_place(row: ThingRow, sort: Sort, descending: bool) -> str:
    key = getattr(row, _KEYS[sort].key)
    data = msgspec.json.encode(_Place(sort, descending, key, row.name))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode_place(after: str, sort: Sort, descending: bool) -> _Place:
    wrong = BadInputError("`next` is not from an answer to this query: begin again without it")
    if len(after) > _AFTER_MAX:
        raise wrong
    try:
        data = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        place = msgspec.json.decode(data, type=_Place)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise wrong from None
    is_number = isinstance(place.key, int)
    if (place.sort, place.descending, is_number) != (sort, descending, sort in ("created", "modified")):
        raise wrong
    if isinstance(place.key, int) and abs(place.key) >= 1 << 63:
        raise wrong
    if "\x00" in place.name or (isinstance(place.key, str) and "\x00" in place.key):
        raise wrong
    return place
