"""Values in columns, held against what their properties are declared to be, as readings."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.log import block
from allthings.readings.cells import classify
from allthings.readings.columns import BOOL, FITS, FLOAT, INT, NESTED, NULL, STR, TIME
from allthings.readings.model import Model
from allthings.readings.upload_result import Errors
from allthings.readings.upload_values import Mask, Values
from allthings.readings.values import python_value
from allthings.things.types import Kind, PropertyType
from allthings.things.values import check_value

#: By Kind; whole numbers count as integers.
_CODES: Final = np.array([FLOAT, BOOL, STR, NESTED])


class Rows(NamedTuple):
    """Per value the number of its row for people, and where refused ones are told."""

    numbers: Any
    errors: Errors


def judged(
    things: pa.DictionaryArray,
    properties: pa.DictionaryArray,
    times: Any,
    values: Values,
    rows: Rows,
    received_ns: int,
    model: Model,
    types: Types | None = None,
    keep: Mask | None = None,
) -> pa.RecordBatch:
    """The readings (schema READINGS) of those values that are kept and fit; the others are told."""
    types = types or Types(things, properties, model)
    keep = np.ones(len(things), np.bool_) if keep is None else keep
    for row in types.doubtful(values, keep):
        value = python_value(float(values.numbers[row]), values.texts[row].as_py(), int(values.kinds[row]))
        kind = types.of(row)
        if kind is not None and (reason := check_value(value, kind)):
            keep[row] = False
            rows.errors.add(int(rows.numbers[row]), reason)
    textual = (values.kinds == Kind.STRING) | (values.kinds == Kind.JSON)
    batch = pa.RecordBatch.from_arrays(
        [
            things,
            properties,
            pa.array(times, TIME),
            pa.array(values.numbers, pa.float64(), mask=textual),
            values.texts,
            pa.array(values.kinds),
            pa.array(np.full(len(things), received_ns, np.int64), TIME),
        ],
        schema=block.READINGS,
    )
    return batch if keep.all() else batch.filter(pa.array(keep))


class Types:
    """The declared type of each row's property, looked up once per series."""

    def __init__(self, things: pa.DictionaryArray, properties: pa.DictionaryArray, model: Model) -> None:
        thing_names, property_names = things.dictionary.to_pylist(), properties.dictionary.to_pylist()
        self._types: list[PropertyType | None] = []
        self._series: Any = None
        if not any(name in model.types for name in thing_names):
            return
        width = max(len(property_names), 1)
        pairs = things.indices.to_numpy().astype(np.int64) * width + properties.indices.to_numpy()
        distinct, self._series = np.unique(pairs, return_inverse=True)
        self._types = [
            model.types.get(thing_names[pair // width], {}).get(property_names[pair % width])
            for pair in distinct.tolist()
        ]

    def of(self, row: int) -> PropertyType | None:
        kind: PropertyType | None = self._types[self._series[row]]
        return kind

    def as_text(self) -> Mask | None:
        """The rows whose property is declared a string; None when none is."""
        strings = np.array([kind is not None and kind.type == "string" for kind in self._types], np.bool_)
        if not strings.any():
            return None
        found: Mask = strings[self._series]
        return found

    def doubtful(self, values: Values, keep: Mask) -> list[int]:
        """The rows, of those kept, whose values do not obviously fit."""
        if not self._types:
            return []
        classified = [classify(kind) for kind in self._types]
        classes, low, high = (np.array(column)[self._series] for column in zip(*classified, strict=True))
        numbers = values.numbers
        codes = _CODES[values.kinds]
        with np.errstate(invalid="ignore"):
            codes[(values.kinds == Kind.NUMBER) & (numbers == np.floor(numbers))] = INT
            codes[
                pc.fill_null(pc.equal(values.texts, "null"), False).to_numpy(zero_copy_only=False) & (codes == NESTED)
            ] = NULL
            outside = (numbers < low) | (numbers > high)
        rows: list[int] = np.flatnonzero((~FITS[classes, codes] | outside) & keep).tolist()
        return rows
