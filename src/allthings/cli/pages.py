"""Answers of the history page by page, as JSON or as Arrow tables, and into files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from allthings.cli.errors import InputFileError

if TYPE_CHECKING:
    import pyarrow as pa

    from allthings.cli.client import Client

#: Rows of each series in one page.
JSON_PAGE_ROWS: Final = 10_000
ARROW_PAGE_ROWS: Final = 200_000
_NEXT: Final = re.compile(r'<[^>]*[?&]next=([^&>]+)[^>]*>; rel="next"')

Params = dict[str, Any]


def collect(client: Client, params: Params, limit: int) -> dict[str, Any]:
    """The answer in JSON, all pages up to `limit` rows of each series (0: all), each series in one piece."""
    series: dict[tuple[str, str], dict[str, Any]] = {}
    after: str | None = None
    for answer in json_pages(client, params, min(limit or JSON_PAGE_ROWS, JSON_PAGE_ROWS)):
        for part in answer["series"]:
            known = series.setdefault((part["thing"], part["property"]), {**part, "points": []})
            known["points"] += part["points"]
        after = answer["next"]
        if limit and max((len(one["points"]) for one in series.values()), default=0) >= limit:
            break
    for one in series.values():
        if limit and len(one["points"]) > limit:
            one["points"] = one["points"][:limit]
    return {"series": list(series.values()), "next": after}


def json_pages(client: Client, params: Params, rows: int = JSON_PAGE_ROWS) -> Iterator[dict[str, Any]]:
    """Answers in JSON, one page after another. `rows`: of each series in one page."""
    after: str | None = None
    while True:
        answer = client.get("/api/history", {**params, "limit": rows, "next": after})
        yield answer
        after = answer["next"]
        if not after:
            return


def arrow_pages(client: Client, params: Params, limit: int) -> Iterator[pa.Table]:
    """Tables of `thing`, `property`, `time` and the values; pages until all is there, or `limit` rows a series."""
    import pyarrow as pa

    after: str | None = None
    remaining = limit
    while True:
        size = min(remaining, ARROW_PAGE_ROWS) if limit else ARROW_PAGE_ROWS
        asked = {**params, "limit": size, "next": after, "format": "arrow"}
        response = client.request("GET", "/api/history", params=asked)
        yield pa.ipc.open_stream(response.content).read_all()
        found = _NEXT.search(response.headers.get("link", ""))
        remaining -= size
        if not found or (limit and remaining <= 0):
            return
        from urllib.parse import unquote

        after = unquote(found[1])


def save(tables: Iterator[pa.Table], form: str, sink: IO[bytes]) -> int:
    """Write tables one after another as `csv`, `arrow` (a stream) or `parquet`; the number of rows.

    Raises InputFileError when a later table has other types than the first: a file has one type a column.
    """
    import pyarrow as pa

    rows = 0
    writer: Any = None
    try:
        for table in tables:
            if not table.num_rows and writer is not None:
                continue
            if writer is None:
                schema = _plain(table.schema)
                writer = _writer(form, schema, sink)
            try:
                writer.write_table(table.cast(schema))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InputFileError(
                    f"values of several types do not fit one file ({error}); save fewer properties at once"
                ) from error
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _plain(schema: pa.Schema) -> pa.Schema:
    """Names as plain strings: pages number them differently."""
    import pyarrow as pa

    fields = [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]
    return pa.schema(fields)


def _writer(form: str, schema: pa.Schema, sink: IO[bytes]) -> Any:
    import pyarrow as pa

    if form == "parquet":
        from pyarrow import parquet

        return parquet.ParquetWriter(sink, schema, compression="zstd")
    if form == "arrow":
        return pa.ipc.new_stream(sink, schema)
    return _CsvWriter(schema, sink)


class _CsvWriter:
    """CSV with times in RFC 3339."""

    def __init__(self, schema: pa.Schema, sink: IO[bytes]) -> None:
        self._sink = sink
        sink.write((",".join(schema.names) + "\r\n").encode())

    def write_table(self, table: pa.Table) -> None:
        from pyarrow import csv

        place = table.schema.get_field_index("time")
        table = table.set_column(place, "time", _rfc3339(table.column(place)))
        csv.write_csv(table, self._sink, csv.WriteOptions(include_header=False, quoting_style="needed"))

    def close(self) -> None:
        """The sink belongs to who gave it."""


def _rfc3339(times: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    from allthings.things.times import format_time

    return pa.chunked_array([pa.array([format_time(ns) for ns in times.cast(pa.int64()).to_pylist()], pa.string())])


def open_sink(output: Path | None, binary: bool) -> IO[bytes]:
    """The file, or standard output. Raises InputFileError for bytes onto a terminal, or a file that cannot be made."""
    import sys

    if output is None:
        if binary and sys.stdout.isatty():
            raise InputFileError("this format is not for a terminal: name a file with -o")
        return sys.stdout.buffer
    try:
        return output.open("wb")
    except OSError as error:
        raise InputFileError(f"{output} cannot be written: {error.strerror}") from error
