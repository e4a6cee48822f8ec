"""Removing things, bridges, rules, …: asks first, then one DELETE each."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def remove(names: Sequence[str], root: str, *, yes: bool, as_json: bool, url: str, token: str) -> None:
    """Remove what has these names below the path `root`, and say so."""
    from allthings.cli.client import Client, thing_path
    from allthings.cli.output import write_json, write_line
    from allthings.things.display import visible

    if not yes:
        typer.confirm(visible(f"Remove {', '.join(names)}?"), abort=True, err=True)
    with Client(url, token) as client:
        for name in names:
            client.request("DELETE", thing_path(name, root=root))
            if not as_json:
                write_line(f"removed {name}")
    if as_json:
        write_json({"removed": list(names)})
