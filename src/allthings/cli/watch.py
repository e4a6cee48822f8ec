"""`allthings watch`: live values in the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    import msgspec
    from rich.table import Table

    from allthings.cli.client import Client

    #: The members of a value, not read: so no digit is lost.
    Value = dict[str, msgspec.Raw]

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

    Ctrl-C ends it. A thing that is not there yet is waited for, and that is said. With --json one line of JSON for
    each value.

    Example: allthings watch room-1 room-2 --property co2
    """
    from allthings.cli.client import Client

    with Client(url, token) as client:
        try:
            newest = _newest(client, things or [], properties or [])
            values = _values(client, things or [], properties or [], count)
            if as_json:
                _lines(values)
            else:
                _table(newest, values)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _values(client: Client, things: list[str], properties: list[str], count: int) -> Iterator[Value]:
    """Values from the feed, which is taken up again where it broke off."""
    import time

    import msgspec

    from allthings.cli.errors import UnreachableError
    from allthings.cli.live import events, lines
    from allthings.cli.output import remark

    data = msgspec.json.Decoder(dict[str, list[dict[str, msgspec.Raw]]])
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
                    for value in data.decode(event.data)["values"]:
                        yield value
                        seen += 1
                        if count and seen >= count:
                            return
        except UnreachableError as error:
            if not reached:
                raise
            remark(f"{error.detail}; trying again")
        time.sleep(_RECONNECT_S)


def _lines(values: Iterator[Value]) -> None:
    from allthings.cli.output import write_json

    for value in values:
        write_json(value, indent=-1)


def _newest(client: Client, things: list[str], properties: list[str]) -> dict[tuple[str, str], Value]:
    """What is known already. Things that are not there, or silent, may come yet; but it is said."""
    import msgspec

    from allthings.cli.client import decoded
    from allthings.cli.errors import ProblemError
    from allthings.cli.output import remark

    params = {"thing": things or None, "property": properties or None}
    try:
        response = client.request("GET", "/api/current", params=params)
    except ProblemError as error:
        if error.http_status != 404:
            raise
        remark(f"{error.detail} (waiting for its first value)")
        return {}
    known = decoded(response, dict[Literal["values"], list[dict[str, msgspec.Raw]]])
    newest = {_series(value): value for value in known["values"]}
    silent = [thing for thing in things if thing not in {name for name, _ in newest}]
    if silent:
        remark(f"no value of {', '.join(silent)} yet; waiting for the first")
    return newest


def _table(newest: dict[tuple[str, str], Value], values: Iterator[Value]) -> None:
    """A table that shows the newest value of each series, begun with what is known already."""
    import sys

    from rich.live import Live

    from allthings.cli.output import write_line

    with Live(get_renderable=lambda: _render(newest), refresh_per_second=8, vertical_overflow="crop"):
        for value in values:
            newest[_series(value)] = value
    # Where there is no terminal, Live writes the last state without the end of its line.
    if not sys.stdout.isatty():
        write_line("")


def _series(value: Value) -> tuple[str, str]:
    from allthings.cli.output import show

    return show(value["thing"]), show(value["property"])


def _render(newest: dict[tuple[str, str], Value]) -> Table:
    from rich.table import Table

    from allthings.cli.output import cell, show

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("thing", "property", "value", "time", "quality"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for key in sorted(newest)[:_ROWS_MAX]:
        value = newest[key]
        style = "" if show(value["quality"]) == "good" else "yellow"
        shown = (*key, *(value[member] for member in ("value", "time", "quality")))
        table.add_row(*(cell(one, style=style) for one in shown))
    if len(newest) > _ROWS_MAX:
        table.caption = f"{len(newest) - _ROWS_MAX} more series; name things to see them"
    return table


def register(app: typer.Typer) -> None:
    app.command()(watch)
