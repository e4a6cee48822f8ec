"""Current values as JSON, the same in `/api/current`, the live feed and a thing's properties."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

from allthings.things.times import NS_PER_S, format_time
from allthings.twin.values import CurrentValue

#: Any JSON value, encoded. Unlike other fast encoders it keeps integers of any length exact.
dumps: Final = msgspec.json.Encoder().encode

EXAMPLE: Final = {
    "thing": "pump-7",
    "property": "pressure",
    "value": 231.5,
    "time": "2026-11-22T08:30:00Z",
    "received": "2026-11-22T08:30:00.021Z",
    "quality": "good",
}


@lru_cache(4_096)
def _second(seconds: int) -> str:
    return format_time(seconds * NS_PER_S)[:-1]


def _time(ns: int) -> str:
    """As `format_time`; the values of a moment share most of the work."""
    seconds, fraction = divmod(ns, NS_PER_S)
    if not fraction:
        return _second(seconds) + "Z"
    digits = f"{fraction:09d}"
    if digits.endswith("000"):
        digits = digits[:3] if digits.endswith("000000") else digits[:6]
    return f"{_second(seconds)}.{digits}Z"


def value_json(value: CurrentValue) -> dict[str, Any]:
    """One value with its times and quality."""
    return {
        "thing": value.thing,
        "property": value.property,
        "value": value.value,
        "time": _time(value.time_ns),
        "received": _time(value.received_ns),
        "quality": value.quality,
    }


def values_json(values: Iterable[CurrentValue]) -> bytes:
    """`{"values": [...]}`, encoded."""
    return dumps({"values": [value_json(value) for value in values]})
