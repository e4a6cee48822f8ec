"""Values of readings between the columns that they are stored in and the ones that are answered."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.tokens import value_tokens
from allthings.things.types import Kind

#: The metadata of a field whose strings are JSON text.
JSON_METADATA: Final = {b"allthings": b"json"}


def columns_of(
    name: str, number: pa.Array, text: pa.Array, kind: pa.Array, *, typed: bool
) -> list[tuple[pa.Field, pa.Array]]:
    """The columns of an answer that hold these values: one of whichever type fits them, or the three of `typed`."""
    if not typed:
        return [value_column(name, number, text, kind)]
    columns = zip(typed_names(name), TYPES, (number, text, kind), strict=True)
    return [(pa.field(each, type_), column.cast(type_)) for each, type_, column in columns]


#: The types of typed columns.
TYPES: Final = (pa.float64(), pa.string(), pa.uint8())


def typed_names(name: str) -> tuple[str, str, str]:
    """The columns of a value that may be of any kind, named as in SQL: number, text, kind (see `Kind`)."""
    return ("number", "text", "kind") if name == "value" else (name, f"{name}_text", f"{name}_kind")


def value_column(name: str, number: pa.Array, text: pa.Array, kind: pa.Array) -> tuple[pa.Field, pa.Array]:
    """One column of values out of three: float64, bool or string, else strings of JSON text."""
    bounds = pc.min_max(kind)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or (low == high == Kind.NUMBER and text.null_count == len(text)):
        return pa.field(name, pa.float64()), number
    if low == high == Kind.BOOLEAN:
        return pa.field(name, pa.bool_()), number.cast(pa.bool_())
    if low == high == Kind.STRING:
        return pa.field(name, pa.string()), text
    tokens = value_tokens(number, text, kind.to_numpy(zero_copy_only=False), quoted=True)
    return pa.field(name, pa.string(), metadata=JSON_METADATA), tokens.fill_null("null")


def json_values(table: pa.Table, name: str) -> list[Any]:
    """A column of an answer as values for JSON; the JSON of JSON values is not read but passed on."""
    values: list[Any] = table.column(name).to_pylist()
    metadata = table.schema.field(name).metadata or {}
    if metadata.get(b"allthings") == b"json":
        return [None if value is None else msgspec.Raw(value.encode()) for value in values]
    return values
