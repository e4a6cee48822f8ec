"""Recordings in files: CSV, newline-delimited JSON, Parquet and Arrow, as a table with one row a moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from allthings.cli.errors import InputFileError
from allthings.things.errors import BadInputError
from allthings.things.times import parse_time

if TYPE_CHECKING:
    import pyarrow as pa

#: Names that a column of times usually has, in the order in which they are looked for.
TIME_COLUMNS: Final = ("time", "@time", "timestamp", "datetime", "date", "ts", "unix_ts")
_ROWS_AT_ONCE: Final = 1024


@dataclass(frozen=True)
class Recorded:
    """Moments in the order of the file. `times_ns`: nanoseconds since the epoch, None when the file has no times."""

    times_ns: list[int] | None
    values: pa.Table

    def rows(self) -> Iterator[dict[str, Any]]:
        """Per moment its values, without those that are missing."""
        for batch in self.values.to_batches(max_chunksize=_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}


def read(path: Path, time_column: str = "") -> Recorded:
    """Read a recording. `time_column`: "" finds it by its usual names. Raises InputFileError."""
    return recorded(path, read_table(path), time_column)


def recorded(path: Path, table: pa.Table, time_column: str) -> Recorded:
    """A table that was read from a file as moments. Raises InputFileError."""
    if time_column and time_column not in table.column_names:
        raise InputFileError(f"{path} has no column {time_column!r}; it has {', '.join(table.column_names)}")
    chosen = time_column or next((name for name in TIME_COLUMNS if name in table.column_names), "")
    if not chosen:
        return Recorded(None, table)
    times = _times(path, table.column(chosen))
    values = table.drop_columns([chosen])
    if not values.num_columns:
        raise InputFileError(f"{path} has no column beside {chosen!r}")
    return Recorded(times, values)


def read_table(path: Path) -> pa.Table:
    """All columns of a file, whose form the end of its name tells. Raises InputFileError."""
    import pyarrow as pa

    kinds = [suffix for suffix in path.suffixes if suffix != ".gz"]
    kind = kinds[-1].lower() if kinds else ""
    try:
        if kind == ".csv":
            from pyarrow import csv

            # An empty cell is no value, whatever its column holds.
            return csv.read_csv(path, convert_options=csv.ConvertOptions(strings_can_be_null=True))
        if kind in (".ndjson", ".jsonl", ".json"):
            from pyarrow import json

            return json.read_json(path)
        if kind == ".parquet":
            from pyarrow import parquet

            return parquet.read_table(path)
        if kind in (".arrow", ".feather", ".arrows"):
            return _arrow(path)
    except (OSError, pa.ArrowException) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error
    raise InputFileError(f"{path}: the end of its name must tell its form: .csv, .ndjson, .parquet or .arrow")


def _arrow(path: Path) -> pa.Table:
    """The stream form and the file form of Arrow IPC."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        if source.read(6) == b"ARROW1":
            return pa.ipc.open_file(source).read_all()
        source.seek(0)
        return pa.ipc.open_stream(source).read_all()


def _times(path: Path, column: pa.ChunkedArray) -> list[int]:
    import pyarrow as pa

    if column.null_count:
        raise InputFileError(f"{path}: {column.null_count} rows have no time")
    if pa.types.is_timestamp(column.type):
        # Times without a zone are UTC, as everywhere in the platform.
        times: list[int] = column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()
        return times
    if pa.types.is_date(column.type):
        return [int(value) for value in column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist()]
    try:
        return [parse_time(value) for value in column.to_pylist()]
    except BadInputError as error:
        raise InputFileError(f"{path}: {error.detail}") from error
