"""Files that the platform wrote itself (`allthings export`), which are taken to the letter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.cells import Read, Rule, read_cells
from allthings.readings.files.piece import Cells
from allthings.readings.upload_values import UNSAID, Kinds, from_pair, from_texts, kinds_of
from allthings.things.types import Kind


def value_header(headers: Sequence[str]) -> str:
    """The column of values."""
    return "value" if "value" in headers else "number"


def read_own(columns: Sequence[Cells], headers: Sequence[str], rule: Rule) -> Read:
    """The values of all rows, with the kinds that the file says they have."""
    by_header = dict(zip(headers, columns, strict=False))
    value = by_header[value_header(headers)]
    kinds = by_header.get("kind")
    said: Kinds | None = None if kinds is None or isinstance(kinds, list) else kinds_of(kinds)
    if "value" not in by_header and not isinstance(value, list):
        return Read(from_pair(value, by_header["text"], said), np.arange(len(value)), 0)
    if isinstance(value, list) or not pa.types.is_string(value.type):
        return read_cells(value, "any", rule)
    empty = pc.equal(value, "").to_numpy(zero_copy_only=False)
    if said is not None:
        empty &= (said != Kind.STRING) & (said != UNSAID)
    present = np.flatnonzero(~empty)
    chosen = value.take(pa.array(present))
    return Read(from_texts(chosen, None, None if said is None else said[present]), present, int(empty.sum()))
