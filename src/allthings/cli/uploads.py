"""Files of readings cut into uploads."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from allthings.cli.errors import InputFileError
from allthings.cli.recordings import read_table, recorded

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_MAX: Final = 200_000
BYTES_MAX: Final = 16 << 20
ARROW: Final = "application/vnd.apache.arrow.stream"


class Upload(NamedTuple):
    """One body. `offset`: the rows of the file before its first."""

    body: bytes
    media_type: str
    offset: int


def lines(path: Path) -> Iterator[Upload]:
    """CSV (with its header in each upload) or NDJSON, as it is."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            if path.name.removesuffix(".gz").endswith(".csv"):
                yield from _cut(iter(stream), "text/csv", stream.readline())
            else:
                yield from _cut(iter(stream), "application/x-ndjson", b"")
    except (OSError, EOFError) as error:
        raise InputFileError(f"{path} cannot be read: {error}") from error


def _cut(stream: Iterator[bytes], media_type: str, header: bytes) -> Iterator[Upload]:
    """Pieces of whole rows. A row of CSV may have line ends within quotes: it ends where they are balanced."""
    part: list[bytes] = []
    rows, size, offset, quoted = 0, 0, 0, False
    for line in stream:
        part.append(line)
        size += len(line)
        if header and line.count(b'"') % 2:
            quoted = not quoted
        if quoted:
            continue
        rows += 1
        if rows >= ROWS_MAX or size >= BYTES_MAX:
            yield Upload(header + b"".join(part), media_type, offset)
            offset += rows
            part, rows, size = [], 0, 0
    if part:
        yield Upload(header + b"".join(part), media_type, offset)


def tables(path: Path, thing: str, time_column: str) -> Iterator[Upload]:
    """Any form as Arrow: columns thing, property, time and value; or of one thing, a column for each property."""
    table = read_table(path)
    if not thing:
        value = ("number", "text", "kind") if "number" in table.column_names else ("value", "kind")
        missing = [name for name in ("thing", "property", value[0]) if name not in table.column_names]
        if missing:
            raise InputFileError(
                f"{path} has no column {missing[0]!r}: thing, property, time and value are needed; for a file with a "
                "column for each property name the thing with --thing"
            )
        table = table.select([name for name in ("thing", "property", "time", *value) if name in table.column_names])
        for start in range(0, table.num_rows, ROWS_MAX):
            yield Upload(_encoded(table.slice(start, ROWS_MAX)), ARROW, start)
        return
    moments = recorded(path, table, time_column)
    for start in range(0, table.num_rows, ROWS_MAX):
        times = moments.times_ns[start : start + ROWS_MAX] if moments.times_ns is not None else None
        part = moments.values.slice(start, ROWS_MAX)
        for name in part.column_names:
            yield Upload(_encoded(_long(thing, name, part.column(name), times)), ARROW, start)


def _long(thing: str, name: str, values: pa.ChunkedArray, times_ns: list[int] | None) -> pa.Table:
    """One property of one thing, without the moments at which it has no value."""
    import pyarrow as pa

    columns: dict[str, Any] = {"thing": [thing] * len(values), "property": [name] * len(values), "value": values}
    if times_ns is not None:
        columns["time"] = pa.array(times_ns, pa.timestamp("ns", tz="UTC"))
    return pa.table(columns).filter(values.is_valid())


def _encoded(table: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body
