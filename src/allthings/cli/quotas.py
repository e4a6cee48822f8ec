"""`allthings quotas`: how many messages and bytes a second may come from whom."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from allthings.cli.groups import add_group
from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes
from allthings.cli.removal import remove

_ROOT = "/api/access/quotas"


class Over(StrEnum):
    SLOW = "slow"
    REFUSE = "refuse"


Limit = float | None


def list_quotas(as_json: Json = False, url: Url = DEFAULT_URL, token: Token = "") -> None:
    """List the quotas. The more special scope wins; without any nothing is limited.

    Example: allthings quotas list
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    with Client(url, token) as client:
        found = client.get(_ROOT)
    if as_json:
        write_json(found)
        return
    rows = [
        (quota["scope"], _shown(quota["messages_s"]), _shown(quota["bytes_s"]), quota["over"])
        for quota in found["quotas"]
    ]
    columns = ["scope", "messages/s", "bytes/s", "over it"]
    write_table(columns, rows, right=["messages/s", "bytes/s"])


def set_quota(
    scope: Annotated[
        str,
        typer.Argument(
            metavar="SCOPE",
            help="client (each), tenant (each), thing:NAME, user:NAME or tenant:NAME.",
            show_default=False,
        ),
    ],
    messages: Annotated[Limit, typer.Option(help="Messages a second [no limit].", show_default=False)] = None,
    bytes_: Annotated[Limit, typer.Option("--bytes", help="Bytes a second [no limit].", show_default=False)] = None,
    over: Annotated[
        Over, typer.Option(help="What happens to more: slow the client down, or refuse it (0x97, MQTT 5).")
    ] = Over.SLOW,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Set a quota; without --messages and --bytes, an exception from a more general one. Holds within a second.

    Example: allthings quotas set client --messages 100 --bytes 100000
    """
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import write_outcome

    wanted = {"messages_s": messages, "bytes_s": bytes_, "over": over.value}
    with Client(url, token) as client:
        made = client.request("PUT", thing_path(scope, root=_ROOT), json=wanted).json()
    line = f"{scope}: {_shown(messages)} messages/s, {_shown(bytes_)} bytes/s, {over.value}"
    write_outcome(made, line, as_json)


def remove_quotas(
    scopes: Annotated[list[str], typer.Argument(metavar="SCOPE", help="Their scopes.", show_default=False)],
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Remove quotas. The next more general one holds instead, if there is one.

    Example: allthings quotas remove thing:pump-7 --yes
    """
    remove(scopes, _ROOT, yes=yes, as_json=as_json, url=url, token=token)


def _shown(limit: Limit) -> str:
    return "any" if limit is None else f"{limit:g}"


def register(app: typer.Typer) -> None:
    add_group(app, "quotas", "List, set and remove quotas.", list=list_quotas, set=set_quota, remove=remove_quotas)
