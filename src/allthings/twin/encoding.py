"""Readings as JSON text, whole columns at a time: the live feed at full load has no time for an object a value.

The members and their forms are those of a current value everywhere else (`web.values`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.clock import wrong_clock
from allthings.things.times import NS_PER_S
from allthings.things.types import Kind

_dumps: Final = msgspec.json.Encoder().encode
#: Whole numbers from here on would get an exponent, and be no integer for who reads them.
_PLAIN_BELOW: Final = 1e9
_EXACT_BELOW: Final = 2.0**53
_QUALITIES: Final = pa.array(['Z","quality":"good"},', 'Z","quality":"clock"},'])
#: The units in which Arrow shows a time with 0, 3, 6 or 9 digits of the second.
_UNITS: Final = (("s", NS_PER_S), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))


def rows_json(readings: pa.RecordBatch) -> pa.StringArray:
    """Each reading of the schema DECODED as a JSON object: thing, property, value, time, received, quality.

    There is a comma behind each, for `together`.
    """
    if not readings.num_rows:
        return pa.array([], pa.string())
    column = readings.column
    times, received = (column(name).to_numpy().view(np.int64) for name in ("time", "received"))
    # The readings of one message mostly share their times.
    begins = np.concatenate(([True], (times[1:] != times[:-1]) | (received[1:] != received[:-1])))
    ends = _ends(times[begins], received[begins])
    return pc.binary_join_element_wise(
        _names('{"thing":', column("thing"), ',"property":'),
        _names("", column("property"), ',"value":'),
        _values(column("number"), column("text"), column("kind").to_numpy()),
        ends if begins.all() else ends.take(pa.array(np.cumsum(begins) - 1)),
        "",
    )


def together(rows: pa.StringArray) -> bytes:
    """JSON objects with commas between them."""
    if not len(rows):
        return b""
    # They lie in one buffer, one behind the other: that is the text, but for its last comma.
    _, offsets, data = rows.buffers()
    start, end = np.frombuffer(offsets, np.int32)[[rows.offset, rows.offset + len(rows)]].tolist()
    return bytes(data[start : end - 1])


def _names(before: str, names: pa.DictionaryArray, after: str) -> pa.StringArray:
    texts = [f"{before}{_dumps(name).decode()}{after}" for name in names.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(names.indices)


def _ends(times: Any, received: Any) -> pa.StringArray:
    """The members behind the value."""
    received_text = _times(received)
    time_text = received_text if np.array_equal(times, received) else _times(times)
    wrong = wrong_clock(times, received)
    quality = _QUALITIES.take(pa.array(wrong.astype(np.int8))) if wrong.any() else _QUALITIES[0]
    return pc.binary_join_element_wise(',"time":"', time_text, 'Z","received":"', received_text, quality, "")


def _times(times: Any) -> pa.StringArray:
    """As `things.times.format_time`, but for the Z."""
    stamps = pa.array(times).view(pa.timestamp("ns"))
    text, left = pa.nulls(len(times), pa.string()), np.ones(len(times), np.bool_)
    for unit, size in _UNITS:
        fits = left & (times % size == 0)
        if fits.any():
            shown = stamps if fits.all() else stamps.filter(pa.array(fits))
            shown = shown.cast(pa.timestamp(unit)).cast(pa.string())
            text = shown if fits.all() else pc.replace_with_mask(text, pa.array(fits), shown)
            left &= ~fits
    return pc.binary_replace_slice(text, 10, 11, "T")


def _values(numbers: pa.DoubleArray, texts: pa.StringArray, kinds: Any) -> pa.StringArray:
    """As `readings.values.python_value` has them."""
    number = numbers.to_numpy(zero_copy_only=False)
    finite = np.isfinite(number)
    large = finite & (np.abs(number) >= _PLAIN_BELOW)
    # The sum turns a negative zero into a positive one, which is what an integer has.
    found = pa.array(number + 0.0, mask=None if finite.all() else ~finite).cast(pa.string())
    if large.any():
        whole = large & (np.abs(number) < _EXACT_BELOW) & (number == np.floor(number))
        if whole.any():
            found = pc.replace_with_mask(
                found, pa.array(whole), pa.array(number[whole].astype(np.int64)).cast(pa.string())
            )
    booleans = kinds == Kind.BOOLEAN
    if booleans.any():
        said = pa.array(["false", "true"]).take(pa.array((number[booleans] != 0).astype(np.int8)))
        found = pc.replace_with_mask(found, pa.array(booleans), said)
    if texts.null_count < len(texts):
        places = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        given = texts.take(pa.array(places)).to_pylist()
        # Strings are quoted; JSON and integers too long for a number are kept as they are written.
        strings = (kinds[places] == Kind.STRING).tolist()
        shown = [_dumps(text).decode() if string else text for text, string in zip(given, strings, strict=True)]
        has_text = np.zeros(len(number), np.bool_)
        has_text[places] = True
        found = pc.replace_with_mask(found, pa.array(has_text), pa.array(shown, pa.string()))
    return found.fill_null("null") if found.null_count else found
