"""The command line: one module per command.

Each module named in COMMANDS has a function `register(app)` that adds its commands. Modules import nothing heavy at
their top, so that `allthings --help` answers at once; what a command needs it imports when it runs.

Exit status: 0 done, 1 failed, 2 misused.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Annotated, Final

import typer

from allthings.things.errors import AllthingsError

#: In the order of `allthings --help`.
COMMANDS: Final = (
    "up",
    "demo",
    "things",
    "history",
    "query",
    "watch",
    "replay",
    "imports",
    "export",
    "delete",
    "access",
    "users",
    "quotas",
    "audit",
    "bridge",
    "certs",
    "doctor",
    "repair",
    "bench",
    "version",
)


def create() -> typer.Typer:
    """The whole application."""
    app = typer.Typer(
        name="allthings",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in COMMANDS:
        import_module(f"allthings.cli.{name}").register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from allthings import __version__

        typer.echo(f"allthings {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The open platform for the Internet of Things.

    Example: allthings demo    (then open the address that it prints)
    """


def main() -> None:
    """The program `allthings`. Errors of ours become one line on standard error and exit status 1."""
    try:
        create()()
    except AllthingsError as error:
        from allthings.cli.output import remark

        # What is quoted in it may come from a device.
        remark(f"error: {error.detail}")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone (`allthings history … | head`): no reason to complain.
        sys.stderr.close()
        sys.exit(0)
