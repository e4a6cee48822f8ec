"""What devices sent that nobody described, on its way into descriptions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry.counters import THINGS, count
from allthings.registry.removals import Removals, removals_of
from allthings.registry.rows import DISCOVERED, encode_td, fits, td_columns
from allthings.registry.schema import DescriptionRow, ThingRow
from allthings.registry.settings import DISCOVERED_MAX, LOOKUP_CHUNK
from allthings.things.names import valid_property_name, valid_thing_name
from allthings.things.td import INFERRED, TD_PROPERTIES_MAX, discovered_td, merge_inferred
from allthings.things.td.limits import CONTEXT_OURS, TD_EVENTS_MAX
from allthings.things.types import Kind

_log = logging.getLogger(__name__)


class SeenProperty(NamedTuple):
    """A series that was seen; the range is that of its numbers since the last report, None for other kinds.

    `position` is that of its last reading in the log; None counts as newer than any removal. `unit`: what a file says.
    """

    thing: str
    property: str
    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    position: int | None = None
    unit: str = ""


class SeenEvent(NamedTuple):
    """An event that was seen; `position` is that of the last of its name."""

    thing: str
    event: str
    position: int | None = None


Seen = SeenProperty | SeenEvent


def by_thing(seen: Iterable[Seen]) -> dict[str, list[Seen]]:
    """Grouped; names that no thing or property can have are left out (their messages are rejects already)."""
    groups: dict[str, list[Seen]] = {}
    for one in seen:
        if valid_thing_name(one.thing) and valid_property_name(one[1]):
            groups.setdefault(one.thing, []).append(one)
    return groups


def observe(session: Session, groups: Mapping[str, Sequence[Seen]], now_ns: int) -> int:
    """Write what was seen; how many things have changed. If none has, nothing is changed, no version either."""
    change = count(session, THINGS)
    changed = 0
    names = iter(groups)
    while chunk := list(islice(names, LOOKUP_CHUNK)):
        changed += _observe_chunk(session, {name: groups[name] for name in chunk}, now_ns, change)
    if not changed:
        session.rollback()
    return changed


def merge_seen(td: Mapping[str, Any], seen: Sequence[Seen]) -> dict[str, Any] | None:
    """The description with what was seen, or None if nothing is new."""
    properties = _with_properties(td.get("properties", {}), [one for one in seen if isinstance(one, SeenProperty)])
    events = _with_events(td.get("events", {}), [one for one in seen if isinstance(one, SeenEvent)])
    if properties is None and events is None:
        return None
    merged = {**td} if properties is None else {**td, "properties": properties}
    return with_our_context(merged if events is None else {**merged, "events": events})


def _with_properties(properties: Mapping[str, Any], seen: Iterable[SeenProperty]) -> dict[str, Any] | None:
    """Adds none beyond TD_PROPERTIES_MAX; None if nothing is new."""
    merged: dict[str, Any] | None = None
    for one in seen:
        current = properties if merged is None else merged
        known = current.get(one.property)
        if known is None and len(current) >= TD_PROPERTIES_MAX:
            continue
        affordance = merge_inferred(one.property, known, one.kind, one.minimum, one.maximum, one.unit)
        if affordance is not None:
            merged = dict(properties) if merged is None else merged
            merged[one.property] = affordance
    return merged


def _with_events(events: Mapping[str, Any], seen: Iterable[SeenEvent]) -> dict[str, Any] | None:
    """Adds none beyond TD_EVENTS_MAX; None if nothing is new."""
    new = [one.event for one in seen if one.event not in events][: max(0, TD_EVENTS_MAX - len(events))]
    return {**events, **{name: {INFERRED: True} for name in new}} if new else None


def with_our_context(td: Mapping[str, Any]) -> dict[str, Any]:
    """The description with the prefix of our own members declared."""
    context = td["@context"]
    entries = list(context) if isinstance(context, list) else [context]
    if any(isinstance(entry, dict) and "allthings" in entry for entry in entries):
        return dict(td)
    return {**td, "@context": [*entries, CONTEXT_OURS]}


def with_inferred(td: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The new description with those inferred properties and events of the old one that it does not name, if they
    fit."""
    merged = td
    for kind, most in (("properties", TD_PROPERTIES_MAX), ("events", TD_EVENTS_MAX)):
        named = td.get(kind, {})
        kept = {
            name: affordance
            for name, affordance in old.get(kind, {}).items()
            if affordance.get(INFERRED) and name not in named
        }
        if kept and len(kept) + len(named) <= most:
            merged = with_our_context({**merged, kind: {**named, **kept}})
    return merged if fits(encode_td(merged)) else td


def _observe_chunk(session: Session, groups: Mapping[str, Sequence[Seen]], now_ns: int, change: int) -> int:
    groups = _news(groups, removals_of(session, groups))
    statement = (
        sa.select(ThingRow.name, ThingRow.version, DescriptionRow.td)
        .join(DescriptionRow, DescriptionRow.thing == ThingRow.name)
        .where(ThingRow.name.in_(groups))
    )
    known = {name: (version, td) for name, version, td in session.execute(statement)}
    changed: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    descriptions: list[dict[str, str]] = []
    room = DISCOVERED_MAX - _count_discovered(session) if len(known) < len(groups) else 0
    left_out = 0
    for name, seen in groups.items():
        version, old = known.get(name, (0, ""))
        if not old and len(added) >= room:
            left_out += 1
            continue
        td = merge_seen(msgspec.json.decode(old) if old else discovered_td(name, {}), seen)
        if td is None:
            continue
        encoded = encode_td(td)
        if not fits(encoded):
            _log.warning("the description of %s is full: further properties are only in the history", name)
            continue
        descriptions.append({"thing": name, "td": encoded})
        row = {"name": name, "modified_ns": now_ns, "version": version + 1, "change": change}
        if old:
            changed.append(row)
        else:
            added.append(row | {"state": DISCOVERED, "created_ns": now_ns} | td_columns(name, td))
    if left_out:
        _log.warning(
            "%d unknown things are only in the history: there are %d discovered ones", left_out, DISCOVERED_MAX
        )
    _write(session, changed, added, descriptions)
    return len(descriptions)


def _news(groups: Mapping[str, Sequence[Seen]], removals: Removals) -> Mapping[str, Sequence[Seen]]:
    """What was not removed since it was seen."""
    if not removals:
        return groups

    def is_news(one: Seen) -> bool:
        of = removals.of_property if isinstance(one, SeenProperty) else removals.of_event
        return one.position is None or one.position > of(one.thing, one[1])

    news = {name: [one for one in seen if is_news(one)] for name, seen in groups.items()}
    return {name: seen for name, seen in news.items() if seen}


def _write(
    session: Session, changed: list[dict[str, Any]], added: list[dict[str, Any]], descriptions: list[dict[str, str]]
) -> None:
    new = {row["name"] for row in added}
    if changed:
        session.execute(sa.update(ThingRow), changed)
        session.execute(sa.update(DescriptionRow), [row for row in descriptions if row["thing"] not in new])
    if added:
        session.execute(sa.insert(ThingRow), added)
        session.execute(sa.insert(DescriptionRow), [row for row in descriptions if row["thing"] in new])


def _count_discovered(session: Session) -> int:
    statement = sa.select(sa.func.count()).select_from(ThingRow).where(ThingRow.state == DISCOVERED)
    return session.execute(statement).scalar_one()
