"""What devices sent that nobody described, on its way into descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from allthings.things.names import valid_property_name, valid_thing_name
from allthings.things.td import TD_PROPERTIES_MAX, merge_inferred
from allthings.things.td.limits import CONTEXT_OURS
from allthings.things.types import Kind


class SeenProperty(NamedTuple):
    """A series that was seen; the range is that of its numbers since the last report, None for other kinds."""

    thing: str
    property: str
    kind: Kind
    minimum: float | None = None
    maximum: float | None = None


def by_thing(seen: Iterable[SeenProperty]) -> dict[str, list[SeenProperty]]:
    """Grouped; names that no thing or property can have are left out (their messages are rejects already)."""
    groups: dict[str, list[SeenProperty]] = {}
    for one in seen:
        if valid_thing_name(one.thing) and valid_property_name(one.property):
            groups.setdefault(one.thing, []).append(one)
    return groups


def merge_seen(properties: Mapping[str, Any], seen: Iterable[SeenProperty]) -> dict[str, Any] | None:
    """The properties with what was seen, or None if nothing is new. Adds none beyond TD_PROPERTIES_MAX."""
    merged: dict[str, Any] | None = None
    for one in seen:
        current = properties if merged is None else merged
        known = current.get(one.property)
        if known is None and len(current) >= TD_PROPERTIES_MAX:
            continue
        affordance = merge_inferred(one.property, known, one.kind, one.minimum, one.maximum)
        if affordance is not None:
            merged = dict(properties) if merged is None else merged
            merged[one.property] = affordance
    return merged


def with_our_context(td: Mapping[str, Any]) -> dict[str, Any]:
    """The description with the prefix of our own members declared."""
    context = td["@context"]
    entries = list(context) if isinstance(context, list) else [context]
    if any(isinstance(entry, dict) and "allthings" in entry for entry in entries):
        return dict(td)
    return {**td, "@context": [*entries, CONTEXT_OURS]}
