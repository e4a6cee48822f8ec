"""What comes of an upload."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from allthings.readings.settings import UPLOAD_ERRORS_MAX


class RowError(msgspec.Struct, frozen=True):
    """A row that was refused; `row` counts from 1."""

    row: int
    reason: str


class Upload(msgspec.Struct, frozen=True):
    """`readings` has the schema READINGS. `errors` lists the first refused values, `refused` counts all."""

    readings: pa.RecordBatch
    errors: list[RowError]
    refused: int


class Errors:
    """Refused rows: all counted, the first listed."""

    def __init__(self) -> None:
        self.listed: list[RowError] = []
        self.count = 0

    def add(self, row: int, reason: str) -> None:
        """`row` counts from 1."""
        self.count += 1
        if len(self.listed) < UPLOAD_ERRORS_MAX:
            self.listed.append(RowError(row, reason))

    def upload(self, readings: pa.RecordBatch) -> Upload:
        """The result, errors in the order of rows."""
        return Upload(readings, sorted(self.listed, key=lambda error: error.row), self.count)
