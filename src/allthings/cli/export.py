"""`allthings export`: the readings of many things into one file."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, From, Json, To, Token, Url, moment

if TYPE_CHECKING:
    from allthings.cli.client import Client

_THINGS_PAGE = 500


def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write: .ndjson or .ndjson.gz.")],
    things: Annotated[
        list[str] | None, typer.Argument(metavar="THING", help="Only these; all if none is named.")
    ] = None,
    start: From = "24h",
    end: To = "now",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Write the readings of things to a file.

    One JSON object a line: thing, property, time, value. It is exact: `allthings import` reads it back as it was. For
    columns, see `allthings history --format parquet`.

    Example: allthings export rooms.ndjson.gz room-1 room-2 --from 30d
    """
    import orjson

    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_line
    from allthings.cli.pages import json_pages, open_sink

    readings = 0
    with Client(url, token) as client:
        names = things or list(_names(client))
        with open_sink(output, binary=True) as raw, _packed(output, raw) as sink:
            for name in names:
                params: dict[str, Any] = {"thing": [name], "from": moment(start), "to": moment(end)}
                for page in json_pages(client, params):
                    for series in page["series"]:
                        head = {"thing": series["thing"], "property": series["property"]}
                        lines = (head | {"time": time, "value": value} for time, value in series["points"])
                        sink.write(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
                        readings += len(series["points"])
    if as_json:
        write_json({"things": len(names), "readings": readings, "file": str(output)})
    else:
        write_line(f"{readings} readings of {len(names)} things in {output}")


def _packed(output: Path, raw: IO[bytes]) -> IO[bytes]:
    return gzip.GzipFile(filename="", fileobj=raw, mode="wb") if output.suffix == ".gz" else raw  # type: ignore[return-value]


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
