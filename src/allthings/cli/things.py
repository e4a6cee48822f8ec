"""`allthings things`: list, show, add, remove and adopt things."""

from __future__ import annotations

from typing import Annotated

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

Thing = Annotated[str, typer.Argument(help="The thing's name or id.", show_default=False)]


def list_things(
    search: Annotated[str, typer.Argument(help="Words that name, title or type contain.", show_default=False)] = "",
    state: Annotated[str, typer.Option(help="Only `adopted` or `discovered` things.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(help="At most this many.", min=1)] = 100,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """List things, with whether they are online and their main value.

    Example: allthings things list pump --state discovered
    """
    from allthings.cli.client import Client
    from allthings.cli.output import remark, show, write_json, write_table
    from allthings.things.units import unit_symbol

    params = {"search": search or None, "state": state or None}
    with Client(url, token) as client:
        found, page = client.pages("/api/things", "things", params, limit)
    if as_json:
        write_json({"things": found, "total": page["total"]})
        return
    rows = []
    for thing in found:
        main = thing["main"] or {}
        value = f"{show(main.get('value'))} {unit_symbol(main.get('unit', ''))}".strip()
        online = "online" if thing["online"] else "offline"
        rows.append((thing["thing"], thing["title"], thing["state"], online, thing["seen"], value))
    write_table(["thing", "title", "state", "now", "seen", "value"], rows, right=["value"])
    if page["total"] > len(found):
        remark(f"{len(found)} of {page['total']} things; more with --limit")


def show_thing(thing: Thing, as_json: Json = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Show a thing: what it is, and its properties with their current values.

    With --json it is the Thing Description (W3C WoT TD 1.1).

    Example: allthings things show room-1
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import show, write_json, write_line, write_table
    from allthings.things.units import unit_symbol

    with Client(url, token) as client:
        td = client.get(thing_path(thing))
        if as_json:
            write_json(td)
            return
        values = client.get("/api/current", {"thing": thing})["values"]
    current = {value["property"]: value for value in values}
    write_line(f"{td.get('title', '')}\n{td['id']}")
    if td.get("description"):
        write_line(td["description"])
    write_line("")
    rows = []
    for name, form in td.get("properties", {}).items():
        value = current.get(name, {})
        title = form.get("title", "")
        unit = unit_symbol(form.get("unit", ""))
        rows.append((name, title, show(value.get("value")), unit, value.get("time", "")))
    write_table(["property", "title", "value", "unit", "time"], rows, right=["value"])


def add_thing(
    file: Annotated[typer.FileBinaryRead, typer.Argument(help="A Thing Description in JSON; - is standard input.")],
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Add a thing, or replace the one with the same id.

    Example: allthings things add pump.td.json
    """
    import orjson

    from allthings.cli.client import Client, thing_path
    from allthings.cli.errors import InputFileError
    from allthings.cli.output import write_json, write_line

    try:
        td = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        raise InputFileError(f"{file.name} is no JSON: {error}") from error
    if not isinstance(td, dict):
        raise InputFileError(f"{file.name} holds no Thing Description: a JSON object is needed")
    with Client(url, token) as client:
        if "id" in td:
            response = client.request("PUT", thing_path(str(td["id"])), json=td)
            path = response.headers.get("location", thing_path(str(td["id"])))
        else:
            response = client.request("POST", "/things", json=td)
            path = response.headers["location"]
        stored = client.get(path)
    done = "added" if response.status_code == 201 else "replaced"
    if as_json:
        write_json({"id": stored["id"], "title": stored.get("title"), "done": done})
    else:
        write_line(f"{done} {stored['id']}")


def remove_things(
    things: Annotated[list[str], typer.Argument(help="Names or ids.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove things. Their history stays until its time is over; a thing that goes on sending is discovered again.

    Example: allthings things remove old-pump --yes
    """
    remove(things, "/things", yes=yes, as_json=as_json, url=url, token=token)


def adopt_thing(
    thing: Thing,
    title: Annotated[str, typer.Option(help="What people shall call it.", show_default=False)] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Adopt a discovered thing.

    Example: allthings things adopt sensor-17 --title "Cellar"
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import write_json, write_line

    with Client(url, token) as client:
        client.request("POST", thing_path(thing, "/adopt", "/api/things"), json={"title": title} if title else {})
        td = client.get(thing_path(thing))
    if as_json:
        write_json(td)
    else:
        write_line(f"adopted {thing}: {td.get('title', '')}")


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="List, show, add, remove and adopt things.")
    group.command("list")(list_things)
    group.command("show")(show_thing)
    group.command("add")(add_thing)
    group.command("remove")(remove_things)
    group.command("adopt")(adopt_thing)
    app.add_typer(group, name="things")
