"""`allthings repair`: go on when the log has lost its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allthings.cli.options import Json, Yes

if TYPE_CHECKING:
    from allthings.runtime.repair import Findings, Repaired

#: So many clients or topics are listed for people; the machine output has all.
_LISTED_MAX = 20


def repair(
    data: Annotated[Path | None, typer.Option(help="The data directory.", show_default=False)] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Go on behind the history when the log has lost its end.

    For when `allthings up` says that the log ends before the history does. Lists what is missing: blocks and when they
    were stored, sessions, messages that waited, retained messages. The history stays as it is. The log as it was found
    is put aside, and where to is said. Only while the platform does not run. With --json and without --yes it only
    looks.

    Example: allthings repair --data /var/lib/allthings
    """
    import asyncio

    from allthings.cli.output import remark, write_json
    from allthings.runtime.repair import repair as run
    from allthings.runtime.settings import load

    settings = load({"data": str(data) if data else None})

    def agree(findings: Findings) -> bool:
        if as_json:
            return yes
        _tell(findings)
        return yes or typer.confirm(f"Go on behind block {findings.goes_on_behind}?", err=True)

    repaired = asyncio.run(run(settings, (lambda _: None) if as_json else remark, agree))
    if as_json:
        import msgspec

        write_json({**msgspec.to_builtins(repaired), "needed": repaired.findings.needed})
    else:
        _conclude(repaired)


def _tell(findings: Findings) -> None:
    from allthings.cli.output import write_line

    if findings.history_trouble:
        write_line(f"the history cannot be opened: {findings.history_trouble}")
    if findings.log_trouble:
        what = ", ".join(findings.unopened) or "all of it"
        write_line(f"the log cannot be opened, and is moved aside ({what}): {findings.log_trouble}")
    else:
        write_line(f"the log ends at block {findings.log_last}, the history has seen block {findings.goes_on_behind}")
    for gap in findings.missing:
        when = " ".join(
            [*([f"after {gap.after}"] if gap.after else []), *([f"before {gap.before}"] if gap.before else [])]
        )
        write_line(f"blocks {gap.first} to {gap.last} cannot be read{f', stored {when}' if when else ''}")
    _list([f"session of {each.client}, {each.messages} messages waited" for each in findings.lost_sessions])
    _list([f"{each.messages} messages that waited for {each.client}" for each in findings.lost_messages])
    _list([f"retained message of {topic}" for topic in findings.lost_retained])


def _list(lost: list[str]) -> None:
    from allthings.cli.output import write_line

    for each in lost[:_LISTED_MAX]:
        write_line(f"lost: {each}")
    if len(lost) > _LISTED_MAX:
        write_line(f"and {len(lost) - _LISTED_MAX} more such")


def _conclude(repaired: Repaired) -> None:
    from allthings.cli.output import write_line

    findings = repaired.findings
    if not findings.needed:
        _tell(findings)
        write_line("the log goes as far as the history: nothing to do")
    elif repaired.done:
        if repaired.aside:
            write_line(f"the log as it was found is in {repaired.aside}; remove it when you no longer need it")
        write_line(f"the log goes on behind block {findings.goes_on_behind}: start with `allthings up`")
    else:
        write_line("nothing was changed")


def register(app: typer.Typer) -> None:
    app.command()(repair)
