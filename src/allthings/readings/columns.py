"""From values row by row to readings in columns.

Decoding appends each payload's values to one long list; everything that would cost time per value (its type, its
bounds, its place) is then done here over whole columns. Only values that do not obviously fit are looked at one by
one.
"""

from __future__ import annotations

from itertools import compress
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from allthings.readings.cells import ANY, BOOLEAN, INTEGER, NUMBER, STRING, Cells
from allthings.readings.decoded import DECODED
from allthings.readings.payload import RefusedError, check_text, compact_json
from allthings.readings.plans import Names, Plans
from allthings.readings.settings import EXACT_INTEGERS_BELOW, SHOWN_CHARS_MAX
from allthings.things.types import Kind, PropertyType
from allthings.things.values import check_value

_Int64 = np.ndarray[Any, np.dtype[np.int64]]
_UInt64 = np.ndarray[Any, np.dtype[np.uint64]]
TIME: Final = pa.timestamp("ns", tz="UTC")

#: Codes of the Python types that JSON decodes to.
FLOAT, INT, BOOL, STR, NULL, NESTED = range(6)
_CODES: Final = {float: FLOAT, int: INT, bool: BOOL, str: STR, type(None): NULL, dict: NESTED, list: NESTED}
_KINDS: Final = np.array([Kind.NUMBER, Kind.NUMBER, Kind.BOOLEAN, Kind.STRING, Kind.JSON, Kind.JSON], dtype=np.uint8)


def _fits() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """fits[class, code]: whether a value of that code fits without looking closer (bounds aside)."""
    fits = np.zeros((6, 6), dtype=bool)
    fits[ANY] = True
    fits[NUMBER, [FLOAT, INT]] = True
    fits[INTEGER, INT] = True
    fits[BOOLEAN, BOOL] = True
    fits[STRING, STR] = True
    # null says that there is no value now, which a description of values does not forbid.
    fits[:, NULL] = True
    return fits


FITS: Final = _fits()


class Fault(NamedTuple):
    """A value that was refused: its message's row in the block, and why."""

    row: int
    reason: str


