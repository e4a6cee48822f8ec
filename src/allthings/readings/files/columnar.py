"""Parquet and Arrow: typed columns, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from allthings.readings.arrow_bounds import stream_of, uncompressed_bytes
from allthings.readings.files.piece import Piece
from allthings.readings.files.settings import BATCH_ROWS, SPOOLED_BYTES_MAX
from allthings.things.errors import BadInputError, LimitExceededError

_DAMAGE: Final = (pa.ArrowException, ValueError, OSError, StopIteration, MemoryError, KeyError, TypeError)


class Columnar:
    """A file of Parquet or Arrow: `names`, and its rows in pieces. Raises BadInputError."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            self._batches = self._open()
            first = next(self._batches, None)
        except _DAMAGE as error:
            raise BadInputError(f"the file cannot be read: {error}") from None
        if first is None:
            raise BadInputError("the file has no rows")
        self._first = first
        self.names: list[str] = list(_flat(first).schema.names)

    def _open(self) -> Iterator[pa.RecordBatch]:
        start = self._file.read(8)
        self._file.seek(0)
        if start.startswith(b"PAR1"):
            return iter(pyarrow.parquet.ParquetFile(self._file).iter_batches(BATCH_ROWS))
        if start.startswith(b"ARROW1"):
            reader = pa.ipc.open_file(self._file)
            return (reader.get_batch(place) for place in range(reader.num_record_batches))
        return iter(pa.ipc.open_stream(self._file))

    def pieces(self) -> Iterator[Piece]:
        """All rows in order."""
        read = 0
        batch: pa.RecordBatch | None = self._first
        while batch is not None:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = _flat(batch.slice(start, BATCH_ROWS))
                rows = read + 1 + np.arange(part.num_rows, dtype=np.int64)
                read += part.num_rows
                yield Piece([_cells(part.column(place)) for place in range(part.num_columns)], rows, [])
            try:
                batch = next(self._batches, None)
            except _DAMAGE as error:
                raise BadInputError(f"the file cannot be read after row {read:,}: {error}") from None


def check_size(data: bytes) -> None:
    """Raises LimitExceededError for an Arrow stream that would be too large once decompressed."""
    try:
        size = uncompressed_bytes(stream_of(data))
    except _DAMAGE as error:
        raise BadInputError(f"the Arrow file cannot be read: {error}") from None
    if size > SPOOLED_BYTES_MAX:
        raise LimitExceededError(f"{size:,} bytes once decompressed, more than {SPOOLED_BYTES_MAX:,}")


def _flat(batch: pa.RecordBatch) -> pa.Table:
    """Members of structs as columns of their own, named with a point between."""
    table = pa.Table.from_batches([batch])
    for _ in range(16):
        if not any(pa.types.is_struct(field.type) for field in table.schema):
            break
        table = table.flatten()
    return table


def _cells(column: pa.ChunkedArray) -> Any:
    """A column in one piece; what is neither number, boolean nor text as Python has it."""
    found = column.combine_chunks()
    found = pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
    kind = found.type
    if pa.types.is_dictionary(kind):
        found = found.dictionary_decode()
        kind = found.type
    if pa.types.is_nested(kind):
        return found.to_pylist()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return found.cast(pa.string())
    return found
