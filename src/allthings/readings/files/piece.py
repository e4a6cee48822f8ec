"""What every form of file is read into."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

#: Cells as texts (an Arrow array of strings), typed (any other Arrow array), or as JSON has them (a list).
Cells: TypeAlias = "pa.Array | list[Any]"


class Piece(NamedTuple):
    """Rows of a file, column by column. `rows`: their numbers in the file, from 1, a header not counted; `faults`:
    rows that could not be cut into columns, by that number."""

    columns: list[Cells]
    rows: Ints
    faults: list[tuple[int, str]]
