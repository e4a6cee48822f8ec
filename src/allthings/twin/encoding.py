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
from allthings.readings.tokens import value_tokens
from allthings.things.times import NS_PER_S

_dumps: Final = msgspec.json.Encoder().encode
#: What ends a value: of devices, and of uploads.
_QUALITIES: Final = [
    pa.array([f'Z","quality":"{quality}"{origin}}},' for quality in ("good", "clock")])
    for origin in ("", ',"origin":"upload"')
]
#: The units in which Arrow shows a time with 0, 3, 6 or 9 digits of the second.
_UNITS: Final = (("s", NS_PER_S), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))


def rows_json(readings: pa.RecordBatch, *, uploaded: bool = False) -> pa.StringArray:
    """Each reading of the schema DECODED as a JSON object: thing, property, value, time, received, quality; and that
    it was uploaded.

    There is a comma behind each, for `together`.
    """
    if not readings.num_rows:
        return pa.array([], pa.string())
    column = readings.column
    times, received = (column(name).to_numpy().view(np.int64) for name in ("time", "received"))
    # The readings of one message mostly share their times.
    begins = np.concatenate(([True], (times[1:] != times[:-1]) | (received[1:] != received[:-1])))
    ends = _ends(times[begins], received[begins], _QUALITIES[uploaded])
    return pc.binary_join_element_wise(
        _names('{"thing":', column("thing"), ',"property":'),
        _names("", column("property"), ',"value":'),
        value_tokens(column("number"), column("text"), column("kind").to_numpy(), quoted=True).fill_null("null"),
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


def _ends(times: Any, received: Any, qualities: pa.StringArray) -> pa.StringArray:
    """The members behind the value."""
    received_text = _times(received)
    time_text = received_text if np.array_equal(times, received) else _times(times)
    wrong = wrong_clock(times, received)
    quality = qualities.take(pa.array(wrong.astype(np.int8))) if wrong.any() else qualities[0]
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
