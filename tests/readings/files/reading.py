"""A file through the importer, as tests look at it."""

from __future__ import annotations

import gzip
from typing import Any, NamedTuple

import pyarrow as pa

from allthings.readings.files import Options, Reading, Understood, understand
from allthings.readings.files.settings import TAIL_BYTES
from allthings.readings.files.sources import Head, open_stream
from allthings.readings.model import Model
from allthings.readings.values import python_value
from allthings.things.times import format_time, parse_time

NOW_NS = parse_time("2026-11-30T12:00:00Z")


class Imported(NamedTuple):
    """What was understood of a file, its readings, and what was left."""

    understood: Understood
    rows: list[tuple[str, str, str, Any]]
    reading: Reading

    def of(self, name: str) -> list[Any]:
        """The values of a property in the order of the file."""
        return [value for _, property_, _, value in self.rows if property_ == name]

    def times(self) -> list[str]:
        """The times that occur, in order."""
        return sorted({time for _, _, time, _ in self.rows})


def understood(data: bytes, name: str = "pump.csv", zone: str = "UTC", **options: Any) -> Understood:
    """What is made of a file."""
    head = Head()
    head.feed(data)
    if not head.full:
        head.finish()
    sample = data if head.form() in ("parquet", "arrow") else head.sample()
    tail = b"" if head.whole else data[-TAIL_BYTES:]
    return understand(sample, Options(**options), name=name, zone=zone, received_ns=NOW_NS, tail=tail, whole=head.whole)


def imported(
    data: bytes, name: str = "pump.csv", zone: str = "UTC", model: Model | None = None, **options: Any
) -> Imported:
    """All readings of a file. It has to leave no question open."""
    found = understood(data, name, zone, **options)
    assert not found.questions, found.questions
    reading = Reading(found, Options(**options), NOW_NS, model or Model({}))
    stream = open_stream(found)
    batches: list[pa.RecordBatch] = []
    for source in (stream.feed(data), stream.finish()):
        for piece in source:
            batches += [taken.readings for taken in reading.take(piece, stream.names)]
    return Imported(found, [row for batch in batches for row in rows_of(batch)], reading)


def rows_of(batch: pa.RecordBatch) -> list[tuple[str, str, str, Any]]:
    """Readings as thing, property, time and value."""
    columns = (batch.column(name).to_pylist() for name in ("thing", "property", "number", "text", "kind"))
    times = batch.column("time").cast(pa.int64()).to_pylist()
    return [
        (thing, name, format_time(time), python_value(number, text, kind))
        for thing, name, number, text, kind, time in zip(*columns, times, strict=True)
    ]


def packed(data: bytes) -> bytes:
    """Gzip of a file."""
    return gzip.compress(data)
