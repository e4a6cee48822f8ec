"""Commands that belong together, such as `allthings things list` and `allthings things add`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer


def add_group(
    app: typer.Typer, name: str, purpose: str, example: str = "list", /, **commands: Callable[..., Any]
) -> None:
    """Give the application a group of commands. `example` follows the group's name in its help."""
    group = typer.Typer(no_args_is_help=True, help=f"{purpose}\n\nExample: allthings {name} {example}")
    for command, function in commands.items():
        group.command(command)(function)
    app.add_typer(group, name=name)
