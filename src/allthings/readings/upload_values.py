"""Columns of values of any form as the columns of READINGS."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.payload import JSON_ERRORS, RefusedError, compact_json, decode_json
from allthings.readings.settings import EXACT_INTEGERS_BELOW, TEXT_BYTES_MAX
from allthings.things.errors import BadInputError
from allthings.things.types import Kind

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Kinds = np.ndarray[Any, np.dtype[np.int8]]

#: No kind is said of a row.
UNSAID: Final = -1
_KINDS: Final = {"": UNSAID, **{kind.name.lower(): int(kind) for kind in Kind}}
_INTEGER: Final = re.compile(r"-?[0-9]{1,309}")

_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_NO_NUMBER: Final = r"(?i)^[+-]?(nan|inf|infinity)$"
_BOOLEAN: Final = r"(?i)^(true|false)$"
_JSON: Final = r"^[\[{]"
_NO_TEXT: Final = pa.scalar(None, pa.string())


@dataclass(slots=True)
class Values:
    """Per row number (NaN: none), text (null: none) and kind; `faults` are rows (from 0) with the reason."""

    numbers: Any
    texts: pa.Array
    kinds: Any
    faults: list[tuple[int, str]] = field(default_factory=list)

    def judged(self) -> Values:
        """Refuse what no value may be."""
        self.faults += self.endless()
        if self.texts.null_count < len(self.texts):
            sizes = pc.fill_null(pc.binary_length(self.texts), 0).to_numpy(zero_copy_only=False)
            long = np.flatnonzero(sizes > TEXT_BYTES_MAX).tolist()
            self.faults += [(row, f"a text of more than {TEXT_BYTES_MAX:,} bytes") for row in long]
        return self

    def endless(self) -> list[tuple[int, str]]:
        """The numbers that are none."""
        rows = np.flatnonzero((self.kinds == Kind.NUMBER) & ~np.isfinite(self.numbers)).tolist()
        return [(row, "neither NaN nor infinity can be kept") for row in rows]


def from_column(column: pa.Array) -> Values:
    """A typed Arrow column. null is no value, kept as JSON null. Raises BadInputError for types that are no values."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    rows = len(column)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    kinds = np.where(missing, Kind.JSON, Kind.NUMBER).astype(np.uint8)
    texts = _nulls(missing)
    if pa.types.is_boolean(kind):
        numbers = _floats(column.cast(pa.uint8()))
        kinds[~missing] = Kind.BOOLEAN
    elif pa.types.is_integer(kind):
        numbers = _floats(column)
        big = np.abs(numbers) >= EXACT_INTEGERS_BELOW
        if big.any():
            texts = pc.if_else(pa.array(big), column.cast(pa.string()), texts)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = _floats(column)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        numbers = np.full(rows, np.nan)
        kinds[~missing] = Kind.STRING
        texts = pc.if_else(pa.array(missing), texts, column.cast(pa.string()))
    elif pa.types.is_null(kind):
        numbers = np.full(rows, np.nan)
    else:
        raise BadInputError(f"a value is a number, a boolean or a text, not {kind}")
    return Values(numbers, texts, kinds).judged()


def kinds_of(column: pa.Array) -> Kinds | None:
    """The column `kind` of our own exports: per row a Kind, UNSAID where it is empty.

    None when it says something else, as the column of that name in other people's files.
    """
    try:
        encoded = column.cast(pa.string()).dictionary_encode()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    names = encoded.dictionary.to_pylist()
    if not all(name in _KINDS for name in names):
        return None
    codes = np.array([*(_KINDS[name] for name in names), UNSAID], np.int8)
    found: Kinds = codes[pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)]
    return found


def from_pair(number: pa.Array, text: pa.Array, said: Kinds | None = None) -> Values:
    """The columns `number` and `text`, as SQL over the history gives them; with `kind` as our exports do.

    Where no kind is said, a text without a number is a string.
    """
    values = from_column(number.cast(pa.float64()))
    given = pc.is_valid(text).to_numpy(zero_copy_only=False) & (values.kinds == Kind.JSON)
    values.kinds[given] = Kind.STRING
    if said is None:
        values.texts = pc.if_else(pa.array(given), text.cast(pa.string()), values.texts)
        return values.judged()
    number_too = pc.is_valid(text).to_numpy(zero_copy_only=False) & (said == Kind.NUMBER)
    values.texts = pc.if_else(pa.array(given | number_too), text.cast(pa.string()), values.texts)
    boolean = (said == Kind.BOOLEAN) & np.isin(values.numbers, (0, 1))
    values.kinds[boolean] = Kind.BOOLEAN
    for row in np.flatnonzero(number_too).tolist():
        if not _same_integer(values.texts[row].as_py(), float(values.numbers[row])):
            values.faults.append((row, "number and text are not the same integer"))
    return _as_said(_with_json(values, np.flatnonzero(given & (said == Kind.JSON)).tolist()), said).judged()


