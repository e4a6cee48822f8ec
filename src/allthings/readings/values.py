"""A reading's value as Python has it."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from allthings.things.types import Kind

_EXACT_MAX: Final = 2.0**53


def python_value(number: float | None, text: str | None, kind: int) -> Any:
    """int where the number is whole, float, bool, str, or what the JSON says; from the columns of READINGS."""
    if kind == Kind.NUMBER:
        if text is not None:
            return int(text)
        assert number is not None
        whole = number.is_integer() and abs(number) < _EXACT_MAX and (number or math.copysign(1, number) > 0)
        return int(number) if whole else number
    if kind == Kind.BOOLEAN:
        return bool(number)
    return text if kind == Kind.STRING or text is None else msgspec.json.decode(text)
