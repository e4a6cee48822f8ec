"""`allthings history`: a thing's past, as a table or as a file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, From, Json, To, Token, Url, moment

if TYPE_CHECKING:
    from allthings.cli.client import Client, Params


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


def history(
    thing: Annotated[str, typer.Argument(help="The thing's name or id.", show_default=False)],
    properties: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROPERTY]...", help="Which properties; all of them if none is named."),
    ] = None,
    start: From = "24h",
    end: To = "now",
    every: Annotated[str, typer.Option(help="Width of a bucket: 10s, 5m, 1h, 1d.", show_default=False)] = "",
    aggregate: Annotated[
        list[str] | None,
        typer.Option(
            help="avg, min, max, sum, count, first, last; may be repeated. Needs --every.", show_default=False
        ),
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="Thin out to about this many points that look the same (LTTB).", min=3)
    ] = None,
    limit: Annotated[int, typer.Option(help="Points of each series at most; 0 is all.", min=0)] = 1000,
    format_: Annotated[Format, typer.Option("--format", "-f", help="Form of the output.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.", show_default=False)
    ] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Show or save the history of a thing.

    Example: allthings history room-1 co2 --from 7d --every 1h --aggregate avg --aggregate max
    """
    from allthings.cli.client import Client

    params: dict[str, Any] = {
        "thing": [thing],
        "property": properties or None,
        "from": moment(start),
        "to": moment(end),
        "every": every or None,
        "aggregate": ",".join(aggregate) if aggregate else None,
        "points": points,
    }
    chosen = Format.JSON if as_json else format_
    with Client(url, token) as client:
        if chosen in (Format.TABLE, Format.JSON):
            _write_json(_collect(client, params, limit), chosen, output)
        else:
            _save(client, params, chosen, limit, output)


def _collect(client: Client, params: Params, limit: int) -> dict[str, Any]:
    """All pages up to the limit, with each series in one piece."""
    series: dict[tuple[str, str], dict[str, Any]] = {}
    after: str | None = None
    while True:
        answer = client.get("/api/history", {**params, "limit": limit or None, "next": after})
        for part in answer["series"]:
            known = series.setdefault((part["thing"], part["property"]), {**part, "points": []})
            known["points"] += part["points"]
        after = answer.get("next")
        if not after or (limit and all(len(one["points"]) >= limit for one in series.values())):
            break
    for one in series.values():
        one["points"] = one["points"][: limit or None]
    return {"series": list(series.values()), "next": after}


def _write_json(found: dict[str, Any], chosen: Format, output: Path | None) -> None:
    from allthings.cli.output import remark, write_json, write_table

    if chosen is Format.JSON:
        if output:
            import orjson

            output.write_bytes(orjson.dumps(found))
        else:
            write_json(found)
        return
    if not any(series["points"] for series in found["series"]):
        remark("no readings in this time")
    for series in found["series"]:
        unit = f" [{series['unit']}]" if series.get("unit") else ""
        columns = [
            series["columns"][0],
            *(f"{series['property']}{unit}" if name == "value" else f"{name}{unit}" for name in series["columns"][1:]),
        ]
        remark(f"{series['thing']} {series['property']}")
        write_table(columns, series["points"], right=columns[1:])
    if found["next"]:
        remark("there is more: --limit 0 shows all")


def register(app: typer.Typer) -> None:
    app.command()(history)
