"""`allthings doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allthings.cli.options import DEFAULT_URL, Json, Token, Url

if TYPE_CHECKING:
    from allthings.cli.checks import Finding
    from allthings.runtime.settings import Settings

_MARKS = {"ok": ("green", "ok"), "warn": ("yellow", "look"), "fail": ("red", "FAIL")}


def doctor(
    data: Annotated[Path | None, typer.Option(help="The data directory to look at.", show_default=False)] = None,
    as_json: Json = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
) -> None:
    """Say whether all is well, and what to do.

    Looks at settings, versions, disk, ports, clock, and the health of each part of a running platform. Works also
    when the platform is down. Exit status 1 when something fails.

    Example: allthings doctor --data /var/lib/allthings
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
    with Client(_address(settings, url), token, timeout=10.0) as client:
        platform = list(checks.platform(client))
    running = platform[0].state == "ok"
    findings = [checks.Finding("settings", "ok", "all can be used"), *checks.machine(settings, running), *platform]
    _report(_settings(settings), versions(), findings, as_json)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _address(settings: Settings, url: str) -> str:
    """The address given; else that of the platform which runs on the data directory, wherever it listens."""
    from allthings.runtime.up import read_state

    if url != DEFAULT_URL:
        return url
    addresses = read_state(settings.data).get("addresses")
    return str(addresses.get("http", url)) if isinstance(addresses, dict) else url


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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if settings:
        table = Table("setting", "value", "from", box=None, header_style="bold", pad_edge=False)
        for setting in settings:
            value = setting["value"]
            table.add_row(setting["name"], Text(str(value) if value != "" else "-"), Text(setting["from"], style="dim"))
        console.print(table, "")
        console.print(Text(", ".join(f"{name} {number}" for name, number in versions.items()), style="dim"), "")
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        style, mark = _MARKS[finding.state]
        detail = Text(finding.detail)
        if finding.advice:
            detail.append(f"\n→ {finding.advice}", style="bold")
        table.add_row(Text(mark, style=style), finding.check, detail)
    console.print(table)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
