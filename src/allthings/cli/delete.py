"""`allthings delete`: readings of a thing, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url, Yes, moment

if TYPE_CHECKING:
    from allthings.cli.client import Client

#: Rollups of a long past are made anew before the platform answers.
_ANSWER_WITHIN_S = 3_600.0
_PATH = "/api/history"


def delete(
    thing: Annotated[str, typer.Argument(metavar="THING", help="The thing's name or id.", show_default=False)],
    properties: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROPERTY", help="Which properties; all of them, and the events, if none is named."),
    ] = None,
    start: Annotated[
        str,
        typer.Option("--from", metavar="TIME", help="Start: RFC 3339, or an age such as 24h, 7d.", show_default=False),
    ] = "",
    end: Annotated[
        str, typer.Option("--to", metavar="TIME", help="End, exclusive: the same forms, or now.", show_default=False)
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Delete readings of a thing for good: all of them, those of some properties, or those of a time.

    The thing stays, and what it sends from now on is kept. For administrators; it is noted in the audit list.

    Example: allthings delete pump-7 pressure --from 2026-11-22T08:00:00Z --to 2026-11-22T09:00:00Z
    """
    from allthings.cli.client import Client
    from allthings.cli.output import write_outcome

    params = {
        "thing": thing,
        "property": properties or None,
        "from": moment(start) if start else None,
        "to": moment(end) if end else None,
    }
    with Client(url, token, timeout=_ANSWER_WITHIN_S) as client:
        if dry_run or not yes:
            found = _asked(client, params, dry_run=True)
            if dry_run:
                write_outcome(found, f"{told(found)} would be deleted", as_json)
                return
            typer.confirm(f"Delete {told(found)} of {thing} for good?", abort=True, err=True)
        found = _asked(client, params)
    write_outcome(found, f"deleted {told(found)}", as_json)


def delete_all(client: Client, thing: str) -> dict[str, Any]:
    """Delete everything that a thing has sent; how much that was."""
    return _asked(client, {"thing": thing})


def told(found: dict[str, Any]) -> str:
    """How much was found, in words."""
    events = f" and {found['events']:,} events" if found["events"] else ""
    return f"{found['readings']:,} readings{events}"


def _asked(client: Client, params: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    answer = client.request("DELETE", _PATH, params={**params, "dry_run": dry_run or None})
    found: dict[str, Any] = answer.json()
    return found


def register(app: typer.Typer) -> None:
    app.command()(delete)
