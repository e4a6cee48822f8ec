"""The connection to SQLite or PostgreSQL: engines, transactions, retries, errors.

Thread-safe: every call takes a connection of its own from a pool. Other processes may read and write at the same
time. On SQLite a writer takes the write lock when it begins (BEGIN IMMEDIATE), so that it waits for another writer
instead of failing half-way; the file is fsynced at every commit. On PostgreSQL it takes an advisory lock, so that
writers go one after the other there as well: changes are few, and so both databases behave alike.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from allthings.registry.errors import RegistryDamagedError, RegistryUnavailableError
from allthings.registry.settings import BUSY_MS, POOL_SIZE, POOL_TIMEOUT_S, WRITE_TRIES
from allthings.things.errors import BadInputError

T = TypeVar("T")

#: SQLSTATE of PostgreSQL: serialization failure, deadlock, lock not available.
_TRY_AGAIN: Final = frozenset({"40001", "40P01", "55P03"})
#: Any number, the same in all versions.
_WRITE_LOCK: Final = 7_236_480_113
_DAMAGED: Final = ("malformed", "not a database", "file is encrypted")


class Database:
    """`url` is `sqlite:////absolute/file.db` or `postgresql://user:password@host/database`."""

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self.shown = self._url.render_as_string(hide_password=True)
        self.engine = _sqlite_engine(self._url) if self.is_sqlite else _postgresql_engine(self._url)
        self._writing = self.engine.execution_options(allthings_write=True)

    @property
    def is_sqlite(self) -> bool:
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that reads. Raises RegistryUnavailableError."""
        with self._errors(), Session(self.engine) as session:
            yield session

    def write(self, change: Callable[[Session], T]) -> T:
        """Run `change` in a transaction and commit; it may run several times when others write as well.

        Raises what `change` raises, then nothing is changed; RegistryUnavailableError.
        """
        with self._errors():
            for attempt in range(1, WRITE_TRIES + 1):
                try:
                    with Session(self._writing) as session:
                        result = change(session)
                        session.commit()
                        return result
                except DBAPIError as error:
                    if attempt == WRITE_TRIES or not _worth_another_try(error):
                        raise
                time.sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 - spreads the tries, no secret
        raise AssertionError("unreachable")

    @contextmanager
    def write_connection(self) -> Iterator[sa.Connection]:
        """A connection within a write transaction, committed at the end. For migrations."""
        with self._errors(), self._writing.begin() as connection:
            yield connection

    def verify(self) -> None:
        """Look through a SQLite file for damage. Raises RegistryDamagedError, RegistryUnavailableError."""
        if self.is_sqlite:
            with self.read() as session:
                verdict = session.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
            if verdict != "ok":
                raise (unreadable if _is_disk(str(verdict)) else damaged)(self.shown, str(verdict))

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError:
            raise RegistryUnavailableError(
                f"no connection to the registry {self.shown} came free within {POOL_TIMEOUT_S} s"
            ) from None
        except OperationalError as error:
            if _is_disk(str(error.orig)):
                raise unreadable(self.shown, str(error.orig)) from error
            raise RegistryUnavailableError(f"the registry {self.shown} does not answer: {error.orig}") from error
        except DatabaseError as error:
            if any(word in str(error.orig) for word in _DAMAGED):
                raise damaged(self.shown, str(error.orig)) from error
            raise
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise RegistryUnavailableError(f"the registry {self.shown} has gone: {error.orig}") from error
            raise


def _is_disk(text: str) -> bool:
    """Whether SQLite says that the disk failed, not that what it read makes no sense."""
    codes = [int(code) for code in re.findall(r"error code=(\d+)", text)]
    return "disk I/O error" in text or any(code & 0xFF == sqlite3.SQLITE_IOERR for code in codes)


def unreadable(shown: str, reason: str) -> RegistryUnavailableError:
    """The file may be whole; where it lies fails."""
    return RegistryUnavailableError(
        f"the registry {shown} cannot be read or written ({' '.join(reason.split())}): its disk or file system fails. "
        "See what the system says of it (dmesg), and move the data to another disk"
    )


def damaged(shown: str, reason: str) -> RegistryDamagedError:
    """Never start empty in silence: the person decides what becomes of a damaged file."""
    return RegistryDamagedError(
        f"the registry {shown} is damaged ({reason}): restore it from a backup, or move the file away to begin anew"
    )


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise BadInputError(f"{url[:64]!r} is no database URL, such as postgresql://user@host/allthings") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise BadInputError("the registry needs a file: sqlite:////absolute/path/registry.db")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise BadInputError(f"the registry is kept in SQLite or PostgreSQL, not in {backend}")


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    path = Path(str(url.database))
    try:
        # Before SQLite makes it with the process's umask; -wal and -shm get the mode of the file.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise RegistryUnavailableError(f"cannot open the registry {path}: {error.strerror}") from None
    engine = sa.create_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=POOL_TIMEOUT_S)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions: `begun` does
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        _to_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("allthings_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _to_wal(cursor: Any) -> None:
    """Of several connections that open a new file at once SQLite tells some, without waiting, that it is locked."""
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - spreads the tries, no secret
        else:
            return


def _postgresql_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10, "options": f"-c lock_timeout={BUSY_MS}"},
    )

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("allthings_write"):
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_WRITE_LOCK,))

    return engine


def _worth_another_try(error: DBAPIError) -> bool:
    if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _TRY_AGAIN:
        return True
    text = str(error.orig)
    return "database is locked" in text or "database table is locked" in text
