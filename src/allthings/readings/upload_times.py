"""A column of times of any form as nanoseconds."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.device_time import device_time
from allthings.readings.payload import RefusedError
from allthings.readings.settings import AHEAD_NS_MAX
from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN

_SCALES: Final = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
_EPOCH_MS_FROM: Final = 100_000_000_000
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")

Times = np.ndarray[Any, np.dtype[np.int64]]
Faults = list[tuple[int, str]]


def times_of(column: pa.Array | None, rows: int, received_ns: int) -> tuple[Times, Faults]:
    """Nanoseconds per row, and the rows (from 0) whose time cannot be used, with the reason.

    Timestamps of any unit and zone (without one: UTC), dates, epoch numbers and RFC 3339 texts. An empty time is the
    receive time. Raises BadInputError for columns of other types.
    """
    received: Times = received_ns + np.arange(rows, dtype=np.int64)
    if column is None:
        return received, []
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _texts(column.cast(pa.string()), received, received_ns)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
        kind = column.type
    if pa.types.is_timestamp(kind):
        return _scaled(column, _SCALES[kind.unit], received, received_ns)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _epochs(column, received, received_ns)
    raise BadInputError(f"a time is a timestamp, a text or an epoch number, not {kind}")


def _scaled(column: pa.Array, scale: int, received: Times, received_ns: int) -> tuple[Times, Faults]:
    empty = column.is_null().to_numpy(zero_copy_only=False)
    counts = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    # Compared in their own unit, since the product may not fit.
    inside = (counts >= TIME_NS_MIN // scale) & (counts <= TIME_NS_MAX // scale)
    times = np.where(inside, counts, 0) * scale
    return _judged(np.where(empty, received, times), inside | empty, received_ns)


def _epochs(column: pa.Array, received: Times, received_ns: int) -> tuple[Times, Faults]:
    """Seconds, or milliseconds from 1e11 on; floats with microseconds."""
    empty = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        counts = pc.fill_null(column.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False)
        scales = np.where(np.abs(counts.astype(np.float64)) >= _EPOCH_MS_FROM, 1_000_000, NS_PER_S)
        inside = (counts >= TIME_NS_MIN // scales) & (counts <= TIME_NS_MAX // scales)
        times = np.where(inside, counts, 0) * scales
    else:
        numbers = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        scales = np.where(np.abs(numbers) >= _EPOCH_MS_FROM, 1_000_000, NS_PER_S)
        with np.errstate(invalid="ignore"):
            inside = (numbers >= TIME_NS_MIN / scales) & (numbers <= TIME_NS_MAX / scales)
        numbers = np.where(inside, numbers, 0.0)
        whole = np.trunc(numbers)
        microseconds = np.round((numbers - whole) * 1_000_000).astype(np.int64)
        times = whole.astype(np.int64) * scales + microseconds * (scales // 1_000_000)
    return _judged(np.where(empty, received, times), inside | empty, received_ns)


def _judged(times: Times, inside: Any, received_ns: int) -> tuple[Times, Faults]:
    faults = [(row, "the time is outside 1900 to 2262") for row in np.flatnonzero(~inside).tolist()]
    ahead = inside & (times > received_ns + AHEAD_NS_MAX)
    faults += [(row, "the time is more than 24 h ahead") for row in np.flatnonzero(ahead).tolist()]
    return times, faults


def _texts(column: pa.Array, received: Times, received_ns: int) -> tuple[Times, Faults]:
    column = pc.fill_null(column, "")
    if len(column) and column[0].as_py():
        for kind in (pa.timestamp("ns", tz="UTC"), pa.timestamp("ns"), pa.int64(), pa.float64()):
            try:
                parsed = column.cast(kind)
            except pa.ArrowInvalid:
                continue
            if pa.types.is_timestamp(kind):
                return _scaled(parsed, 1, received, received_ns)
            return _epochs(parsed, received, received_ns)
    return _one_by_one(column.to_pylist(), received, received_ns)


def _one_by_one(texts: list[str], received: Times, received_ns: int) -> tuple[Times, Faults]:
    times = received.copy()
    faults: Faults = []
    for row, text in enumerate(texts):
        if not text:
            continue
        try:
            given = (float(text) if "." in text else int(text[:24])) if _NUMBER.fullmatch(text) else text
            times[row] = device_time(given, received_ns)
        except RefusedError as error:
            faults.append((row, str(error)))
    return times, faults
