"""Writes the pages of docs that follow from the sources: settings, command line, errors, the list of decisions.

    python scripts/make_reference.py [--check]

With --check nothing is written; the exit status is 1 when a page is out of date.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import typer

from allthings.cli import create
from allthings.runtime.settings import SETTINGS
from allthings.things.errors import AllthingsError

DOCS = Path(__file__).parents[1] / "docs"
NOTE = "<!-- Written by scripts/make_reference.py; change the source and run `make reference`. -->\n\n"
#: Rooms whose errors people meet; those of the command line and of the wire have pages of their own.
ROOMS = ("things", "log", "registry", "readings", "historian", "gateway", "twin", "web", "runtime")


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "A setting is taken from its flag, else from the environment, else from `allthings.toml`, else it has its",
        "default. The file is the one that `ALLTHINGS_CONFIG` names, else that of the working directory, else",
        "`allthings/allthings.toml` in the user's configuration directory. `allthings doctor` prints each setting with",
        "where it came from.",
        "",
        "| in the file | in the environment | default | what |",
        "| --- | --- | --- | --- |",
    ]
    for setting in SETTINGS:
        default = "" if setting.default == "" else f"`{str(setting.default).lower()}`"
        bounds = ""
        if setting.minimum is not None:
            bounds = f" {setting.minimum:g} to {setting.maximum:g}."
        lines.append(f"| `{setting.name}` | `{setting.variable}` | {default} | {setting.help}{bounds} |")
    lines += [
        "",
        "An example of a file:",
        "",
        "```toml",
        'data = "/var/lib/allthings"',
        "http_port = 8484",
        "keep_raw_days = 30",
        "```",
    ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    root = typer.main.get_command(create())
    lines = [
        "# Command line",
        "",
        "Exit status: 0 done, 1 failed, 2 misused. Data goes to standard output, remarks and errors to standard error.",
        "Commands that ask a running platform take `--url` (or `ALLTHINGS_URL`) and `--token` (or `ALLTHINGS_TOKEN`).",
    ]
    for name, command in sorted(root.commands.items()):  # type: ignore[attr-defined]
        children = getattr(command, "commands", None)
        if children is None:
            lines += _command(f"allthings {name}", command)
        else:
            for child, inner in children.items():
                lines += _command(f"allthings {name} {child}", inner)
    return "\n".join(lines) + "\n"


def _command(path: str, command: object) -> list[str]:
    help_text = str(command.help or "")  # type: ignore[attr-defined]
    text, _, example = help_text.partition("Example: ")
    lines = ["", f"## {path}", "", *(line.strip() for line in text.strip().splitlines())]
    lines += ["", "```sh", " ".join(example.split()), "```", "", "| option | what |", "| --- | --- |"]
    for parameter in command.params:  # type: ignore[attr-defined]
        if "--help" in parameter.opts:
            continue
        is_option = parameter.param_type_name == "option"
        name = ", ".join(parameter.opts) if is_option else (parameter.metavar or parameter.name.upper())
        what = getattr(parameter, "help", None) or ""
        default = parameter.default
        if (
            is_option
            and default not in (None, "", False, 0)
            and not callable(default)
            and getattr(parameter, "show_default", True)
        ):
            what += f" Default: `{getattr(default, 'value', default)}`."
        lines.append(f"| `{name}` | {what.replace('|', chr(92) + '|')} |")
    return lines


def errors_page() -> str:
    found: dict[str, type[AllthingsError]] = {}
    for room in ROOMS:
        package = import_module(f"allthings.{room}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith((".errors", ".check")):
                import_module(module.name)
    pending = [AllthingsError]
    while pending:
        error = pending.pop()
        pending += error.__subclasses__()
        if error.__module__.split(".")[1] in ROOMS:
            found.setdefault(error.type, error)
    lines = [
        "# Errors",
        "",
        "Every error of the HTTP interface is a problem document (RFC 9457) of the media type",
        "`application/problem+json`:",
        "",
        "```json",
        '{"type": "urn:allthings:problem:not-found", "title": "Not found", "status": 404,',
        ' "detail": "there is no thing pump-7", "instance": "/things/pump-7"}',
        "```",
        "",
        "`type` stays the same from version to version: programs compare it. `detail` is for people: it says what was",
        "wrong, where, and what to do. The status 503 means that the same request may succeed later; `Retry-After`",
        "says when to try.",
        "",
        "| `type`, after `urn:allthings:problem:` | status | title |",
        "| --- | --- | --- |",
    ]
    for kind, error in sorted(found.items()):
        lines.append(f"| `{kind}` | {error.status} | {error.title} |")
    return "\n".join(lines) + "\n"


def decisions_page() -> str:
    lines = [
        "# Decisions",
        "",
        "What was decided, why, and what was given up for it. One page each, numbered, never rewritten: a decision",
        "that changes gets a new page.",
        "",
    ]
    for page in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"- [{title}]({page.name})")
    return "\n".join(lines) + "\n"


WRITERS = {
    "reference/settings.md": settings_page,
    "reference/cli.md": commands_page,
    "reference/errors.md": errors_page,
    "decisions/index.md": decisions_page,
}


def main(arguments: list[str]) -> int:
    stale = []
    for name, write in WRITERS.items():
        page, path = NOTE + write(), DOCS / name
        if path.exists() and path.read_text("utf-8") == page:
            continue
        if "--check" in arguments:
            stale.append(name)
        else:
            path.write_text(page, "utf-8")
            print(f"wrote docs/{name}")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make reference`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
