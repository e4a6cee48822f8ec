"""Values as text, whole columns at a time: as JSON has them, or as a cell of CSV has them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.things.types import Kind

_dumps: Final = msgspec.json.Encoder().encode
#: Whole numbers from here on would get an exponent, and be no integer for who reads them.
_PLAIN_BELOW: Final = 1e9
_EXACT_BELOW: Final = 2.0**53


def number_tokens(numbers: pa.DoubleArray) -> pa.StringArray:
    """Numbers as JSON has them: integers where they are whole, null for what is none (null, NaN, infinity).

    From 2^53 on they have an exponent: the digits that a float does not hold are not made up.
    """
    number = numbers.to_numpy(zero_copy_only=False)
    finite = np.isfinite(number)
    found = pa.array(number, mask=None if finite.all() else ~finite).cast(pa.string())
    large = finite & (np.abs(number) >= _PLAIN_BELOW)
    if large.any():
        whole = large & (np.abs(number) < _EXACT_BELOW) & (number == np.floor(number))
        if whole.any():
            found = pc.replace_with_mask(
                found, pa.array(whole), pa.array(number[whole].astype(np.int64)).cast(pa.string())
            )
    negative_zero = (number == 0) & np.signbit(number)
    if negative_zero.any():
        # As an integer it would lose its sign.
        found = pc.if_else(pa.array(negative_zero), pa.scalar("-0.0"), found)
    return found


def text_tokens(texts: pa.StringArray) -> pa.StringArray:
    """Texts as JSON strings, null for null. Texts repeat: each is escaped once."""
    encoded = texts.dictionary_encode()
    escaped = pa.array([_dumps(text).decode() for text in encoded.dictionary.to_pylist()], pa.string())
    return escaped.take(encoded.indices)


def value_tokens(numbers: pa.DoubleArray, texts: pa.StringArray, kinds: Any, *, quoted: bool) -> pa.StringArray:
    """Values in the columns of READINGS as text: strings as JSON strings when `quoted`, else as they are.

    `kinds` is a numpy array. Of an integer that no float holds exactly, all digits are given.
    """
    found = number_tokens(numbers)
    booleans = kinds == Kind.BOOLEAN
    if booleans.any():
        said = pc.if_else(pc.equal(numbers.filter(pa.array(booleans)), 0), "false", "true")
        found = pc.replace_with_mask(found, pa.array(booleans), said)
    if texts.null_count < len(texts):
        strings = kinds == Kind.STRING
        if quoted and strings.any():
            texts = pc.replace_with_mask(texts, pa.array(strings), text_tokens(texts.filter(pa.array(strings))))
        found = pc.coalesce(texts, found)
    return found
