"""The types that values have: what a property's data schema (WoT TD 1.1, section 5.3.2) says of its readings."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import msgspec


class Kind(IntEnum):
    """How a reading's value is to be understood. The numbers are stored; they never change."""

    NUMBER = 0
    BOOLEAN = 1
    STRING = 2
    JSON = 3


class PropertyType(msgspec.Struct, frozen=True):
    """What a thing's description says of one property, in the form that decoding needs.

    `type` is the data schema's type (number, integer, boolean, string, object, array, null) or "" when it names
    none. `unit` is a UCUM code. `schema` is the whole data schema, kept for objects and arrays.
    """

    type: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[Any, ...] = ()
    read_only: bool = True
    schema: dict[str, Any] | None = None
