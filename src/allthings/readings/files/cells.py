"""Cells of one column as values, by the kind of the column."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.columns import STR, code_of, number_of
from allthings.readings.files.absent import absent
from allthings.readings.files.json_rows import MISSING
from allthings.readings.files.piece import Cells, Ints
from allthings.readings.payload import RefusedError, check_text, compact_json
from allthings.readings.settings import EXACT_INTEGERS_BELOW, SHOWN_CHARS_MAX
from allthings.readings.upload_values import Values, exact_texts, from_column, from_texts
from allthings.things.errors import BadInputError
from allthings.things.types import Kind

_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_TRUTH: Final = r"(?i)^(true|false)$"
_NO_TEXT: Final = pa.scalar(None, pa.string())


class Read(NamedTuple):
    """Values of the cells that are there; `present`: their places in the column; `absent`: cells without a value.

    `faults` of the values are by their place among those present.
    """

    values: Values
    present: Ints
    absent: int


class Rule(NamedTuple):
    """How texts of a file are read: its signs, the words for no value that a person has added, and `literal` for a
    file that the platform wrote itself."""

    decimal: str = "."
    thousands: str = ""
    absent: tuple[str, ...] = ()
    literal: bool = False


def read_cells(cells: Cells, kind: str, rule: Rule) -> Read:
    """The values of a column. Raises BadInputError for a type that holds no values."""
    if isinstance(cells, list):
        return _from_json(cells, rule)
    if not pa.types.is_string(cells.type):
        return _from_typed(cells)
    if rule.literal:
        return _chosen(cells, pc.equal(cells, "").to_numpy(zero_copy_only=False), lambda texts: from_texts(texts, None))
    trimmed = pc.utf8_trim_whitespace(cells)
    missing = absent(trimmed, kind in ("number", "boolean"), rule.absent)
    readers: dict[str, Any] = {
        "number": lambda texts: _numbers(texts, rule),
        "boolean": _booleans,
        "text": _texts,
    }
    return _chosen(trimmed, missing, readers.get(kind) or (lambda texts: from_texts(plain_numbers(texts, rule), None)))


def _chosen(cells: pa.Array, missing: Any, reader: Any) -> Read:
    count = int(missing.sum())
    present = np.flatnonzero(~missing)
    chosen = cells if not count else cells.take(pa.array(present))
    return Read(reader(chosen), present, count)


def _numbers(texts: pa.Array, rule: Rule) -> Values:
    plain = plain_numbers(texts, rule)
    try:
        numbers = plain.cast(pa.float64()).to_numpy(zero_copy_only=False)
        wrong: list[int] = []
    except pa.ArrowInvalid:
        fine = pc.match_substring_regex(plain, _NUMBER)
        mask = fine.to_numpy(zero_copy_only=False)
        numbers = np.full(len(texts), np.nan)
        numbers[mask] = plain.filter(fine).cast(pa.float64()).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(~mask).tolist()
    kinds = np.full(len(texts), Kind.NUMBER, np.uint8)
    values = Values(numbers, exact_texts(plain, numbers, pa.nulls(len(texts), pa.string())), kinds)
    values.faults += [(row, f"{texts[row].as_py()[:SHOWN_CHARS_MAX]!r} is no number") for row in wrong]
    told = set(wrong)
    values.faults += [fault for fault in values.endless() if fault[0] not in told]
    return values


def plain_numbers(texts: pa.Array, rule: Rule) -> pa.Array:
    """Numbers as programs write them: no sign between thousands, a point before the fraction."""
    if not rule.thousands and rule.decimal == ".":
        return texts
    plain = texts
    if rule.thousands:
        sign = "\\" + rule.thousands
        grouped = pc.match_substring_regex(plain, rf"^[+-]?\d{{1,3}}(?:{sign}\d{{3}})+(?:\{rule.decimal}\d*)?$")
        plain = pc.if_else(grouped, pc.replace_substring(plain, rule.thousands, ""), plain)
    if rule.decimal != ".":
        numeric = pc.match_substring_regex(plain, r"^[+-]?\d*,\d*(?:[eE][+-]?\d+)?$")
        plain = pc.if_else(numeric, pc.replace_substring(plain, ",", "."), plain)
    return plain


def _booleans(texts: pa.Array) -> Values:
    fine = pc.match_substring_regex(texts, _TRUTH).to_numpy(zero_copy_only=False)
    numbers = pc.equal(pc.utf8_lower(texts), "true").cast(pa.uint8()).to_numpy(zero_copy_only=False).astype(np.float64)
    values = Values(numbers, pa.nulls(len(texts), pa.string()), np.full(len(texts), Kind.BOOLEAN, np.uint8))
    for row in np.flatnonzero(~fine).tolist():
        values.faults.append((row, f"{texts[row].as_py()[:SHOWN_CHARS_MAX]!r} is neither true nor false"))
    return values


def _texts(texts: pa.Array) -> Values:
    kinds = np.full(len(texts), Kind.STRING, np.uint8)
    return Values(np.full(len(texts), np.nan), texts, kinds).judged()


def _from_typed(cells: pa.Array) -> Read:
    """A typed column: null and NaN are no values; dates and times are texts."""
    kind = cells.type
    if pa.types.is_floating(kind):
        missing = pc.or_kleene(pc.is_null(cells), pc.is_nan(cells))
    else:
        missing = pc.is_null(cells)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        cells = _dates(cells)
    elif pa.types.is_duration(kind):
        cells = cells.cast(pa.int64())
    elif pa.types.is_null(kind):
        cells = pa.nulls(len(cells), pa.float64())
    elif pa.types.is_decimal(kind) and kind.scale == 0:
        return _from_json([value if value is None else int(value) for value in cells.to_pylist()], Rule())
    absent_rows = pc.fill_null(missing, True).to_numpy(zero_copy_only=False)
    return _chosen(cells, absent_rows, from_column)


def _dates(cells: pa.Array) -> pa.Array:
    """Dates as `2026-11-22`, times as RFC 3339 in UTC, a time of day as `08:30:00`."""
    if not pa.types.is_timestamp(cells.type):
        return cells.cast(pa.string())
    text = cells.cast(pa.timestamp(cells.type.unit)).cast(pa.string())
    suffix = "Z" if cells.type.tz else ""
    return pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), pa.scalar(suffix), "")


def _from_json(cells: list[Any], rule: Rule) -> Read:
    """Members of JSON rows, each with its own type. null is no value, unless the file is taken to the letter."""
    present: list[int] = []
    numbers: list[float] = []
    texts: list[str | None] = []
    kinds: list[int] = []
    faults: list[tuple[int, str]] = []
    missing = 0
    for place, value in enumerate(cells):
        if value is MISSING:
            continue
        if (value is None and not rule.literal) or (isinstance(value, str) and value in rule.absent):
            missing += 1
            continue
        code = code_of(value)
        number, text, kind = float("nan"), None, Kind.JSON
        try:
            number, text, kind = _one(value, code)
        except RefusedError as error:
            faults.append((len(present), str(error)))
        present.append(place)
        numbers.append(number)
        texts.append(text)
        kinds.append(kind)
    values = Values(np.array(numbers, np.float64), pa.array(texts, pa.string()), np.array(kinds, np.uint8), faults)
    return Read(values.judged(), np.array(present, np.int64), missing)


def _one(value: Any, code: int) -> tuple[float, str | None, Kind]:
    """Number, text and kind of a value. Raises RefusedError."""
    if type(value) is bool:
        return float(value), None, Kind.BOOLEAN
    if type(value) is int:
        number = number_of(value)
        if number in (float("inf"), float("-inf")):
            raise RefusedError("an integer beyond the range of numbers")
        return number, str(value) if abs(value) >= EXACT_INTEGERS_BELOW else None, Kind.NUMBER
    if type(value) is float:
        return value, None, Kind.NUMBER
    if code == STR:
        check_text(value)
        return float("nan"), value, Kind.STRING
    try:
        return float("nan"), compact_json(value), Kind.JSON
    except TypeError:
        raise BadInputError(f"a value of type {type(value).__name__} is none that can be kept") from None
