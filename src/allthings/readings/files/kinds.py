"""Which kind of values a column has, judged by its cells in the sample."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.absent import absent
from allthings.readings.files.cells import Rule, plain_numbers
from allthings.readings.files.json_rows import MISSING
from allthings.readings.files.piece import Cells
from allthings.readings.files.settings import MAJORITY

_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


class Judged(NamedTuple):
    """The kind of a column, the part of its cells that are empty, the range of its numbers, and what to say of it."""

    kind: str
    empty: float
    low: float | None = None
    high: float | None = None
    said: str = ""


def judge(cells: Cells, rule: Rule) -> Judged:
    """The kind of a column: number, boolean, text, or any."""
    rows = len(cells)
    if isinstance(cells, list):
        missing = sum(1 for cell in cells if cell is None or cell is MISSING)
        return Judged("any", missing / rows if rows else 0.0)
    if not pa.types.is_string(cells.type):
        return Judged(_typed(cells), cells.null_count / rows if rows else 0.0)
    trimmed = pc.utf8_trim_whitespace(cells)
    there = trimmed.filter(pa.array(~absent(trimmed, False, rule.absent)))
    solid = trimmed.filter(pa.array(~absent(trimmed, True, rule.absent)))
    plain = plain_numbers(solid, rule)
    numeric = pc.fill_null(pc.match_substring_regex(plain, _NUMBER), False)
    truth = pc.match_substring_regex(solid, r"(?i)^(true|false)$")
    numbers, truths = pc.sum(numeric).as_py() or 0, pc.sum(truth).as_py() or 0
    count = len(solid)
    if not len(there):  # the sample says nothing: each cell is what it is
        return Judged("any", 1.0)
    if count and numbers > MAJORITY * count:
        values = plain.filter(numeric).cast(pa.float64()).to_numpy(zero_copy_only=False)
        said = f"{count - numbers} cells of the sample are no numbers and will be refused" if numbers < count else ""
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
        return Judged("number", 1 - count / rows, low, high, said)
    if count and truths > MAJORITY * count:
        said = f"{count - truths} cells of the sample are neither true nor false and will be refused"
        return Judged("boolean", 1 - count / rows, said=said if truths < count else "")
    if len(there) and (pc.sum(pc.match_substring_regex(there, r"^[\[{]")).as_py() or 0) > MAJORITY * len(there):
        return Judged("any", 1 - len(there) / rows)
    return Judged("text", 1 - len(there) / rows if rows else 0.0)


def _typed(cells: pa.Array) -> str:
    kind = cells.type
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "text"
