"""`allthings import`: files of readings as people have them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes

if TYPE_CHECKING:
    pass


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CSV and its kin, NDJSON, JSON, Parquet, Arrow; also packed (.gz)."),
    ],
    thing: Annotated[
        str, typer.Option(help="The thing the readings are of; default is the file's name.", show_default=False)
    ] = "",
    time_column: Annotated[
        list[str] | None, typer.Option(help="The column of times; repeat it for date and time.", show_default=False)
    ] = None,
    time_format: Annotated[
        str, typer.Option(help="How times are written, as in %d.%m.%Y %H:%M.", show_default=False)
    ] = "",
    day_first: Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="Of 03/04/2026, whether 3 is the day.", show_default=False),
    ] = None,
    zone: Annotated[
        str,
        typer.Option(help="Of times without an offset: Europe/Berlin. Default: the platform's.", show_default=False),
    ] = "",
    now: Annotated[bool, typer.Option("--now", help="Give rows the time of import: the file has no times.")] = False,
    thing_column: Annotated[
        str, typer.Option(help="The column that names the thing; `none`: no column does.", show_default=False)
    ] = "",
    property_column: Annotated[str, typer.Option(help="The column that names the property.", show_default=False)] = "",
    value_column: Annotated[str, typer.Option(help="The column of values beside it.", show_default=False)] = "",
    columns_are: Annotated[
        Literal["properties", "things"], typer.Option(help="What each column of values is.")
    ] = "properties",
    property_: Annotated[
        str, typer.Option("--property", help="With --columns-are things: the property.", show_default=False)
    ] = "",
    absent: Annotated[
        list[str] | None, typer.Option(help="A text that means no value, such as -999; may repeat.", show_default=False)
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="A column of texts; may repeat.", show_default=False)] = None,
    number: Annotated[
        list[str] | None, typer.Option(help="A column of numbers; may repeat.", show_default=False)
    ] = None,
    leave: Annotated[list[str] | None, typer.Option(help="Leave a column out; may repeat.", show_default=False)] = None,
    delimiter: Annotated[
        str, typer.Option(help="Between columns: , ; | tab space. Found by itself.", show_default=False)
    ] = "",
    decimal: Annotated[str, typer.Option(help="The decimal sign: . or ,", show_default=False)] = "",
    encoding: Annotated[str, typer.Option(help="The text's encoding, as cp1252.", show_default=False)] = "",
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether the first row has names.", show_default=False),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what was understood, and store nothing.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Import files of readings.

    How a file is written, its times, units and shape are found by themselves. On a terminal you see first what was
    understood. What only you can know is asked. Everything is on disk when this ends; doing it again doubles nothing.

    Example: allthings import pump.csv --thing pump-7 --zone Europe/Berlin
    """
    from allthings.cli.client import Client
    from allthings.cli.errors import InputFileError
    from allthings.cli.importing import Importer
    from allthings.cli.output import write_json

    options = {
        "thing": thing,
        "time_column": time_column,
        "time_format": time_format,
        "day_first": day_first,
        "zone": zone,
        "now": now or None,
        "thing_column": thing_column,
        "property_column": property_column,
        "value_column": value_column,
        "columns_are": columns_are if columns_are == "things" else None,
        "property": property_,
        "absent": absent,
        "text": text,
        "number": number,
        "leave": leave,
        "delimiter": delimiter,
        "decimal": decimal,
        "encoding": encoding,
        "header": header,
    }
    said = {name: value for name, value in options.items() if value not in (None, "", [])}
    for file in files:
        if not file.is_file():
            raise InputFileError(f"there is no file {file}")
    results: list[dict[str, Any]] = []
    with Client(url, token, timeout=180.0) as client:
        importer = Importer(client, said, ask=not yes and not as_json, quiet=as_json)
        for file in files:
            result = importer.preview_only(file) if preview else importer.run(file)
            if result is not None:
                results.append({"file": str(file), **result})
    if as_json:
        write_json(results[0] if len(files) == 1 and results else {"files": results, **_total(results)})
    if any(result.get("rejected_total") for result in results):
        raise typer.Exit(1)


def _total(results: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(result.get(name, 0) for result in results) for name in ("rows", "accepted", "rejected_total")}


def register(app: typer.Typer) -> None:
    app.command("import")(import_)
