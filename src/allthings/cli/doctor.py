"""`allthings doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from allthings.cli.checks import Finding
    from allthings.runtime.settings import Settings

#: The longest that a history is read through.
_DEEP_S_MAX = 86_400.0
_MARKS = {"ok": ("green", "ok"), "warn": ("yellow", "look"), "fail": ("red", "FAIL")}


def doctor(
    data: Annotated[Path | None, typer.Option(help="The data directory to look at.", show_default=False)] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Have the platform read its whole history through.")] = False,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Say whether all is well, and what to do.

    Looks at settings, versions, disk, ports, clock, and the health of each part of a running platform. Works also
    when the platform is down. Exit status 1 when something fails.

    With --deep a running platform compares every part of its history with its checksums, and counts readings against
    minutes, hours and days. What is damaged or missing is made anew from the log before the command ends. It takes an
    administrator, and a while where the history is large.

    Example: allthings doctor --data /var/lib/allthings --deep
    """
    from allthings.cli import checks
    from allthings.cli.client import Client
    from allthings.cli.version import versions
    from allthings.runtime.errors import SettingError
    from allthings.runtime.settings import load

    try:
        settings = load({"data": str(data) if data else None})
    except SettingError as error:
        _report([], {}, [checks.Finding("settings", "fail", error.detail, "correct it there")], as_json)
        raise typer.Exit(1) from None
    addresses = _addresses(settings)
    if url == DEFAULT_URL:
        # The platform of this data directory, wherever it listens.
        url = addresses.get("http", url)
    with Client(url, token, timeout=10.0) as client:
        platform = list(checks.platform(client))
    if deep:
        with Client(url, token, timeout=_DEEP_S_MAX) as client:
            platform += checks.deep(client)
    if url != addresses.get("http"):
        addresses = {}
    running = platform[0].state == "ok"
    findings = [
        checks.Finding("settings", "ok", "all can be used"),
        *checks.machine(settings, addresses, running),
        *platform,
    ]
    _report(_settings(settings), versions(), findings, as_json)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _addresses(settings: Settings) -> dict[str, str]:
    """Where the platform that was last started on the data directory listens."""
    from allthings.runtime.up import read_state

    addresses = read_state(settings.data).get("addresses")
    return {str(name): str(value) for name, value in addresses.items()} if isinstance(addresses, dict) else {}


def _settings(settings: Settings) -> list[dict[str, Any]]:
    from allthings.runtime.settings import SETTINGS

    found = []
    for setting in SETTINGS:
        source = settings.sources[setting.name]
        value = str(settings.data) if setting.name == "data" else source.value
        if setting.secret and value:
            value = "(set)"
        found.append({"name": setting.name, "value": value, "from": source.origin})
    return found


def _report(settings: list[dict[str, Any]], versions: dict[str, str], findings: list[Finding], as_json: bool) -> None:
    from dataclasses import asdict

    from allthings.cli.output import write_json

    if as_json:
        write_json({"settings": settings, "versions": versions, "checks": [asdict(finding) for finding in findings]})
        return
    from rich.table import Table
    from rich.text import Text

    from allthings.cli.output import cell, terminal

    console = terminal()
    if settings:
        table = Table("setting", "value", "from", box=None, header_style="bold", pad_edge=False)
        for setting in settings:
            value = setting["value"]
            table.add_row(setting["name"], cell(str(value) if value != "" else "-"), cell(setting["from"], style="dim"))
        console.print(table, "")
        console.print(Text(", ".join(f"{name} {number}" for name, number in versions.items()), style="dim"), "")
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        style, mark = _MARKS[finding.state]
        detail = cell(finding.detail)
        if finding.advice:
            detail.append("\n").append_text(cell(f"→ {finding.advice}", style="bold"))
        table.add_row(Text(mark, style=style), cell(finding.check), detail)
    console.print(table, "")
    console.print(_verdict(findings))


def _verdict(findings: list[Finding]) -> str:
    failed = sum(finding.state == "fail" for finding in findings)
    unsure = sum(finding.state == "warn" for finding in findings)
    if failed:
        return f"{failed} of {len(findings)} checks failed; the arrows say what to do"
    return f"nothing failed; {unsure} of {len(findings)} checks need a look" if unsure else "all is well"


def register(app: typer.Typer) -> None:
    app.command()(doctor)
