"""Handles to ClickHouse: a few connections, each for one statement at a time.

One code path for the embedded engine (`chdb:///path`) and a server (`http://`, `https://`). Everything that this
room asks of ClickHouse goes through here, so this is also where the engine's errors become ours.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from allthings.historian import settings
from allthings.historian.errors import HistorianUnavailableError, QueryLimitError, QueryRefusedError
from allthings.things.errors import AllthingsError

Parameters = Mapping[str, Any] | None

#: ClickHouse's error codes (src/Common/ErrorCodes.cpp) by whose fault they are.
_LIMIT_CODES: Final = frozenset({158, 159, 160, 241, 307, 396, 290})
_ASKER_CODES: Final = frozenset(
    {6, 27, 36, 38, 41, 42, 43, 44, 46, 47, 50, 53, 62, 63, 69, 70, 72, 80, 115, 130, 131, 153, 164, 179, 184, 190}
    | {206, 207, 215, 258, 349, 352, 386, 407, 497, 582, 636}
)


def as_ours(error: Exception) -> AllthingsError:
    """The error of this package that says the same as one of the engine's."""
    code = getattr(error, "code", None)
    text = str(error).split("\n", 1)[0][:500]
    if code in _LIMIT_CODES:
        return QueryLimitError(f"the query needs more than it may use: {text}")
    if code in _ASKER_CODES:
        return QueryRefusedError(text)
    return HistorianUnavailableError(f"the engine of the history failed: {text}")


class Handles:
    """Some equal connections. A statement takes one and gives it back."""

    def __init__(self, dsn: str, count: int, session: Mapping[str, str], database: str | None) -> None:
        self._dsn = dsn
        self._session = dict(session)
        self._database = database
        self._free: queue.LifoQueue[Client] = queue.LifoQueue()
        self._all: list[Client] = []
        for _ in range(count):
            client = self._connect()
            self._all.append(client)
            self._free.put(client)

    def _connect(self) -> Client:
        try:
            return clickhouse_connect.get_client(
                dsn=self._dsn,
                database=self._database,
                settings=self._session,
                **({} if self._dsn.startswith("chdb:") else {"autogenerate_session_id": False}),
            )
        except (ClickHouseError, OSError) as error:
            raise HistorianUnavailableError(f"no engine of the history answers: {error}") from error

    @contextmanager
    def client(self) -> Iterator[Client]:
        try:
            client = self._free.get(timeout=settings.HANDLE_WAIT_S)
        except queue.Empty:
            raise HistorianUnavailableError("the history is busy with other queries; try again") from None
        try:
            yield client
        except (DatabaseError, ClickHouseError, OSError) as error:
            raise as_ours(error) from error
        finally:
            self._free.put(client)

    def arrow(self, statement: str, parameters: Parameters = None) -> pa.Table:
        """The rows of a SELECT as an Arrow table."""
        with self.client() as client:
            return client.query_arrow(statement, parameters=dict(parameters or {}), use_strings=True)

    def rows(self, statement: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """The rows of a SELECT, times as nanoseconds."""
        table = self.arrow(statement, parameters)
        columns = [
            column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
            for column in table.columns
        ]
        return list(zip(*columns, strict=True))

    def value(self, statement: str, parameters: Parameters = None) -> Any:
        """The one value of a SELECT."""
        return self.rows(statement, parameters)[0][0]

    def run(self, statement: str, parameters: Parameters = None) -> None:
        """A statement without an answer."""
        with self.client() as client:
            client.command(statement, parameters=dict(parameters or {}))

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert; when this returns the rows are fsynced."""
        with self.client() as client:
            client.insert_arrow(table, rows)

    def close(self) -> None:
        """Close the connections, waiting for statements under way."""
        for client in self._all:
            client.close()
        self._all.clear()


class Engine:
    """All handles: `work` writes and may take long, `ingest` inserts, `query` answers, `sql` answers strangers."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.embedded = dsn.startswith("chdb:")
        first = Handles(dsn, 1, {}, None)
        try:
            first.run(f"CREATE DATABASE IF NOT EXISTS {settings.DATABASE}")
            database = settings.DATABASE
            self.work = Handles(dsn, 1, settings.WORK_SETTINGS, database)
            self.ingest = Handles(dsn, 1, settings.SESSION_SETTINGS, database)
            self.query = Handles(dsn, settings.QUERY_HANDLES, settings.SESSION_SETTINGS, database)
            self.sql = Handles(dsn, settings.SQL_HANDLES, {**settings.SESSION_SETTINGS, "readonly": "2"}, database)
        finally:
            first.close()
        #: Held while something must not meet an insert: expired readings are dropped under it.
        self.inserting = threading.Lock()

    def close(self) -> None:
        for handles in (self.sql, self.query, self.ingest, self.work):
            handles.close()
