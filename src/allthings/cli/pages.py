"""Answers of the history page by page, as JSON or as Arrow tables, and into files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    import msgspec
    import pyarrow as pa

    from allthings.cli.client import Client

#: Rows of each series in one page.
JSON_PAGE_ROWS: Final = 10_000
ARROW_PAGE_ROWS: Final = 200_000
_NEXT: Final = re.compile(r'<[^>]*[?&]next=([^&>]+)[^>]*>; rel="next"')

Params = dict[str, Any]


class Series(TypedDict):
    """One series of an answer. Points are not read, so that no digit is lost: the time, then the values, as JSON."""

    thing: str
    property: str
    unit: str
    columns: list[str]
    points: list[list[msgspec.Raw]]


class Answer(TypedDict):
    """A page of the history."""

    series: list[Series]
    next: str | None


def collect(client: Client, params: Params, limit: int) -> Answer:
    """The answer in JSON, all pages up to `limit` rows of each series (0: all), each series in one piece."""
    series: dict[tuple[str, str], Series] = {}
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


def json_pages(client: Client, params: Params, rows: int = JSON_PAGE_ROWS) -> Iterator[Answer]:
    """Answers in JSON, one page after another. `rows`: of each series in one page."""
    import msgspec

    from allthings.cli.client import decoded

    after: str | None = None
    while True:
        response = client.request("GET", "/api/history", params={**params, "limit": rows, "next": after})
        answer: dict[str, msgspec.Raw] = decoded(response, dict[str, msgspec.Raw])
        parts = msgspec.json.decode(answer["series"], type=list[dict[str, msgspec.Raw]])
        after = msgspec.json.decode(answer["next"])
        yield {"series": list(map(_series, parts)), "next": after}
        if not after:
            return


def _series(part: dict[str, msgspec.Raw]) -> Series:
    import msgspec

    read = msgspec.json.decode
    points = read(part["points"], type=list[list[msgspec.Raw]])
    thing, name, unit = (read(part[member]) for member in ("thing", "property", "unit"))
    return {"thing": thing, "property": name, "unit": unit, "columns": read(part["columns"]), "points": points}


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


def save(tables: Iterator[pa.Table], form: str, sink: IO[bytes], *, spreadsheet_safe: bool = False) -> int:
    """Write tables one after another as `csv`, `arrow` (a stream) or `parquet`; the number of rows.

    All of them have the same columns, whatever is in them.
    """
    rows = 0
    writer: Any = None
    try:
        for table in tables:
            plain = _plain(table)
            if writer is None:
                writer = _writer(form, plain.schema, sink, spreadsheet_safe)
            writer.write_table(plain)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def _plain(table: pa.Table) -> pa.Table:
    """Names as plain strings: pages number them differently."""
    import pyarrow as pa

    fields = [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _writer(form: str, schema: pa.Schema, sink: IO[bytes], spreadsheet_safe: bool) -> Any:
    import pyarrow as pa

    if form == "parquet":
        from pyarrow import parquet

        return parquet.ParquetWriter(sink, schema, compression="zstd")
    if form == "arrow":
        return pa.ipc.new_stream(sink, schema)
    return _CsvWriter(sink, spreadsheet_safe)


class _CsvWriter:
    """CSV as the platform writes it, over several tables. A terminal gets what would act there made visible."""

    def __init__(self, sink: IO[bytes], spreadsheet_safe: bool) -> None:
        self._sink = sink
        self._spreadsheet_safe = spreadsheet_safe
        self._header = True

    def write_table(self, table: pa.Table) -> None:
        from allthings.things.display import visible_lines
        from allthings.web.tables import csv_chunks

        on_terminal = self._sink.isatty()
        for data in csv_chunks(table, header=self._header, spreadsheet_safe=self._spreadsheet_safe):
            self._sink.write(visible_lines(data.decode()).encode() if on_terminal else data)
        self._header = False

    def close(self) -> None:
        """The sink belongs to who gave it."""
