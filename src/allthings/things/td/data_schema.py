"""Data schemas (WoT TD 1.1, section 5.3.2)."""

from __future__ import annotations

from typing import Any, Final

from allthings.things.td.limits import DESCRIPTION_MAX, PATTERN_MAX, TITLE_MAX
from allthings.things.td.problems import (
    Check,
    Problems,
    boolean,
    check_terms,
    child,
    is_object,
    number,
    one_of,
    one_or_many,
    positive,
    size,
    text,
    texts_by_language,
)
from allthings.things.values import compilable_pattern, shown

TYPES: Final = ("boolean", "integer", "number", "string", "object", "array", "null")


def check_data_schema(value: Any, pointer: str, problems: Problems) -> None:
    """Say what is wrong with a data schema and all within it."""
    if is_object(value, pointer, problems):
        check_terms(value, _TERMS, pointer, problems)


def check_data_schemas(value: Any, pointer: str, problems: Problems) -> None:
    """A map of data schemas (uriVariables, schemaDefinitions, properties of an object)."""
    if is_object(value, pointer, problems):
        for name, schema in value.items():
            check_data_schema(schema, child(pointer, name), problems)


def _choices(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, list) or not value:
        problems.add(pointer, f"must be an array of data schemas, not {shown(value)}")
        return
    for index, schema in enumerate(value):
        check_data_schema(schema, child(pointer, index), problems)


def _enum(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, list) or not value:
        problems.add(pointer, f"must be an array of at least one value, not {shown(value)}")


def _required(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        problems.add(pointer, f"must be an array of member names, not {shown(value)}")


def _pattern(value: Any, pointer: str, problems: Problems) -> None:
    if not isinstance(value, str) or len(value) > PATTERN_MAX:
        problems.add(pointer, f"must be a string of at most {PATTERN_MAX} characters, not {shown(value)}")
    elif not compilable_pattern(value):
        problems.add(
            pointer,
            f"{shown(value)} is no regular expression that can be matched in linear time: "
            "look-around and back-references are not supported",
        )


_TERMS: Final[dict[str, Check]] = {
    "@type": one_or_many(text(TITLE_MAX)),
    "title": text(TITLE_MAX),
    "titles": texts_by_language(TITLE_MAX),
    "description": text(DESCRIPTION_MAX),
    "descriptions": texts_by_language(DESCRIPTION_MAX),
    "unit": text(TITLE_MAX),
    "oneOf": _choices,
    "enum": _enum,
    "readOnly": boolean,
    "writeOnly": boolean,
    "format": text(TITLE_MAX),
    "type": one_of(TYPES),
    "items": one_or_many(check_data_schema),
    "minItems": size,
    "maxItems": size,
    "minimum": number,
    "maximum": number,
    "exclusiveMinimum": number,
    "exclusiveMaximum": number,
    "multipleOf": positive,
    "properties": check_data_schemas,
    "required": _required,
    "minLength": size,
    "maxLength": size,
    "pattern": _pattern,
    "contentEncoding": text(TITLE_MAX),
    "contentMediaType": text(TITLE_MAX),
}
