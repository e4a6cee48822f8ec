"""A column of times of any form as nanoseconds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.device_time import device_time
from allthings.readings.payload import RefusedError
from allthings.readings.settings import AHEAD_NS_MAX
from allthings.things.errors import BadInputError
from allthings.things.times import COMPACT_RANGES, EPOCH_UNITS, NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, parse_time

_SCALES: Final = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}
#: Texts that a cast to numbers reads as the rule for times does (it would also take `0x10` and `1e9`).
_WHOLE: Final = r"^[+-]?[0-9]{1,18}$"
_BOUNDS: Final = np.array([below for below, _ in EPOCH_UNITS], np.float64)
_UNITS_NS: Final = np.array([scale for _, scale in EPOCH_UNITS] + [1], np.int64)

Times = np.ndarray[Any, np.dtype[np.int64]]
Faults = list[tuple[int, str]]


def times_of(column: pa.Array | None, rows: int, received_ns: int) -> tuple[Times, Faults]:
    """Nanoseconds per row, and the rows (from 0) whose time cannot be used, with the reason.

    Timestamps of any unit and zone (without one: UTC), dates, and what parse_time takes. An empty time is the
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
    """Numbers since the epoch in the unit that their size tells; floats with microseconds."""
    empty = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        counts = pc.fill_null(column.cast(pa.int64(), safe=False), 0).to_numpy(zero_copy_only=False)
        scales = _scales(counts.astype(np.float64))
        inside = (counts >= TIME_NS_MIN // scales) & (counts <= TIME_NS_MAX // scales)
        times = np.where(inside, counts, 0) * scales
        for row in np.flatnonzero(_compact(counts) & ~empty).tolist():
            times[row], inside[row] = parse_time(int(counts[row])), True
    else:
        numbers = pc.fill_null(column.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
        scales = _scales(numbers)
        with np.errstate(invalid="ignore"):
            inside = (numbers >= TIME_NS_MIN / scales) & (numbers <= TIME_NS_MAX / scales)
        numbers = np.where(inside, numbers, 0.0)
        whole = np.trunc(numbers)
        finest = np.minimum(scales, 1_000_000)
        fraction = np.round((numbers - whole) * finest).astype(np.int64)
        times = whole.astype(np.int64) * scales + fraction * (scales // finest)
    return _judged(np.where(empty, received, times), inside | empty, received_ns)


def _scales(numbers: Any) -> Times:
    found: Times = _UNITS_NS[np.searchsorted(_BOUNDS, np.abs(np.nan_to_num(numbers)), side="right")]
    return found


def _compact(counts: Times) -> Any:
    """Whether each number is in a range of dates; whether it is a date parse_time says."""
    ranges = [(counts >= low) & (counts <= high) for low, high, _ in COMPACT_RANGES]
    return np.logical_or.reduce(ranges)


def _judged(times: Times, inside: Any, received_ns: int) -> tuple[Times, Faults]:
    faults = [(row, "the time is outside 1900 to 2262") for row in np.flatnonzero(~inside).tolist()]
    ahead = inside & (times > received_ns + AHEAD_NS_MAX)
    faults += [(row, "the time is more than 24 h ahead") for row in np.flatnonzero(ahead).tolist()]
    return times, faults


def _texts(column: pa.Array, received: Times, received_ns: int) -> tuple[Times, Faults]:
    column = pc.fill_null(column, "")
    if len(column) and column[0].as_py():
        if pc.all(pc.match_substring_regex(column, _WHOLE)).as_py():
            return _epochs(column.cast(pa.int64()), received, received_ns)
        for kind in (pa.timestamp("ns", tz="UTC"), pa.timestamp("ns")):
            try:
                return _scaled(column.cast(kind), 1, received, received_ns)
            except pa.ArrowInvalid:
                continue
    return _one_by_one(column.to_pylist(), received, received_ns)


def _one_by_one(texts: list[str], received: Times, received_ns: int) -> tuple[Times, Faults]:
    times = received.copy()
    faults: Faults = []
    for row, text in enumerate(texts):
        if not text:
            continue
        try:
            times[row] = device_time(text.strip(), received_ns)
        except RefusedError as error:
            faults.append((row, str(error)))
    return times, faults
