"""Values against what a thing's description says of them (WoT TD 1.1, section 5.3.2).

The rules of a TD's data schema are a closed, small part of JSON Schema draft 7. They are checked here directly: this
runs for values of devices, so it follows no references, its regular expressions take linear time (RE2), its depth has
a bound, and a refusal says which rule and which value in one line.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from allthings.things.types import PropertyType

#: Arrays and objects of a value that are nested deeper are refused.
VALUE_DEPTH_MAX: Final = 32
_SHOWN_MAX: Final = 64

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def check_value(value: object, type_: PropertyType) -> str:
    """ "" if the value is allowed for the property, else the reason, naming the rule and the value.

    A number is finite; an integer may be written 3.0; true and false are no numbers.
    """
    if type_.schema is not None:
        return check_schema(value, type_.schema)
    if reason := _check_type(value, type_.type):
        return reason
    if isinstance(value, int | float) and not isinstance(value, bool):
        if type_.minimum is not None and value < type_.minimum:
            return f"minimum is {type_.minimum:g}, got {shown(value)}"
        if type_.maximum is not None and value > type_.maximum:
            return f"maximum is {type_.maximum:g}, got {shown(value)}"
    if type_.enum and not any(same(value, allowed) for allowed in type_.enum):
        return f"enum allows {shown(list(type_.enum))}, got {shown(value)}"
    return ""


def check_schema(value: object, schema: Mapping[str, Any], where: str = "", depth: int = 0) -> str:
    """ "" if the value is allowed by the data schema, else the reason. `where` is the JSON pointer of the value.

    The schema must have passed check_td.
    """
    at = f" at {where}" if where else ""
    if depth > VALUE_DEPTH_MAX:
        return f"nested deeper than {VALUE_DEPTH_MAX}{at}"
    if reason := _check_type(value, schema.get("type", "")):
        return reason + at
    if "const" in schema and not same(value, schema["const"]):
        return f"const is {shown(schema['const'])}, got {shown(value)}{at}"
    if "enum" in schema and not any(same(value, allowed) for allowed in schema["enum"]):
        return f"enum allows {shown(schema['enum'])}, got {shown(value)}{at}"
    if "oneOf" in schema:
        fitting = sum(not check_schema(value, choice, where, depth + 1) for choice in schema["oneOf"])
        if fitting != 1:
            return f"oneOf needs exactly one fitting schema, {fitting} fit {shown(value)}{at}"
    if isinstance(value, bool):
        return ""
    if isinstance(value, int | float):
        reason = _check_number(value, schema)
    elif isinstance(value, str):
        reason = _check_string(value, schema)
    elif isinstance(value, list):
        return _check_array(value, schema, where, depth)
    elif isinstance(value, dict):
        return _check_object(value, schema, where, depth)
    else:
        return ""
    return reason and reason + at


def same(a: object, b: object) -> bool:
    """JSON equality: 1 equals 1.0, but true does not equal 1, at any depth."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(x, b[key]) for key, x in a.items())
    return a == b


def shown(value: object) -> str:
    """A value for a message, cut to 64 characters."""
    if isinstance(value, int) and abs(value) >= 1 << 256:  # Python refuses to print very long integers
        return f"an integer of {value.bit_length()} bits"
    text = repr(value[: 2 * _SHOWN_MAX] if isinstance(value, str | list) else value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def compilable_pattern(pattern: str) -> bool:
    """Whether a regular expression can be matched in linear time: RE2 syntax, no look-around, no back-references."""
    try:
        _matches("", pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _check_type(value: object, type_: str) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"a number must be finite, got {value!r}"
    if not type_:
        return ""
    fits = isinstance(value, _TYPES[type_]) and (type_ == "boolean" or not isinstance(value, bool))
    if fits and type_ == "integer" and isinstance(value, float):
        fits = value.is_integer()
    return "" if fits else f"type is {type_}, got {shown(value)}"


def _check_number(value: float, schema: Mapping[str, Any]) -> str:
    for rule, broken in (
        ("minimum", lambda limit: value < limit),
        ("maximum", lambda limit: value > limit),
        ("exclusiveMinimum", lambda limit: value <= limit),
        ("exclusiveMaximum", lambda limit: value >= limit),
        ("multipleOf", lambda limit: not _is_multiple(value, limit)),
    ):
        if rule in schema and broken(schema[rule]):
            return f"{rule} is {shown(schema[rule])}, got {shown(value)}"
    return ""


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        ratio = value / step
    except OverflowError:
        return False
    # 0.3 is a multiple of 0.1 for people, though 0.3 / 0.1 is 2.9999999999999996.
    return math.isfinite(ratio) and abs(ratio - round(ratio)) <= 1e-9 * max(1.0, abs(ratio))


def _check_string(value: str, schema: Mapping[str, Any]) -> str:
    if len(value) < schema.get("minLength", 0):
        return f"minLength is {schema['minLength']}, got {len(value)} characters"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        return f"maxLength is {schema['maxLength']}, got {len(value)} characters"
    pattern = schema.get("pattern")
    if pattern is not None and not _matches(value, pattern):
        return f"pattern is {shown(pattern)}, got {shown(value)}"
    return ""


def _matches(text: str, pattern: str) -> bool:
    data = text.encode(errors="replace")
    # From buffers, because pa.scalar and pa.array load pandas first.
    offsets = pa.py_buffer(struct.pack("<ii", 0, len(data)))
    array = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data))
    return bool(pc.match_substring_regex(array, pattern)[0].as_py())


def _check_array(value: list[Any], schema: Mapping[str, Any], where: str, depth: int) -> str:
    at = f" at {where}" if where else ""
    if len(value) < schema.get("minItems", 0):
        return f"minItems is {schema['minItems']}, got {len(value)}{at}"
    if "maxItems" in schema and len(value) > schema["maxItems"]:
        return f"maxItems is {schema['maxItems']}, got {len(value)}{at}"
    items = schema.get("items", {})
    # An array of schemas is a tuple: the first item by the first schema, and so on (JSON Schema draft 7, 6.4.1).
    schemas = items if isinstance(items, list) else [items] * len(value)
    for index, (item, item_schema) in enumerate(zip(value, schemas, strict=False)):
        if reason := check_schema(item, item_schema, f"{where}/{index}", depth + 1):
            return reason
    return ""


def _check_object(value: dict[str, Any], schema: Mapping[str, Any], where: str, depth: int) -> str:
    at = f" at {where}" if where else ""
    for name in schema.get("required", ()):
        if name not in value:
            return f"required is {shown(name)}, it is missing{at}"
    members: Mapping[str, Any] = schema.get("properties", {})
    for name, member_schema in members.items():
        if name in value:
            pointer = f"{where}/{name.replace('~', '~0').replace('/', '~1')}"
            if reason := check_schema(value[name], member_schema, pointer, depth + 1):
                return reason
    return ""
