"""`allthings export`: the readings of many things into one file."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import (
    DEFAULT_URL,
    From,
    Json,
    SpreadsheetSafe,
    To,
    Token,
    Url,
    check_spreadsheet_safe,
    moment,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from allthings.cli.client import Client

_THINGS_PAGE = 500


def export(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="The file to write: .ndjson, .csv (both also .gz), .parquet or .arrow.",
            show_default=False,
        ),
    ],
    things: Annotated[
        list[str] | None, typer.Argument(metavar="THING", help="Only these; all if none is named.")
    ] = None,
    start: From = "24h",
    end: To = "now",
    spreadsheet_safe: SpreadsheetSafe = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write the readings of things to a file, in the form that the end of its name tells.

    It is exact: `allthings import` reads any of them back as it was. The file appears when all of it was written.

    Example: allthings export rooms.ndjson.gz room-1 room-2 --from 30d
    """
    from allthings.cli.client import Client
    from allthings.cli.files import form_of, open_sink
    from allthings.cli.output import write_json, write_line
    from allthings.cli.pages import save

    form = form_of(output)
    check_spreadsheet_safe(spreadsheet_safe, form.name)
    with Client(url, token) as client:
        names = things or list(_names(client))
        params = {"from": moment(start), "to": moment(end)}
        with open_sink(output, binary=True) as raw, _packed(raw, form.packed) as sink:
            if form.name == "ndjson":
                readings = _lines(client, names, params, sink)
            else:
                tables = _tables(client, names, params)
                readings = save(tables, form.name, sink, spreadsheet_safe=spreadsheet_safe)
    if as_json:
        write_json({"things": len(names), "readings": readings, "file": str(output)})
    else:
        write_line(f"{readings} readings of {len(names)} things in {output}")


def _packed(raw: IO[bytes], packed: bool) -> AbstractContextManager[IO[bytes]]:
    """What is to be written into; `raw` stays open."""
    return gzip.GzipFile(filename="", fileobj=raw, mode="wb") if packed else nullcontext(raw)  # type: ignore[return-value]


def _lines(client: Client, names: Sequence[str], params: dict[str, Any], sink: IO[bytes]) -> int:
    """One JSON object a line: thing, property, time, value; the number of lines.

    Values are passed on unread, so no digit is lost.
    """
    from allthings.cli.output import encode_json
    from allthings.cli.pages import json_pages

    readings = 0
    for name in names:
        for page in json_pages(client, {"thing": [name], **params}):
            for series in page["series"]:
                thing, property_ = encode_json(series["thing"]), encode_json(series["property"])
                line = b'{"thing":%b,"property":%b,"time":%%b,"value":%%b}\n' % (
                    thing.replace(b"%", b"%%"),
                    property_.replace(b"%", b"%%"),
                )
                sink.writelines(line % (bytes(time), bytes(value)) for time, value in series["points"])
                readings += len(series["points"])
    return readings


def _tables(client: Client, names: Sequence[str], params: dict[str, Any]) -> Iterator[pa.Table]:
    """Pages of all things; of none, a table without rows, so that a file has its columns."""
    from allthings.cli.pages import arrow_pages
    from allthings.web.tables import one_table

    yield one_table([], ["value"])
    for name in names:
        yield from arrow_pages(client, {"thing": [name], **params}, 0)


def _names(client: Client) -> Iterator[str]:
    after: str | None = None
    while True:
        page = client.get("/api/things", {"sort": "name", "limit": _THINGS_PAGE, "next": after})
        yield from (thing["thing"] for thing in page["things"])
        after = page["next"]
        if not after:
            return


def register(app: typer.Typer) -> None:
    app.command()(export)
