"""`allthings watch`: live values in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from rich.table import Table

    from allthings.cli.client import Client

#: The feed says something every 15 s even when there is nothing to say.
_SILENCE_S = 45.0
_RECONNECT_S = 1.0
#: Lines of the table; things beyond are left to filters.
_ROWS_MAX = 500


def watch(
    things: Annotated[
        list[str] | None, typer.Argument(metavar="THING", help="Only these; all if none is named.")
    ] = None,
    properties: Annotated[
        list[str] | None, typer.Option("--property", "-p", help="Only this property; may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(help="End after this many values; 0: never.", min=0)] = 0,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Watch values as they arrive.

    Ctrl-C ends it. With --json one line of JSON for each value.

    Example: allthings watch room-1 room-2 --property co2
    """
    from allthings.cli.client import Client

    with Client(url, token) as client:
        try:
            values = _values(client, things or [], properties or [], count)
            if as_json:
                _lines(values)
            else:
                _table(client, values, things or [], properties or [])
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _values(client: Client, things: list[str], properties: list[str], count: int) -> Iterator[dict[str, Any]]:
    """Values from the feed, which is taken up again where it broke off."""
    import time

    import orjson

    from allthings.cli.errors import UnreachableError
    from allthings.cli.live import events, lines
    from allthings.cli.output import remark

    last_id, seen, reached = "", 0, False
    while True:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        params = {"thing": things or None, "property": properties or None}
        try:
            with client.stream("/api/live", params, headers, _SILENCE_S) as response:
                reached = True
                for event in events(lines(response.iter_bytes()), last_id):
                    last_id = event.id
                    if event.name == "gap":
                        remark("some values were passed over; the history has them")
                    if event.name != "values":
                        continue
                    for value in orjson.loads(event.data)["values"]:
                        yield value
                        seen += 1
                        if count and seen >= count:
                            return
        except UnreachableError as error:
            if not reached:
                raise
            remark(f"{error.detail}; trying again")
        time.sleep(_RECONNECT_S)


def _lines(values: Iterator[dict[str, Any]]) -> None:
    import orjson

    from allthings.cli.output import write_line

    for value in values:
        write_line(orjson.dumps(value).decode())


def _table(client: Client, values: Iterator[dict[str, Any]], things: list[str], properties: list[str]) -> None:
    """A table that shows the newest value of each series, begun with what is known already."""
    import sys

    from rich.live import Live

    from allthings.cli.output import remark, write_line

    params = {"thing": things or None, "property": properties or None}
    newest = {(value["thing"], value["property"]): value for value in client.get("/api/current", params)["values"]}
    silent = [thing for thing in things if thing not in {name for name, _ in newest}]
    if silent:
        remark(f"no value of {', '.join(silent)} yet; waiting for the first")
    with Live(get_renderable=lambda: _render(newest), refresh_per_second=8, vertical_overflow="crop"):
        for value in values:
            newest[value["thing"], value["property"]] = value
    # Where there is no terminal, Live writes the last state without the end of its line.
    if not sys.stdout.isatty():
        write_line("")


def _render(newest: dict[tuple[str, str], dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from allthings.cli.output import show

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("thing", "property", "value", "time", "quality"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for key in sorted(newest)[:_ROWS_MAX]:
        value = newest[key]
        quality = value["quality"]
        style = "" if quality == "good" else "yellow"
        cells = (*key, show(value["value"]), value["time"], quality)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    if len(newest) > _ROWS_MAX:
        table.caption = f"{len(newest) - _ROWS_MAX} more series; name things to see them"
    return table


def register(app: typer.Typer) -> None:
    app.command()(watch)
