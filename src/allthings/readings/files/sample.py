"""The first rows of a file, and the last, as its understanding sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.json_rows import MISSING
from allthings.readings.files.piece import Cells


@dataclass(frozen=True, slots=True)
class Sample:
    """Columns by their headers. `units`: of a row below the header; `tail`: how many of the rows are the file's last;
    `said`: what was seen while it was cut into columns."""

    headers: tuple[str, ...]
    columns: list[Cells]
    rows: int
    units: tuple[str, ...] = ()
    tail: int = 0
    faults: int = 0

    def texts(self, place: int) -> pa.Array:
        """A column as trimmed texts; what is missing is empty."""
        return texts_of(self.columns[place])

    def typed(self, place: int) -> Any:
        """The Arrow type of a typed column, None for texts and JSON."""
        cells = self.columns[place]
        return None if isinstance(cells, list) or pa.types.is_string(cells.type) else cells.type


def texts_of(cells: Cells) -> pa.Array:
    """Cells of any form as trimmed texts; what is missing is empty."""
    if isinstance(cells, list):
        return pa.array(["" if cell is None or cell is MISSING else _text(cell) for cell in cells], pa.string())
    if pa.types.is_string(cells.type):
        return pc.utf8_trim_whitespace(pc.fill_null(cells, ""))
    if pa.types.is_floating(cells.type):
        return _floats(cells)
    if pa.types.is_nested(cells.type) or pa.types.is_binary(cells.type):
        return pa.array([""] * len(cells), pa.string())
    return pc.fill_null(cells.cast(pa.string()), "")


def _text(cell: Any) -> str:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return ""
    return repr(cell) if isinstance(cell, float) else str(cell)


def _floats(cells: pa.Array) -> pa.Array:
    """Floats without an exponent: whole ones as integers, since times are."""
    numbers = pc.fill_null(cells.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    return pa.array([_float_text(number) for number in numbers.tolist()], pa.string())


def _float_text(number: float) -> str:
    if number != number:
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e18 else repr(number)
