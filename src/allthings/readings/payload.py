"""One payload: JSON or plain text into a Python value."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from allthings.readings.settings import NESTING_MAX, TEXT_BYTES_MAX

#: What decoding JSON raises for bad bytes (msgspec 0.20 and later).
JSON_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
decode_json: Final = msgspec.json.Decoder().decode
_encode_json: Final = msgspec.json.Encoder().encode

_WHITE: Final = b" \t\r\n"
_JSON_STARTS: Final = frozenset(b'{["')
#: Numbers that JSON does not have, or that no float holds; as text they would only look like a value.
_NO_NUMBER: Final = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_JSON_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class RefusedError(ValueError):
    """A payload or value cannot be used; the text is the reason for people."""


def json_fault(error: Exception) -> str:
    """The reason for a payload that msgspec could not decode."""
    if isinstance(error, RecursionError):
        return f"nested deeper than {NESTING_MAX} levels"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.object[error.start]:#04x}"
    if isinstance(error, msgspec.ValidationError):
        return "a number beyond the range of numbers: it is out of range"
    return f"no JSON: {error}"


def parse_value(payload: bytes, as_text: bool) -> Any:
    """The value of a payload that is one JSON value or plain text.

    What begins with `{`, `[` or `"` must be JSON. Else it is JSON where it can be (21.5, true, null), and plain text,
    a string, where not (ON). NaN, infinities, and numbers that no 64-bit float reaches (1e400) are refused.
    `as_text`: the property is declared a string, so a payload such as 1.10 stays the text that it is. White space
    around a plain text does not count. Raises RefusedError.
    """
    stripped = payload.strip(_WHITE)
    if not stripped:
        raise RefusedError("the payload is empty")
    if as_text and stripped[0] not in _JSON_STARTS and stripped != b"null":
        return _utf8(stripped)
    try:
        return decode_json(stripped)
    except JSON_ERRORS as error:
        if stripped[0] in _JSON_STARTS:
            raise RefusedError(json_fault(error)) from None
    text = _utf8(stripped)
    if _NO_NUMBER.fullmatch(text):
        raise RefusedError(f"{text} is no value: neither NaN nor infinity can be kept")
    if _JSON_NUMBER.fullmatch(text):
        raise RefusedError(f"the number {text[:24]} is out of range")
    return text


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(json_fault(error)) from None


def compact_json(value: Any) -> str:
    """A nested value as compact JSON text. Raises RefusedError when it is nested too deep or too long."""
    if _depth_exceeds(value, NESTING_MAX):
        raise RefusedError(f"nested deeper than {NESTING_MAX} levels")
    data = _encode_json(value)
    if len(data) > TEXT_BYTES_MAX:
        raise RefusedError(f"{len(data):,} bytes as JSON, more than {TEXT_BYTES_MAX:,}")
    return data.decode()


def check_text(text: str) -> None:
    """Raises RefusedError when a string is longer than what is kept."""
    size = len(text) if len(text) > TEXT_BYTES_MAX else len(text.encode())
    if size > TEXT_BYTES_MAX:
        raise RefusedError(f"a text of {size:,} bytes, more than {TEXT_BYTES_MAX:,}")


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        deeper: list[Any] = []
        for one in level:
            if type(one) is dict:
                deeper.extend(one.values())
            elif type(one) is list:
                deeper.extend(one)
        if not deeper:
            return False
        level = deeper
    return any(type(one) in (dict, list) for one in level)
