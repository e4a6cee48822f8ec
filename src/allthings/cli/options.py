"""Options that many commands share."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

import typer

DEFAULT_URL: Final = "http://127.0.0.1:8484"

Url: TypeAlias = Annotated[
    str,
    typer.Option("--url", metavar="URL", envvar="ALLTHINGS_URL", help="Where the platform answers.", show_default=True),
]
Token: TypeAlias = Annotated[
    str,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="ALLTHINGS_TOKEN",
        help="A bearer token; not needed with --open.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Machine output: JSON on standard output.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SpreadsheetSafe: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--spreadsheet-safe",
        help="In CSV, an apostrophe before texts that a spreadsheet would run as formulas; not exact any more.",
    ),
]


def check_spreadsheet_safe(asked: bool, form: str) -> None:
    """Raises typer.BadParameter when that was asked of a form that no spreadsheet would take for formulas."""
    if asked and form != "csv":
        raise typer.BadParameter(f"goes with CSV, not with {form}", param_hint="--spreadsheet-safe")


From: TypeAlias = Annotated[
    str,
    typer.Option("--from", metavar="TIME", help="Start: RFC 3339, or an age such as 90s, 30m, 24h, 7d, 1y."),
]
To: TypeAlias = Annotated[str, typer.Option("--to", metavar="TIME", help="End, exclusive: the same forms, or now.")]

_AGE: Final = re.compile(r"\d{1,9}(ms|s|m|h|d|w|y)")


def moment(text: str) -> str:
    """A time as the HTTP interface takes it: a bare age (`24h`) is that long ago."""
    return f"-{text}" if _AGE.fullmatch(text) else text
