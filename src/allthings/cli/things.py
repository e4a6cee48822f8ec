"""`allthings things`: list, show, add, remove and adopt things, and make tokens for their devices."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

if TYPE_CHECKING:
    from allthings.cli.client import Client

Thing = Annotated[str, typer.Argument(metavar="THING", help="The thing's name or id.", show_default=False)]


class State(StrEnum):
    ADOPTED = "adopted"
    DISCOVERED = "discovered"


def list_things(
    search: Annotated[
        str, typer.Argument(metavar="WORDS", help="Words that name, title or type contain.", show_default=False)
    ] = "",
    state: Annotated[State | None, typer.Option(help="Only these things.", show_default=False)] = None,
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

    params = {"search": search or None, "state": state and state.value}
    with Client(url, token) as client:
        found, page = client.pages("/api/things", "things", params, limit)
    if as_json:
        write_json({"things": found, "total": page["total"]})
        return
    rows = []
    for thing in found:
        main = thing["main"] or {}
        value = f"{show(main.get('value'))} {unit_symbol(main.get('unit', ''))}".strip()
        # Of a clock that is wrong nobody knows when the value was true.
        value += " (clock)" if main.get("quality") == "clock" else ""
        online = "online" if thing["online"] else "offline"
        rows.append((thing["thing"], thing["title"], thing["state"], online, _seconds(thing["seen"]), value))
    if rows:
        write_table(["thing", "title", "state", "now", "seen", "value"], rows, right=["value"])
    else:
        remark("no thing matches" if search or state else "no things yet: see `allthings things add --help`")
    if page["total"] > len(found):
        remark(f"{len(found)} of {page['total']} things; more with --limit")


def _seconds(time: str | None) -> str:
    """A time without its fractions, for people."""
    return f"{time[:19]}Z" if time else "never"


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
    write_line(td.get("title", ""))
    write_line(td["id"])
    if td.get("description"):
        write_line(td["description"])
    write_line("")
    rows = []
    for name, form in td.get("properties", {}).items():
        value = current.get(name, {})
        title = form.get("title", "")
        unit = unit_symbol(form.get("unit", ""))
        quality = value.get("quality", "")
        rows.append((name, title, show(value.get("value")), unit, _seconds(value.get("time")), quality))
    if rows:
        write_table(["property", "title", "value", "unit", "time", "quality"], rows, right=["value"])
    if td.get("events"):
        write_line(f"events: {', '.join(td['events'])}")


def add_thing(
    what: Annotated[
        str,
        typer.Argument(
            metavar="THING",
            help="Its name; or a file with its Thing Description: .json, or - for standard input.",
            show_default=False,
        ),
    ],
    title: Annotated[
        str, typer.Option(help="What people shall call it, where only a name is given.", show_default=False)
    ] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Add a thing by its name, or by its Thing Description, which replaces the one with the same id.

    A thing that is added by its name shows its properties with its device's first message.

    Example: allthings things add pump-7 --title "Pump 7"
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_outcome

    described = what == "-" or what.endswith(".json")
    if described and title:
        raise typer.BadParameter("a Thing Description has a title of its own", param_hint="--title")
    td = _description(what) if described else {}
    with Client(url, token) as client:
        if described:
            stored, done = _put(client, td)
        else:
            given = {"thing": what, "title": title} if title else {"thing": what}
            stored, done = client.request("POST", "/api/things", json=given).json(), "added"
    outcome = {"id": stored["id"], "title": stored.get("title"), "done": done}
    write_outcome(outcome, f"{done} {stored['id']}", as_json)


def _description(file: str) -> dict[str, Any]:
    """A Thing Description from a file, or from standard input. Raises InputFileError."""
    import sys
    from pathlib import Path

    import msgspec

    from allthings.cli.errors import InputFileError

    name = "standard input" if file == "-" else file
    try:
        td = msgspec.json.decode(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise InputFileError(f"{name} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputFileError(f"{name} is no JSON: {error}") from error
    if not isinstance(td, dict):
        raise InputFileError(f"{name} holds no Thing Description: a JSON object is needed")
    return td


def _put(client: Client, td: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Add a description or replace it; what is stored now, and which of both was done."""
    from allthings.cli.client import thing_path

    if "id" in td:
        response = client.request("PUT", thing_path(str(td["id"])), json=td)
        path = response.headers.get("location", thing_path(str(td["id"])))
    else:
        response = client.request("POST", "/things", json=td)
        path = response.headers["location"]
    return client.get(path), "added" if response.status_code == 201 else "replaced"


def make_token(
    thing: Thing,
    label: Annotated[str, typer.Option(help="What it is for, in words.", show_default=False)] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Make a token with which a thing's device logs in over MQTT. It is shown this once.

    The device's user name is the thing's name, the token is its password.

    Example: allthings things token pump-7 --label workshop
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import remark, write_outcome

    with Client(url, token) as client:
        made = client.request("POST", thing_path(thing, "/tokens", "/api/things"), json={"label": label}).json()
    write_outcome({"thing": thing, **made}, made["token"], as_json)
    remark(f"this is shown once; the device logs in as {thing} with it")


def remove_things(
    things: Annotated[list[str], typer.Argument(metavar="THING", help="Names or ids.", show_default=False)],
    with_history: Annotated[
        bool, typer.Option("--with-history", help="Delete all their readings and events as well, for good.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove things. Their history stays until its time is over, unless it is deleted as well.

    What they have sent so far does not bring them back; a thing that goes on sending is discovered again.

    Example: allthings things remove old-pump --yes
    """
    if not with_history:
        remove(things, "/things", yes=yes, as_json=as_json, url=url, token=token)
        return
    from allthings.cli.client import Client, thing_path
    from allthings.cli.delete import delete_all, told
    from allthings.cli.output import write_json, write_line

    if not yes:
        typer.confirm(f"Remove {', '.join(things)} and delete their history for good?", abort=True, err=True)
    deleted = []
    with Client(url, token, timeout=3_600.0) as client:
        for thing in things:
            client.get(thing_path(thing))
            found = delete_all(client, thing)
            client.request("DELETE", thing_path(thing))
            deleted.append({"thing": thing, "readings": found["readings"], "events": found["events"]})
            if not as_json:
                write_line(f"removed {thing}, deleted {told(found)}")
    if as_json:
        write_json({"removed": things, "deleted": deleted})


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
    from allthings.cli.output import write_outcome

    with Client(url, token) as client:
        client.request("POST", thing_path(thing, "/adopt", "/api/things"), json={"title": title} if title else {})
        td = client.get(thing_path(thing))
    write_outcome(td, f"adopted {thing}: {td.get('title', '')}", as_json)


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "things",
        "List, show, add, remove and adopt things, and make tokens for their devices.",
        list=list_things,
        show=show_thing,
        add=add_thing,
        token=make_token,
        remove=remove_things,
        adopt=adopt_thing,
    )
