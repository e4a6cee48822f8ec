"""Descriptions of things that nobody described: inferred from the readings that they send.

An inferred property is marked `"allthings:inferred": true`. The range seen stands in members of our own and not in
`minimum` and `maximum`, which would forbid the next larger value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from allthings.things.names import id_from_name
from allthings.things.td.limits import CONTEXT_1_1, CONTEXT_OURS
from allthings.things.types import Kind
from allthings.things.units import unit_for

INFERRED: Final = "allthings:inferred"
SEEN_MIN: Final = "allthings:minimumSeen"
SEEN_MAX: Final = "allthings:maximumSeen"
#: The unit of an inferred property is no guess by its name: the file that it was imported from says it.
UNIT_TOLD: Final = "allthings:unitTold"

_GUESS_MARKS: Final = frozenset({INFERRED, SEEN_MIN, SEEN_MAX, UNIT_TOLD})
#: What an inference decides; everything else in an inferred affordance is a person's.
_GUESSED: Final = frozenset({"type", "unit", "readOnly", "observable"}) | _GUESS_MARKS
#: For people only: changing these says nothing about values.
_FOR_PEOPLE: Final = frozenset({"@type", "title", "titles", "description", "descriptions", "forms"})

#: A range is written anew when it grew by this part of its width, so that noise does not rewrite descriptions.
_GROWTH: Final = 0.01
#: JSON may be any type, so the description names none.
_TYPE_OF: Final = {Kind.NUMBER: "number", Kind.BOOLEAN: "boolean", Kind.STRING: "string", Kind.JSON: ""}


def infer_property(name: str, kind: Kind, minimum: float | None = None, maximum: float | None = None) -> dict[str, Any]:
    """The property affordance (without forms) of a series that was seen; the range is that of its numbers."""
    affordance: dict[str, Any] = {}
    if not _is_range(minimum, maximum):
        minimum = maximum = None
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
    name: str,
    known: Mapping[str, Any] | None,
    kind: Kind,
    minimum: float | None,
    maximum: float | None,
    unit: str = "",
) -> dict[str, Any] | None:
    """The affordance after one more look, or None if it stays as it is. `unit`: what a file says of the property.

    A property that a person wrote (not marked as inferred) stays as it is, and so do titles and the like of an
    inferred one. Once values of two types were seen, the affordance names no type any more.
    """
    if known is None:
        return _with_unit(infer_property(name, kind, minimum, maximum), unit)
    if not known.get(INFERRED):
        return None
    if unit and known.get("type", "") == _TYPE_OF[kind]:
        told = _with_unit(known, unit)
        return None if told == known else told
    if known.get("type", "") != _TYPE_OF[kind]:
        return None if "type" not in known else _replaced(known, infer_property(name, Kind.JSON))
    if kind != Kind.NUMBER or minimum is None or maximum is None or not _is_range(minimum, maximum):
        return None
    low, high = seen_range(known)
    if low is not None and high is not None:
        growth = max(low - minimum, maximum - high)
        if growth <= _GROWTH * (high - low):
            return None
        minimum, maximum = min(low, minimum), max(high, maximum)
    return _replaced(known, infer_property(name, kind, minimum, maximum))


def confirm_changed(td: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """The description without the mark of being inferred on properties whose meaning a person has changed.

    A new title or description of a property leaves the guess a guess; another type, unit or limit makes it the
    person's word, which values are held to from then on.
    """
    before = old.get("properties", {})
    properties = {
        name: _without(affordance, _GUESS_MARKS) if _changed(affordance, before.get(name)) else affordance
        for name, affordance in td.get("properties", {}).items()
    }
    return {**td, "properties": properties} if properties else td


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


def _is_range(minimum: float | None, maximum: float | None) -> bool:
    return minimum is not None and maximum is not None and math.isfinite(minimum) and math.isfinite(maximum)


def _replaced(known: Mapping[str, Any], guess: Mapping[str, Any]) -> dict[str, Any]:
    told = str(known.get("unit", "")) if known.get(UNIT_TOLD) and guess.get("type") == "number" else ""
    return _with_unit({**_without(known, _GUESSED), **guess}, told)


def _with_unit(affordance: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """The affordance with a unit that was told, "" for none."""
    return {**affordance, "unit": unit, UNIT_TOLD: True} if unit else dict(affordance)


def _changed(affordance: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    if before is None or not affordance.get(INFERRED):
        return False
    return _without(affordance, _FOR_PEOPLE) != _without(before, _FOR_PEOPLE)


def _without(affordance: Mapping[str, Any], terms: frozenset[str]) -> dict[str, Any]:
    return {term: value for term, value in affordance.items() if term not in terms}
