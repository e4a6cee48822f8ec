"""Current values as JSON, the same in `/api/current`, the live feed and a thing's properties."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson

from allthings.things.times import format_time
from allthings.twin.values import CurrentValue

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

EXAMPLE: Final = {
    "thing": "pump-7",
    "property": "pressure",
    "value": 231.5,
    "time": "2026-11-22T08:30:00Z",
    "received": "2026-11-22T08:30:00.021Z",
    "quality": "good",
}


def value_json(value: CurrentValue) -> dict[str, Any]:
    """One value with its times and quality."""
    return {
        "thing": value.thing,
        "property": value.property,
        "value": value.value,
        "time": format_time(value.time_ns),
        "received": format_time(value.received_ns),
        "quality": value.quality,
    }


def values_json(values: Iterable[CurrentValue]) -> bytes:
    """`{"values": [...]}`, encoded."""
    return orjson.dumps({"values": [value_json(value) for value in values]}, option=_OPTIONS)


def dumps(value: Any) -> bytes:
    """Any JSON value, encoded."""
    return orjson.dumps(value, option=_OPTIONS)
