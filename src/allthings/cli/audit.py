"""`allthings audit`: what was refused to whom, and who changed what may be done."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url


class Area(StrEnum):
    REFUSAL = "refusal"
    CHANGE = "change"


def audit(
    area: Annotated[Area | None, typer.Option(help="Only refusals, or only changes.", show_default=False)] = None,
    kind: Annotated[str, typer.Option(help="Only this kind, such as login-refused.", show_default=False)] = "",
    who: Annotated[str, typer.Option(help="Only of this thing or user.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(help="At most this many.", min=1)] = 50,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Show the audit list, newest first.

    Example: allthings audit --area refusal --who pump-7
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_json, write_table

    params = {"area": area and area.value, "kind": kind or None, "who": who or None}
    with Client(url, token) as client:
        found, _ = client.pages("/api/audit", "entries", params, limit)
    if as_json:
        write_json({"entries": found})
        return
    rows = [
        (one["time"], one["kind"], one["who"], one["address"], one["what"], one["why"], one["repeated"] or "")
        for one in found
    ]
    write_table(["time", "kind", "who", "from", "what", "why", "again"], rows, right=["again"])


def register(app: typer.Typer) -> None:
    app.command()(audit)
