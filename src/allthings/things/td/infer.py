"""Descriptions of things that nobody described: inferred from the readings that they send.

An inferred property is marked `"allthings:inferred": true`. The range seen stands in members of our own and not in
`minimum` and `maximum`, which would forbid the next larger value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from allthings.things.names import id_from_name
from allthings.things.td.limits import CONTEXT_1_1, CONTEXT_OURS
from allthings.things.types import Kind
from allthings.things.units import unit_for

INFERRED: Final = "allthings:inferred"
SEEN_MIN: Final = "allthings:minimumSeen"
SEEN_MAX: Final = "allthings:maximumSeen"

#: A range is written anew when it grew by this part of its width, so that noise does not rewrite descriptions.
_GROWTH: Final = 0.01
#: JSON may be any type, so the description names none.
_TYPE_OF: Final = {Kind.NUMBER: "number", Kind.BOOLEAN: "boolean", Kind.STRING: "string", Kind.JSON: ""}


def infer_property(name: str, kind: Kind, minimum: float | None = None, maximum: float | None = None) -> dict[str, Any]:
    """The property affordance (without forms) of a series that was seen; the range is that of its numbers."""
    affordance: dict[str, Any] = {}
    if type_ := _TYPE_OF[kind]:
        affordance["type"] = type_
    if kind == Kind.NUMBER:
        if unit := unit_for(name, minimum, maximum):
            affordance["unit"] = unit
        if minimum is not None and maximum is not None:
            affordance[SEEN_MIN] = minimum
            affordance[SEEN_MAX] = maximum
    return {**affordance, "readOnly": True, "observable": True, INFERRED: True}


def merge_inferred(
    name: str, known: Mapping[str, Any] | None, kind: Kind, minimum: float | None, maximum: float | None
) -> dict[str, Any] | None:
    """The affordance after one more look, or None if it stays as it is.

    A property that a person wrote (not marked as inferred) stays as it is. Once values of two types were seen, the
    affordance names no type any more.
    """
    if known is None:
        return infer_property(name, kind, minimum, maximum)
    if not known.get(INFERRED):
        return None
    if known.get("type", "") != _TYPE_OF[kind]:
        return None if "type" not in known else infer_property(name, Kind.JSON)
    seen_low, seen_high = seen_range(known)
    if kind != Kind.NUMBER or minimum is None or maximum is None:
        return None
    if seen_low is None or seen_high is None:
        return {**known, **infer_property(name, kind, minimum, maximum)}
    low, high = min(seen_low, minimum), max(seen_high, maximum)
    if max(seen_low - low, high - seen_high) <= _GROWTH * (seen_high - seen_low):
        return None
    widened = infer_property(name, kind, low, high)
    kept = {term: value for term, value in known.items() if term != "unit"}
    return {**kept, **widened}


def seen_range(affordance: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The smallest and the largest number that an inferred property has had, about (see merge_inferred)."""
    return affordance.get(SEEN_MIN), affordance.get(SEEN_MAX)


def discovered_td(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a thing of which only the name and what it sends are known."""
    return {
        "@context": [CONTEXT_1_1, CONTEXT_OURS],
        "id": id_from_name(name),
        "title": name,
        "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
        "security": "nosec_sc",
        "properties": dict(properties),
    }
