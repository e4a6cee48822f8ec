"""What decoding must know of a thing's properties."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from allthings.things.td.infer import INFERRED
from allthings.things.types import PropertyType
from allthings.things.units import unit_code

#: The rules of a data schema that values are checked against; the rest of it is for people and other programs.
_RULES: Final = frozenset(
    {"type", "const", "enum", "oneOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "pattern", "items", "minItems", "maxItems", "properties", "required"}
)
#: What a PropertyType says without its `schema`.
_PLAIN: Final = frozenset({"type", "enum", "minimum", "maximum"})


def property_types(td: Mapping[str, Any]) -> dict[str, PropertyType]:
    """The type of each property of a description that passed check_td.

    The type of an inferred property is "" with its unit: what was guessed from a few values is told to people but
    never held against the next value. `schema` is set where values obey more rules than the other fields can say,
    and then holds exactly the rules to check, without titles and the like.
    """
    return {name: _property_type(affordance) for name, affordance in td.get("properties", {}).items()}


def _property_type(affordance: Mapping[str, Any]) -> PropertyType:
    unit = unit_code(affordance["unit"]) if "unit" in affordance else ""
    read_only = affordance.get("readOnly", False)
    if affordance.get(INFERRED):
        return PropertyType(unit=unit, read_only=read_only)
    rules = affordance.keys() & _RULES
    return PropertyType(
        type=affordance.get("type", ""),
        unit=unit,
        minimum=_limit(affordance.get("minimum")),
        maximum=_limit(affordance.get("maximum")),
        enum=tuple(affordance.get("enum", ())),
        read_only=read_only,
        schema=None if rules <= _PLAIN else {name: affordance[name] for name in sorted(rules)},
    )


def _limit(value: float | None) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats limits nothing that is a float
        return math.inf if value > 0 else -math.inf