def _same_integer(text: str, number: float) -> bool:
    return _INTEGER.fullmatch(text) is not None and abs(number) >= EXACT_INTEGERS_BELOW and float(text) == number


def _as_said(values: Values, said: Kinds) -> Values:
    """Refuse the rows whose value is of another kind than is said."""
    for row in np.flatnonzero((said != UNSAID) & (values.kinds != said)).tolist():
        values.faults.append((row, f"the value is no {Kind(said[row]).name.lower()}, as kind says"))
    return values


def from_texts(column: pa.Array, as_text: Mask | None, said: Kinds | None = None) -> Values:
    """A column of a CSV file: numbers, true and false, JSON objects and arrays, null, else texts.

    In the rows of `as_text` everything is text, unless another kind is said.
    """
    if said is None:
        return _from_texts(column, as_text)
    strings = said == Kind.STRING
    if as_text is not None:
        strings |= as_text & (said == UNSAID)
    return _as_said(_from_texts(column, strings if strings.any() else None), said)


def _from_texts(column: pa.Array, as_text: Mask | None) -> Values:
    if as_text is None:
        try:
            numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass
        else:
            kinds = np.full(len(column), Kind.NUMBER, np.uint8)
            return Values(
                numbers, exact_texts(column, numbers, _nulls(np.zeros(len(column), np.bool_))), kinds
            ).judged()
    free = np.ones(len(column), np.bool_) if as_text is None else ~as_text
    numeric = _matches(column, _NUMBER, free)
    boolean = _matches(column, _BOOLEAN, free)
    nothing = pc.equal(column, "null").to_numpy(zero_copy_only=False) & free
    numbers = np.full(len(column), np.nan)
    numbers[numeric] = _floats(column.filter(pa.array(numeric)).cast(pa.float64()))
    numbers[boolean] = (
        pc.equal(pc.utf8_lower(column.filter(pa.array(boolean))), "true").cast(pa.uint8()).to_numpy(False)
    )
    kinds = np.full(len(column), Kind.STRING, np.uint8)
    kinds[numeric | _matches(column, _NO_NUMBER, free)] = Kind.NUMBER
    kinds[boolean] = Kind.BOOLEAN
    kinds[nothing] = Kind.JSON
    texts = pc.if_else(pa.array(numeric | boolean), _NO_TEXT, column)
    values = Values(numbers, exact_texts(column, numbers, texts), kinds)
    empty = pc.equal(column, "").to_numpy(zero_copy_only=False) & free
    values.faults += [(row, "the value is empty") for row in np.flatnonzero(empty).tolist()]
    return _with_json(values, np.flatnonzero(_matches(column, _JSON, free)).tolist()).judged()


def _with_json(values: Values, rows: list[int]) -> Values:
    """The rows that begin like JSON as JSON, where they are."""
    if not rows:
        return values
    texts = values.texts.to_pylist()
    for row in rows:
        try:
            texts[row] = compact_json(decode_json(texts[row]))
            values.kinds[row] = Kind.JSON
        except RefusedError as error:
            values.faults.append((row, str(error)))
        except JSON_ERRORS:
            continue
    values.texts = pa.array(texts, pa.string())
    return values


def exact_texts(column: pa.Array, numbers: Any, texts: pa.Array) -> pa.Array:
    """The texts of a column of numbers, with those of integers that no float holds exactly."""
    with np.errstate(invalid="ignore"):
        big = np.flatnonzero(np.abs(numbers) >= EXACT_INTEGERS_BELOW)
    if not len(big):
        return texts
    kept = texts.to_pylist()
    for row in big.tolist():
        text = column[row].as_py()
        if text.lstrip("+-").isdigit() and np.isfinite(numbers[row]):
            kept[row] = str(int(text))
    return pa.array(kept, pa.string())


def _nulls(missing: Mask) -> pa.Array:
    return pc.if_else(pa.array(missing), pa.scalar("null"), _NO_TEXT)


def _floats(column: pa.Array) -> Any:
    return pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)


def _matches(column: pa.Array, pattern: str, free: Mask) -> Mask:
    found: Mask = pc.match_substring_regex(column, pattern).to_numpy(zero_copy_only=False) & free
    return found
