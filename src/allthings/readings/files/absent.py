"""The rule of absent values, for every text file that is imported (docs/reference/readings.md).

A cell that is empty or says NA, N/A, #N/A, NULL or NaN, in capitals or not, is no value, whatever its column holds. In
columns of numbers and of true and false a few signs more are no value: a text may well be "-" or "none". A file that
the platform wrote itself is taken to the letter: there only an empty cell is no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: In small letters.
ALWAYS: Final = frozenset({"", "na", "n/a", "#n/a", "#na", "<na>", "null", "nan", "-nan", "nat"})
AMONG_NUMBERS: Final = frozenset(
    {"-", "--", "---", "–", "—", "?", ".", "..", "*", "none", "nil", "n.a.", "\\n", "missing"}
)

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def spellings(words: Iterable[str]) -> list[str]:
    """The spellings of words that a reader of CSV is told: small, capital, as a title."""
    found: dict[str, None] = {}
    for word in words:
        for form in (word, word.upper(), word.lower(), word.capitalize(), word.title()):
            found[form] = None
    return [*found, "NaN", "-NaN", "NaT", "<NA>"]


def is_absent(text: str, numeric: bool, more: Iterable[str] = ()) -> bool:
    """Whether a cell is no value. `more`: texts that a person has named."""
    small = text.strip().lower()
    return small in ALWAYS or (numeric and small in AMONG_NUMBERS) or text.strip() in more


def absent(column: pa.Array, numeric: bool, more: Iterable[str] = ()) -> Mask:
    """Which cells of a column of trimmed texts are no values; null is none."""
    words = ALWAYS | AMONG_NUMBERS if numeric else ALWAYS
    small = pc.utf8_lower(column)
    found = pc.is_in(small, value_set=pa.array(sorted(words), column.type))
    named = list(more)
    if named:
        found = pc.or_(found, pc.is_in(column, value_set=pa.array(named, column.type)))
    result: Mask = pc.or_(found, pc.is_null(column)).to_numpy(zero_copy_only=False)
    return result
