"""Readings as JSON text, whole columns at a time: the live feed at full load has no time for an object a value.

The members and their forms are those of a current value everywhere else (`web.values`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.things.times import NS_PER_S, format_time
from allthings.things.types import Kind
from allthings.twin.values import wrong_clock

_dumps: Final = msgspec.json.Encoder().encode
#: Whole numbers from here on would get an exponent, and be no integer for who reads them.
_PLAIN_BELOW: Final = 1e9
_EXACT_BELOW: Final = 2.0**53
_QUALITIES: Final = pa.array(['","quality":"good"}', '","quality":"clock"}'])


def rows_json(readings: pa.RecordBatch) -> pa.StringArray:
    """Each reading of the schema DECODED as a JSON object: thing, property, value, time, received, quality."""
    if not readings.num_rows:
        return pa.array([], pa.string())
    column = readings.column
    times, received = (column(name).cast(pa.int64()).to_numpy() for name in ("time", "received"))
    received_text = _times(received)
    time_text = received_text if np.array_equal(times, received) else _times(times)
    wrong = wrong_clock(times, received)
    quality = _QUALITIES.take(pa.array(wrong.astype(np.int8))) if wrong.any() else _QUALITIES[0]
    return pc.binary_join_element_wise(
        _names('{"thing":', column("thing")),
        _names(',"property":', column("property")),
        ',"value":',
        _values(column("number"), column("text"), column("kind").to_numpy()),
        ',"time":"',
        time_text,
        '","received":"',
        received_text,
        quality,
        "",
    )


def together(rows: pa.StringArray) -> bytes:
    """JSON texts with commas between them."""
    if not len(rows):
        return b""
    every = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    return bytes(pc.binary_join(every, ",")[0].as_buffer())


def _names(before: str, names: pa.DictionaryArray) -> pa.StringArray:
    texts = [before + _dumps(name).decode() for name in names.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(names.indices)


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


def _times(times: Any) -> pa.StringArray:
    """As `things.times.format_time`; the readings of one message mostly share theirs."""
    begins = np.concatenate(([True], times[1:] != times[:-1]))
    found = _distinct_times(times[begins])
    return found if begins.all() else found.take(pa.array(np.cumsum(begins) - 1))


def _distinct_times(times: Any) -> pa.StringArray:
    seconds, fractions = np.divmod(times, NS_PER_S)
    # Of a fraction 0, 3, 6 or 9 digits are shown. Leading zeros come from the 1 that is cut off.
    text = pa.nulls(len(times), pa.string())
    left = fractions != 0
    for digits, unit in ((3, 1_000_000), (6, 1_000), (9, 1)):
        fits = left & (fractions % unit == 0)
        if fits.any():
            shown = pa.array(fractions[fits] // unit + 10**digits).cast(pa.string())
            shown = pc.binary_join_element_wise(".", pc.utf8_slice_codeunits(shown, 1), "")
            text = shown if fits.all() else pc.replace_with_mask(text, pa.array(fits), shown)
            left &= ~fits
    if text.null_count:
        text = text.fill_null("")
    begins = np.concatenate(([True], seconds[1:] != seconds[:-1]))
    whole = pa.array(list(map(_second, seconds[begins].tolist())), pa.string())
    return pc.binary_join_element_wise(whole.take(pa.array(np.cumsum(begins) - 1)), text, "Z", "")


@lru_cache(4_096)
def _second(seconds: int) -> str:
    return format_time(seconds * NS_PER_S)[:-1]