class Columns:
    """Values on their way into columns. A *segment* is the values of one plan at one time.

    The hot loop of decoding appends to the public lists: per segment the number of a plan, the message's row, and the
    time; to `values` as many values as the plan has names.
    """

    def __init__(self) -> None:
        self.plans: list[int] = []
        self.rows: list[int] = []
        self.times: list[int] = []
        self.values: list[Any] = []

    def finish(self, positions: _UInt64, received: _Int64, plans: Plans) -> tuple[pa.RecordBatch, list[Fault]]:
        """The readings (schema DECODED) and the faults.

        `positions`, `received`: of each row its place in the log and nanoseconds; `plans`: where the plans came from.
        """
        if not self.values:
            return EMPTY, []
        cells = plans.cells
        segments = np.array(self.plans, np.int64)
        counts = cells.count[segments]
        # Per value its cell: those of a plan follow one another, and so do the values of a segment.
        places = np.arange(len(self.values)) + np.repeat(cells.first[segments] - (np.cumsum(counts) - counts), counts)
        rows = np.repeat(np.array(self.rows, np.int64), counts)
        codes, number = _numbers(self.values)
        constrained = bool(cells.constrained[segments].any())
        text, faults, keep = self._examine(cells, places, codes, number, rows, constrained=constrained)

        things = np.repeat(cells.things[segments], counts)
        properties = cells.properties[places]
        times = np.repeat(np.array(self.times, np.int64), counts)
        if keep is not None:
            things, properties, times, rows = things[keep], properties[keep], times[keep], rows[keep]
            codes, number = codes[keep], number[keep]
            text = list(compress(text, keep.tolist())) if text else None
        columns = [
            _dictionary(things, plans.things),
            _dictionary(properties, plans.properties),
            pa.array(times, TIME),
            pa.array(number, pa.float64(), mask=codes > BOOL),
            pa.array(text, pa.string()) if text else pa.nulls(len(codes), pa.string()),
            pa.array(_KINDS[codes]),
            pa.array(received[rows], TIME),
            pa.array(positions[rows]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=DECODED), faults

    def _examine(
        self, cells: Cells, places: _Int64, codes: Any, number: Any, rows: _Int64, *, constrained: bool
    ) -> tuple[list[str | None] | None, list[Fault], Any]:
        """Look at the values that do not fit at a glance, and those that are kept as text.

        Returns the text column (None: all null), the faults, and which values to keep (None: all).
        """
        doubtful = np.isinf(number)
        if constrained:
            # Comparisons with the NaN of what is no number are false; its type decides.
            doubtful |= ~FITS[cells.classes[places], codes]
            doubtful |= (number < cells.low[places]) | (number > cells.high[places])
        textual = codes >= STR
        big = (codes == INT) & (np.abs(number) >= EXACT_INTEGERS_BELOW)
        special = np.flatnonzero(doubtful | textual | big)
        if not len(special):
            return None, [], None
        values = self.values
        text: list[str | None] = [None] * len(values)
        doubts, code_of = doubtful.tolist(), codes.tolist()
        keep = None
        faults = []
        for place in special.tolist():
            try:
                if doubts[place]:
                    _check(values[place], cells.types[places[place]])
                text[place] = _text(values[place], code_of[place])
            except RefusedError as error:
                if keep is None:
                    keep = np.ones(len(values), dtype=bool)
                keep[place] = False
                shown = cells.names[places[place]][:SHOWN_CHARS_MAX]
                faults.append(Fault(int(rows[place]), f"property {shown!r}: {error}"))
        return text, faults, keep


EMPTY: Final = pa.RecordBatch.from_pylist([], schema=DECODED)


def _numbers(values: list[Any]) -> tuple[Any, Any]:
    """Per value its code, and its number: NaN for what is none, infinity for an integer that no float reaches."""
    count = len(values)
    codes = np.fromiter(map(_CODES.__getitem__, map(type, values)), np.uint8, count)
    numeric = codes <= BOOL
    several = numeric.all()
    chosen = values if several else list(compress(values, numeric.tolist()))
    try:
        found = np.fromiter(chosen, np.float64, len(chosen))
    except OverflowError:
        found = np.fromiter(map(number_of, chosen), np.float64, len(chosen))
    if several:
        return codes, found
    number = np.full(count, np.nan)
    number[numeric] = found
    return codes, number


def code_of(value: Any) -> int:
    """The code of a value as JSON decodes it."""
    return _CODES.get(type(value), NESTED)


def number_of(value: float) -> float:
    """The nearest float of a number: infinity for an integer that none reaches."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _check(value: Any, kind: PropertyType | None) -> None:
    if type(value) is int:
        try:
            float(value)
        except OverflowError:
            raise RefusedError("an integer beyond the range of numbers") from None
    if kind is not None and value is not None:
        reason = check_value(value, kind)
        if reason:
            raise RefusedError(reason)


def _text(value: Any, code: int) -> str | None:
    """What is kept as text of a value."""
    if code == STR:
        check_text(value)
        return str(value)
    if code >= NULL:
        return compact_json(value)
    return str(value) if code == INT and abs(value) >= EXACT_INTEGERS_BELOW else None


def _dictionary(numbers: Any, names: Names) -> pa.DictionaryArray:
    """Numbers of names as a dictionary array with only the names that occur."""
    highest = int(numbers.max()) + 1 if len(numbers) else 0
    if highest <= 4 * len(numbers) + 1024:
        # A table is faster than sorting, unless it would be mostly empty.
        used = np.zeros(highest, dtype=bool)
        used[numbers] = True
        distinct = np.flatnonzero(used)
        places = (np.cumsum(used, dtype=np.int32) - 1)[numbers].astype(np.int32, copy=False)
    else:
        distinct, inverse = np.unique(numbers, return_inverse=True)
        places = inverse.astype(np.int32)
    dictionary = pa.array(map(names.names.__getitem__, distinct.tolist()), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), dictionary)
