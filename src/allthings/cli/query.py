"""`allthings query`: read-only SQL over the history."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from allthings.cli.options import DEFAULT_URL, Json, SpreadsheetSafe, Token, Url, check_spreadsheet_safe


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT; - reads it from standard input.", show_default=False)
    ],
    format_: Annotated[Format, typer.Option("--format", "-f", help="Form of the output.")] = Format.TABLE,
    spreadsheet_safe: SpreadsheetSafe = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Ask the history with SQL. Tables: readings, readings_1m, readings_1h, readings_1d.

    No digit is lost: numbers are shown as the engine wrote them.

    Example: allthings query "SELECT thing, count() AS n FROM readings GROUP BY thing ORDER BY n DESC LIMIT 5"
    """
    import sys

    import msgspec

    from allthings.cli.client import Client, decoded
    from allthings.cli.output import write_csv, write_json, write_table

    chosen = Format.JSON if as_json else format_
    check_spreadsheet_safe(spreadsheet_safe, chosen)
    text = sys.stdin.read() if sql == "-" else sql
    with Client(url, token) as client:
        answer = decoded(client.request("POST", "/api/query", json={"sql": text}), dict[str, msgspec.Raw])
    if chosen is Format.JSON:
        write_json(answer)
        return
    columns, types = (msgspec.json.decode(answer[name], type=list[str]) for name in ("columns", "types"))
    rows = msgspec.json.decode(answer["rows"], type=list[list[msgspec.Raw]])
    if chosen is Format.CSV:
        write_csv(columns, rows, spreadsheet_safe=spreadsheet_safe)
    else:
        numeric = [
            name
            for name, kind in zip(columns, types, strict=True)
            if any(word in kind for word in ("Int", "Float", "Decimal"))
        ]
        write_table(columns, rows, right=numeric)


def register(app: typer.Typer) -> None:
    app.command()(query)
