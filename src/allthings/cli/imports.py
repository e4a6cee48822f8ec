"""`allthings import`: a file of readings through the bulk upload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from allthings.cli.client import Client
    from allthings.cli.uploads import Upload

#: An upload that finds the platform busy is tried this often, with this pause between.
_TRIES_MAX = 10
_PAUSE_S = 2.0
_LISTED_MAX = 20


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Readings: .csv, .ndjson, .parquet or .arrow (also .csv.gz, .ndjson.gz)."),
    ],
    thing: Annotated[
        str, typer.Option(help="The thing, for a file with a time and a column for each property.", show_default=False)
    ] = "",
    time_column: Annotated[str, typer.Option(help="The column of times; found by itself.", show_default=False)] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Upload a file of readings.

    A row or line has thing, property, time and value, as `allthings export` writes them; or, with --thing, a time and
    a column for each property. Everything is on disk when this ends. Doing it again doubles nothing.

    Example: allthings import pump.csv --thing pump-7
    """
    from allthings.cli.client import Client
    from allthings.cli.errors import InputFileError
    from allthings.cli.output import remark, write_json, write_line
    from allthings.cli.uploads import lines, tables

    if not file.is_file():
        raise InputFileError(f"there is no file {file}")
    as_it_is = not thing and file.name.removesuffix(".gz").endswith((".csv", ".ndjson", ".jsonl"))
    accepted, rejected = 0, 0
    listed: list[dict[str, Any]] = []
    with Client(url, token, timeout=180.0) as client:
        for upload in lines(file) if as_it_is else tables(file, thing, time_column):
            answer = _send(client, upload)
            accepted += answer["accepted"]
            rejected += answer["rejected_total"]
            listed += [{"row": upload.offset + row["row"], "reason": row["reason"]} for row in answer["rejected"]]
    if as_json:
        write_json({"accepted": accepted, "rejected_total": rejected, "rejected": listed})
    else:
        write_line(f"{accepted} readings accepted, {rejected} rejected")
        for row in listed[:_LISTED_MAX]:
            remark(f"row {row['row']}: {row['reason']}")
    if rejected:
        raise typer.Exit(1)


def _send(client: Client, upload: Upload) -> Any:
    """The answer to one upload. A platform that is busy is given time."""
    import time

    from allthings.cli.errors import ProblemError

    headers = {"Content-Type": upload.media_type}
    for _ in range(_TRIES_MAX - 1):
        try:
            return client.request("POST", "/api/readings", content=upload.body, headers=headers).json()
        except ProblemError as error:
            if error.http_status != 503:
                raise
        time.sleep(_PAUSE_S)
    return client.request("POST", "/api/readings", content=upload.body, headers=headers).json()


def register(app: typer.Typer) -> None:
    app.command("import")(import_)
