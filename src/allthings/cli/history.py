"""`allthings history`: a thing's past, as a table or as a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from allthings.cli.pages import Answer

#: What a terminal gets unless it asks for more.
TABLE_ROWS = 1000


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


def history(
    thing: Annotated[str, typer.Argument(metavar="THING", help="The thing's name or id.", show_default=False)],
    properties: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROPERTY", help="Which properties; all of them if none is named."),
    ] = None,
    start: From = "24h",
    end: To = "now",
    every: Annotated[
        str, typer.Option(help="Width of a bucket: 10s, 5m, 1h, 1d, 1w, 1mo, 1y.", show_default=False)
    ] = "",
    zone: Annotated[
        str,
        typer.Option(
            metavar="ZONE",
            help="Whose days and hours --every means, and times without an offset: Europe/Berlin; local: this "
            "machine's. Default: UTC.",
            show_default=False,
        ),
    ] = "",
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            help="avg, min, max, sum, count, first, last, stddev, p1 to p99, twa, increase, duration; may be repeated.",
            show_default=False,
        ),
    ] = None,
    hold: Annotated[
        str, typer.Option(help="twa, duration: how long a value holds at most, such as 15m.", show_default=False)
    ] = "",
    rollover: Annotated[
        float | None,
        typer.Option(help="increase: the number at which a counter begins again at 0.", show_default=False),
    ] = None,
    state: Annotated[
        str, typer.Option(help="duration: only of this state, as a number of seconds.", show_default=False)
    ] = "",
    points: Annotated[
        int | None, typer.Option(help="Thin out to about this many points that look the same (LTTB).", min=3)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Rows of each series at most, 0: all. Default: 1000 for a table.", min=0, show_default=False),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="Form of the output.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", show_default=False)
    ] = None,
    spreadsheet_safe: SpreadsheetSafe = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Show or save the history of a thing.

    CSV has thing, property, time, value and kind; Arrow and Parquet number and text in place of value, as SQL has.

    Example: allthings history room-1 co2 --from 7d --every 1h --aggregate avg --aggregate max
    """
    from allthings.cli.client import Client
    from allthings.cli.files import open_sink
    from allthings.cli.output import remark
    from allthings.cli.pages import arrow_pages, collect, save
    from allthings.cli.zones import local_zone

    zone = local_zone() if zone == "local" else zone
    params: dict[str, Any] = {
        "thing": [thing],
        "property": properties or None,
        "from": moment(start),
        "to": moment(end),
        "every": every or None,
        "zone": zone or None,
        "hold": hold or None,
        "rollover": rollover,
        "state": state or None,
        "aggregate": ",".join(aggregate) if aggregate else None,
        "points": points,
    }
    chosen = Format.JSON if as_json else format_
    check_spreadsheet_safe(spreadsheet_safe, chosen)
    if limit is None:
        limit = TABLE_ROWS if chosen is Format.TABLE else 0
    with Client(url, token) as client:
        if chosen is Format.TABLE:
            found = collect(client, params, limit)
            if not any(series["points"] for series in found["series"]):
                remark("no readings in this time")
            _show(found, zone)
        elif chosen is Format.JSON:
            _write_json(collect(client, params, limit), output)
        else:
            with open_sink(output, binary=chosen is not Format.CSV) as sink:
                rows = save(arrow_pages(client, params, limit), chosen, sink, spreadsheet_safe=spreadsheet_safe)
            if output:
                remark(f"{rows} rows in {output}")


def _write_json(found: Answer, output: Path | None) -> None:
    from allthings.cli.files import open_sink
    from allthings.cli.output import encode_json, write_json

    if output is None:
        write_json(found)
        return
    with open_sink(output, binary=False) as sink:
        sink.write(encode_json(found))


def _show(found: Answer, zone: str) -> None:
    from allthings.cli.output import remark, write_line, write_table
    from allthings.cli.zones import in_zone
    from allthings.things.units import unit_symbol

    for series in found["series"]:
        if not series["points"]:
            continue
        unit = unit_symbol(series["unit"] or "")
        write_line(f"{series['thing']} {series['property']}{' in ' if unit else ''}{unit}")
        columns = series["columns"]
        points = [[in_zone(time, zone), *rest] for time, *rest in series["points"]] if zone else series["points"]
        write_table(columns, points, right=columns[1:])
        write_line("")
    if found["next"]:
        remark("there is more: --limit 0 shows all")


def register(app: typer.Typer) -> None:
    app.command()(history)
