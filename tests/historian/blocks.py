"""Blocks of readings to put into a history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from allthings.log import block
from allthings.readings.decoded import DECODED, Decoded
from allthings.things.types import Kind

S = 1_000_000_000
#: 2026-03-02 00:00:00 UTC, a Monday.
T0 = 1_772_409_600 * S
_TIME = pa.timestamp("ns", tz="UTC")

#: thing, property, time, value.
Row = tuple[str, str, int, Any]


def columns_of(value: Any) -> tuple[float | None, str | None, int]:
    """A value as it is stored."""
    if isinstance(value, bool):
        return float(value), None, Kind.BOOLEAN
    if isinstance(value, int | float):
        exact = isinstance(value, float) or int(float(value)) == value
        return float(value), None if exact else str(value), Kind.NUMBER
    if isinstance(value, str):
        return None, value, Kind.STRING
    return None, msgspec.json.encode(value).decode(), Kind.JSON


def decoded(sequence: int, rows: Sequence[Row], **more: Any) -> Decoded:
    """A block with these readings, each row a message of its own, received at its time."""
    values = [columns_of(row[3]) for row in rows]
    times = pa.array([row[2] for row in rows], pa.int64()).cast(_TIME)
    readings = pa.RecordBatch.from_arrays(
        [
            pa.array([row[0] for row in rows], pa.string()).dictionary_encode(),
            pa.array([row[1] for row in rows], pa.string()).dictionary_encode(),
            times,
            pa.array([value[0] for value in values], pa.float64()),
            pa.array([value[1] for value in values], pa.string()),
            pa.array([value[2] for value in values], pa.uint8()),
            times,
            pa.array([block.position(sequence, i) for i in range(len(rows))], pa.uint64()),
        ],
        schema=DECODED,
    )
    return Decoded(sequence, readings, messages=len(rows), **more)


def end_of(sequence: int) -> int:
    """The last position of a block."""
    return block.position(sequence + 1, 0) - 1


def ns(column: pa.ChunkedArray) -> list[int]:
    """A column of times as nanoseconds."""
    return column.cast(pa.int64()).to_pylist()
