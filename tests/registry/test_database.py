import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from allthings.registry import Registry, SeenProperty
from allthings.registry.database import Database
from allthings.registry.errors import RegistryUnavailableError
from allthings.registry.schema import CounterRow
from allthings.things.errors import BadInputError
from allthings.things.types import Kind


@pytest.mark.parametrize(
    "url", ["", "registry.db", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:", "://", "postgresql"]
)
def test_addresses_that_cannot_be(url: str) -> None:
    with pytest.raises(BadInputError):
        Database(url)


def test_a_password_in_the_address_is_not_told() -> None:
    database = Database("postgresql://someone:hunter2@127.0.0.1:1/nothing")
    assert "hunter2" not in database.shown
    with pytest.raises(RegistryUnavailableError) as caught, database.read() as session:
        session.execute(sa.text("SELECT 1"))
    assert "hunter2" not in str(caught.value)
    database.close()


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailableError, match="cannot open"):
        Database(f"sqlite:///{tmp_path}/no/such/directory.db")
    with pytest.raises(RegistryUnavailableError, match="cannot open"):
        Database(f"sqlite:///{tmp_path}")


def test_sqlite_is_set_up_for_power_cuts_and_for_neighbours(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        registry = Registry(f"sqlite:///{tmp_path}/registry.db")
        registry.migrate()
        registry.things.create({"title": "x"}, 1)
        database = Database(f"sqlite:///{tmp_path}/registry.db")
        with database.read() as session:
            for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
                assert session.execute(sa.text(f"PRAGMA {pragma}")).scalar_one() == value
            assert session.execute(sa.text("PRAGMA busy_timeout")).scalar_one() >= 5_000
        files = list(tmp_path.iterdir())
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(old)
    database.close()
    registry.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.touch(0o644)
    Database(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_that_fails_changes_nothing(registry: Registry, url: str) -> None:
    database = Database(url)

    def change(session: Session) -> None:
        session.execute(sa.update(CounterRow).values(value=99))
        raise KeyError("x")

    with pytest.raises(KeyError):
        database.write(change)
    assert registry.things.version() == 0
    database.close()


def test_a_reader_sees_one_moment_and_does_not_wait_for_writers(registry: Registry, url: str) -> None:
    database = Database(url)
    with database.write_connection() as connection:
        connection.execute(sa.update(CounterRow).values(value=7))
        assert registry.things.version() == 0
    assert registry.things.version() == 7
    database.close()


def test_a_writer_waits_for_another_one(registry: Registry, url: str) -> None:
    database = Database(url)
    order: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        with database.write_connection():
            future = pool.submit(lambda: (registry.things.create({"title": "x"}, 1), order.append("second")))
            assert not _done_within(future, 0.3)
            order.append("first")
        future.result(20)
    assert order == ["first", "second"]
    database.close()


def _done_within(future: object, seconds: float) -> bool:
    event = threading.Event()
    future.add_done_callback(lambda _: event.set())  # type: ignore[attr-defined]
    return event.wait(seconds)


def test_a_lock_that_is_never_released_is_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.registry.database.BUSY_MS", 50)
    registry, other = Registry(url), Registry(url)
    database = Database(url)
    with database.write_connection(), pytest.raises(RegistryUnavailableError):
        registry.things.create({"title": "x"}, 1)
    assert registry.things.create({"title": "x"}, 1).version == 1
    for opened in (registry, other, database):
        opened.close()


def test_threads_write_at_once_and_nothing_is_lost(registry: Registry) -> None:
    def write(worker: int) -> None:
        for number in range(5):
            registry.things.observe([SeenProperty("shared", f"p{worker}-{number}", Kind.BOOLEAN)], number)
            registry.things.observe([SeenProperty(f"own-{worker}", f"p{number}", Kind.BOOLEAN)], number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert len(registry.things.get("shared").td["properties"]) == 30
    assert registry.things.get("shared").version == 30
    assert registry.things.list().total == 7
    assert registry.things.version() == 60


_WRITE = """
import sys
from allthings.registry import Registry, SeenProperty
from allthings.things.types import Kind

registry = Registry(sys.argv[1])
for number in range(10):
    registry.things.observe([SeenProperty("shared", f"p{sys.argv[2]}-{number}", Kind.BOOLEAN)], number)
registry.users.ensure_admin()
registry.close()
"""


def test_processes_write_at_once_and_nothing_is_lost(registry: Registry, url: str) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", _WRITE, url, str(worker)]) for worker in range(2)]
    assert [process.wait(90) for process in processes] == [0, 0]
    assert len(registry.things.get("shared").td["properties"]) == 20
    assert [user.name for user in registry.users.list()] == ["admin"]


def test_a_connection_that_was_cut_is_made_anew(registry: Registry, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has no connection that could be cut")
    registry.things.create({"title": "x"}, 1)
    other = Database(url)
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
    with other.read() as session:
        session.execute(sa.text(statement + "current_database()"))
    other.close()
    assert registry.things.create({"title": "y"}, 1).version == 1


def test_after_close_nothing_is_left(url: str) -> None:
    process = psutil.Process()
    Registry(url).close()
    before = process.num_fds(), threading.active_count()
    for _ in range(20):
        registry = Registry(url)
        registry.things.version()
        registry.users.list()
        registry.close()
    assert (process.num_fds(), threading.active_count()) == before


def test_a_file_that_sqlite_itself_can_read(tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db")
    registry.migrate()
    registry.things.create({"title": "Lamp"}, 1, name="lamp")
    registry.close()
    connection = sqlite3.connect(tmp_path / "registry.db")
    assert connection.execute("SELECT name, title FROM things").fetchall() == [("lamp", "Lamp")]
    connection.close()


def test_connections_that_open_a_new_file_at_once(tmp_path: Path) -> None:
    def opened(database: Database, others: threading.Barrier) -> int:
        others.wait(30)
        with database.read() as session:
            return int(session.execute(sa.text("SELECT 1")).scalar_one())

    for number in range(60):
        databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for _ in range(4)]
        others = threading.Barrier(len(databases))
        with ThreadPoolExecutor(len(databases)) as pool:
            assert list(pool.map(opened, databases, [others] * len(databases))) == [1, 1, 1, 1]
        for database in databases:
            database.close()
