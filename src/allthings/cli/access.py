"""`allthings access`: rules of who may publish and subscribe where."""

from __future__ import annotations

from typing import Annotated

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

_ROOT = "/api/access/rules"

Subject = Annotated[
    str,
    typer.Argument(
        metavar="WHO",
        help="Who: devices, users, authenticated, anonymous, thing:NAME, user:NAME, role:ROLE or tenant:NAME.",
        show_default=False,
    ),
]
Filter = Annotated[
    str,
    typer.Argument(
        metavar="FILTER", help="Which topics; {thing}, {user} and {client} stand for who asks.", show_default=False
    ),
]


def list_rules(as_json: Json = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List the access rules. What none of them allows is refused.

    Example: allthings access list
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    with Client(url, token) as client:
        found = client.get(_ROOT)
    if as_json:
        write_json(found)
        return
    rows = [
        (rule["id"], rule["subject"], rule["filter"], _mark(rule["publish"]), _mark(rule["subscribe"]), rule["note"])
        for rule in found["rules"]
    ]
    write_table(["rule", "who", "topics", "publish", "subscribe", "note"], rows)


def add_rule(
    subject: Subject,
    filter_: Filter,
    publish: Annotated[bool, typer.Option("--publish", help="They may publish there.")] = False,
    subscribe: Annotated[bool, typer.Option("--subscribe", help="They may subscribe to it.")] = False,
    note: Annotated[str, typer.Option(help="What the rule is for.")] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Allow somebody to publish, to subscribe, or both. Holds within a second, for open connections too.

    Example: allthings access add devices "firmware/#" --subscribe --note "all devices may fetch firmware"
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_outcome

    if not publish and not subscribe:
        raise typer.BadParameter("say what is allowed", param_hint="--publish or --subscribe")
    rule = {"subject": subject, "filter": filter_, "publish": publish, "subscribe": subscribe, "note": note}
    with Client(url, token) as client:
        made = client.request("POST", _ROOT, json=rule).json()
    write_outcome(made, f"added {made['id']}", as_json)


def remove_rules(
    rules: Annotated[list[str], typer.Argument(metavar="RULE", help="Their ids.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove access rules. What only they allowed is refused within a second.

    Example: allthings access remove default-users --yes
    """
    remove(rules, _ROOT, yes=yes, as_json=as_json, url=url, token=token)


def check(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="A topic, or the filter of a subscription.", show_default=False)
    ],
    thing: Annotated[str | None, typer.Option(help="The thing that asks.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="The user who asks.", show_default=False)] = None,
    client_id: Annotated[str, typer.Option("--client", help="The client id of who asks.", show_default=False)] = "",
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Tell which rule would allow a thing, a user, or (neither) a client without credentials to use a topic.

    Example: allthings access check things/pump-7/properties --thing pump-7
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    if thing is not None and user is not None:
        raise typer.BadParameter("a thing or a user asks, not both", param_hint="--thing and --user")
    question = {"topic": topic, "thing": thing, "user": user, "client": client_id}
    with Client(url, token) as client:
        verdict = client.request("POST", "/api/access/check", json=question).json()
    if as_json:
        write_json(verdict)
        return
    write_table(["may", "by rule"], [(verb, verdict[verb] or "no") for verb in ("publish", "subscribe")])


def _mark(allowed: bool) -> str:
    return "yes" if allowed else ""


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "access",
        "List, add, remove and try access rules.",
        list=list_rules,
        add=add_rule,
        remove=remove_rules,
        check=check,
    )
