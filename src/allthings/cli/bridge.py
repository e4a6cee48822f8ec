"""`allthings bridge`: list, add and remove bridges to other brokers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

Maps = list[str] | None
_YES_NO = {"yes": True, "no": False}


def list_bridges(as_json: Json = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List bridges, with how they are and what has crossed them since the platform started.

    Example: allthings bridge list
    """
    from allthings.cli.client import Client
    from allthings.cli.output import remark, write_json, write_table

    with Client(url, token) as client:
        found = client.get("/api/bridges")
    if as_json:
        write_json(found)
        return
    rows = []
    for bridge in found["bridges"]:
        state = bridge["state"]
        maps = ", ".join(f"{one['direction']} {one['filter']}" for one in bridge["maps"])
        counts = (state["outgoing"]["sent"], state["incoming"]["taken"], state["behind_blocks"])
        rows.append((bridge["name"], bridge["url"], bridge["version"], maps, state["phase"], *counts))
        if state["trouble"]:
            remark(f"{bridge['name']}: {state['trouble']}")
    columns = ["bridge", "to", "MQTT", "maps", "now", "sent", "taken", "blocks behind"]
    if rows:
        write_table(columns, rows, right=["sent", "taken", "blocks behind"])
    else:
        remark("no bridges: see `allthings bridge add --help`")


def add_bridge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call it.", show_default=False)],
    to: Annotated[
        str, typer.Argument(metavar="URL", help="The other broker: mqtt://host:1883 or mqtts://…", show_default=False)
    ],
    out: Annotated[Maps, typer.Option("--out", help="What is sent there; see below.", show_default=False)] = None,
    in_: Annotated[Maps, typer.Option("--in", help="What is taken from there; see below.", show_default=False)] = None,
    user: Annotated[str, typer.Option(help="Our user name there.")] = "",
    password: Annotated[
        str, typer.Option(envvar="ALLTHINGS_BRIDGE_PASSWORD", help="Our password there; better in the environment.")
    ] = "",
    mqtt: Annotated[str, typer.Option(help="The version of MQTT: 5 or 3.1.1.")] = "5",
    ca: Annotated[
        Path | None, typer.Option(help="Authorities (PEM) that sign its certificate.", exists=True, dir_okay=False)
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="Our certificate (PEM) there, with its key or beside --key.", dir_okay=False)
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).", dir_okay=False)] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Exchange messages with another broker, from now on.

    --out and --in take a topic filter, and after commas what becomes of the topics: prefix=TEXT is put before them,
    strip=TEXT (with which they begin) is taken away; qos=0 or 1 is the most that is used; retain=no makes retained
    messages ordinary ones. Both can be given more than once; the first that matches holds.

    Example: allthings bridge add cloud mqtts://broker.example.org --out "things/#,prefix=site1/" --in "commands/#"
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_outcome

    maps = [*(parse_map("out", text) for text in out or []), *(parse_map("in", text) for text in in_ or [])]
    if not maps:
        raise typer.BadParameter("say what crosses the bridge", param_hint="--out or --in")
    wanted = {"name": name, "url": to, "maps": maps, "version": mqtt, "user": user, "password": password}
    if ca is not None:
        wanted["ca"] = ca.read_text()
    # The platform reads these itself, at each connection: a new certificate needs no word to it.
    wanted |= {name: str(path.absolute()) for name, path in (("certificate", cert), ("key", key)) if path is not None}
    with Client(url, token) as client:
        made = client.request("POST", "/api/bridges", json=wanted).json()
    write_outcome(made, f"added {name}: see how it is with `allthings bridge list`", as_json)


def remove_bridges(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Their names.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove bridges. What waits for them, here or there, is dropped.

    Example: allthings bridge remove cloud --yes
    """
    remove(names, "/api/bridges", yes=yes, as_json=as_json, url=url, token=token)


def parse_map(direction: str, text: str) -> dict[str, Any]:
    """`FILTER,prefix=…,strip=…,qos=…,retain=…` as the API takes it. Raises typer.BadParameter."""
    topic_filter, *options = text.split(",")
    made: dict[str, Any] = {"direction": direction, "filter": topic_filter}
    for option in options:
        name, equals, value = option.partition("=")
        if equals and name in ("prefix", "strip"):
            made[name] = value
        elif name == "qos" and value.isdecimal():
            made[name] = int(value)
        elif name == "retain" and value in _YES_NO:
            made[name] = _YES_NO[value]
        else:
            raise typer.BadParameter(
                f"{option!r} in {text!r}: prefix=, strip=, qos=0 or 1, retain=yes or no", param_hint=f"--{direction}"
            )
    return made


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "bridge",
        "List, add and remove bridges to other brokers.",
        list=list_bridges,
        add=add_bridge,
        remove=remove_bridges,
    )
