"""What was read of a file, counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.readings.files.piece import Ints
from allthings.readings.files.settings import TIMES_COUNTED_MAX


class Tally:
    """Counts over the pieces of a file. `several`: rows of several things may share a time."""

    def __init__(self, several: bool) -> None:
        self._several = several
        self.rows = 0
        self.accepted = 0
        #: By header: cells without a value.
        self.absent: dict[str, int] = {}
        self.things: dict[str, None] = {}
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self._times: list[Ints] = []
        self._counted = 0

    def column(self, name: str, cells: int, missing: int) -> None:
        """Cells of a column, of which some are no values."""
        self.absent[name] = self.absent.get(name, 0) + missing

    def times(self, ns: Ints, things: Ints) -> None:
        """The times of rows that are kept."""
        if not self._several and self._counted < TIMES_COUNTED_MAX:
            self._times.append(ns)
            self._counted += len(ns)

    def note(self, batch: pa.RecordBatch) -> None:
        """Readings that are accepted."""
        self.accepted += batch.num_rows
        things: Any = batch.column("thing")
        used = pc.unique(things.indices).to_pylist()
        for place in used:
            self.things[things.dictionary[place].as_py()] = None
        times = batch.column("time").cast(pa.int64())
        span = pc.min_max(times).as_py()
        if span["min"] is not None:
            self.first_ns = span["min"] if self.first_ns is None else min(self.first_ns, span["min"])
            self.last_ns = span["max"] if self.last_ns is None else max(self.last_ns, span["max"])

    def repeated(self) -> int:
        """Rows whose time an earlier row had already, so that they replace its values; of the first eight million."""
        if not self._times:
            return 0
        times = np.concatenate(self._times)
        return int(len(times) - len(np.unique(times)))
