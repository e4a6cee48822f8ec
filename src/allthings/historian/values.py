"""Values of readings between the columns that they are stored in and the ones that are answered."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from allthings.things.types import Kind

#: The metadata of a field whose strings are JSON text.
JSON_METADATA: Final = {b"allthings": b"json"}


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
    rows = zip(number.to_pylist(), text.to_pylist(), kind.to_pylist(), strict=True)
    return pa.field(name, pa.string(), metadata=JSON_METADATA), pa.array([_json(*row) for row in rows], pa.string())


def _json(number: float | None, text: str | None, kind: int) -> str:
    if kind == Kind.BOOLEAN:
        return "true" if number else "false"
    if kind == Kind.STRING:
        return msgspec.json.encode(text).decode()
    # A number with text is an integer too long for a float; JSON is kept as it was.
    return text if text is not None else msgspec.json.encode(number).decode()


def python_value(number: float | None, text: str | None, kind: int) -> Any:
    """The value as Python has it: float, int (for one too long for a float), bool, str, or what the JSON says."""
    if kind == Kind.BOOLEAN:
        return bool(number)
    if kind == Kind.STRING:
        return text
    return number if text is None else msgspec.json.decode(text)


def json_values(table: pa.Table, name: str) -> list[Any]:
    """A column of an answer as values for JSON; the JSON of JSON values is not read but passed on."""
    values: list[Any] = table.column(name).to_pylist()
    metadata = table.schema.field(name).metadata or {}
    if metadata.get(b"allthings") == b"json":
        return [None if value is None else msgspec.Raw(value.encode()) for value in values]
    return values
