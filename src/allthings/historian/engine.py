"""ClickHouse as this room uses it.

One code path for the embedded engine (`chdb:///path`) and a server (`http://`, `https://`). Everything that this
room asks of ClickHouse goes through here, so this is also where the engine's errors become ours.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from allthings.historian import links, settings
from allthings.historian.cancellation import Cancellation
from allthings.historian.connections import Connections
from allthings.historian.engine_errors import as_ours
from allthings.historian.errors import HistorianUnavailableError
from allthings.things.errors import AllthingsError

Parameters = Mapping[str, Any] | None

_LOGGER = logging.getLogger(__name__)

#: Ends what a connection has under way; the engine goes on with everything else meanwhile.
_KILL: Final = "KILL QUERY WHERE Settings['log_comment'] = {name:String} ASYNC"

_END_AGAIN_S: Final = 0.05


class Handles:
    """Statements on some equal connections. `cancellation` ends the one under way, from another thread."""

    def __init__(self, connections: Connections, cancellation: Cancellation | None = None) -> None:
        self._connections = connections
        self._cancellation = cancellation

    def under(self, cancellation: Cancellation | None) -> Handles:
        """The same connections, for a call that may be cancelled."""
        return Handles(self._connections, cancellation) if cancellation else self

    @contextmanager
    def client(self, *, strangers: bool = False) -> Iterator[Client]:
        """A connection for one statement; whatever fails within makes a new one take its place.

        The engine's errors leave as ours (see `as_ours`).
        """
        try:
            with self._connections.taken(self._cancellation) as client:
                yield client
        except (ClickHouseError, OSError, pa.ArrowException) as error:
            raise as_ours(error, strangers=strangers) from error

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

    def refuse(self) -> None:
        """Let no further statement begin."""
        self._connections.refuse()

    def end(self) -> bool:
        """End what is under way. True when something was: it may need some time, or to be told again."""
        return self._connections.end()

    def close(self) -> None:
        """Close the connections, waiting for statements under way."""
        self._connections.close()


class Engine:
    """All handles: `work` writes and may take long, `ingest` inserts, `query` answers, `quick` what is answered soon,
    `sql` strangers, `state` tells how things are, and `control` ends statements of the others."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.embedded = dsn.startswith("chdb:")
        if self.embedded:
            _mend_links(Path(urlsplit(dsn).path))
        self.control = self._handles(1, {}, None)
        self.control.run(f"CREATE DATABASE IF NOT EXISTS {settings.DATABASE}")
        database = settings.DATABASE
        self.work = self._handles(1, settings.WORK_SETTINGS, database)
        self.ingest = self._handles(1, settings.SESSION_SETTINGS, database)
        asked, strangers = self._standing_back(settings.QUERY_NICENESS), self._standing_back(settings.SQL_NICENESS)
        self.query = self._handles(settings.QUERY_HANDLES, {**settings.SESSION_SETTINGS, **asked}, database)
        self.quick = self._handles(settings.QUICK_HANDLES, settings.QUICK_SETTINGS, database)
        self.state = self._handles(settings.STATE_HANDLES, settings.STATE_SETTINGS, database)
        sql = {**settings.SESSION_SETTINGS, **strangers, "readonly": "2"}
        self.sql = self._handles(settings.SQL_HANDLES, sql, database)
        #: Held while something must not meet an insert: expired readings are dropped under it.
        self.inserting = threading.Lock()

    def _handles(self, count: int, session: Mapping[str, str], database: str | None) -> Handles:
        return Handles(Connections(self.dsn, count, session, database, self._kill))

    def _standing_back(self, niceness: int) -> dict[str, str]:
        """The engine minds it where it has the right to (CAP_SYS_NICE), and a server's threads are not ours."""
        return {"os_threads_nice_value_query": str(niceness)} if self.embedded else {}

    def _kill(self, name: str) -> None:
        try:
            self.control.run(_KILL, {"name": name})
        except AllthingsError as error:
            # Whoever kills does so again, until the statement has ended or its own time is over.
            _LOGGER.warning("a query could not be ended: %s", error.detail)

    def stop_answers(self, within_s: float) -> bool:
        """Answer nothing any more: end what is under way. False when some of it has not ended in so many seconds."""
        return _stop((self.sql, self.query, self.quick, self.state), within_s)

    def close(self) -> None:
        """Close all connections. Inserts under way are waited for; rollups are ended, they are done again."""
        _stop((self.work,), settings.CLOSE_S_MAX)
        for handles in (self.sql, self.quick, self.state, self.query, self.ingest, self.work, self.control):
            handles.close()


def _mend_links(history: Path) -> None:
    try:
        links.mend(history)
    except OSError as error:
        raise HistorianUnavailableError(f"folders stand where the history at {history} has links: {error}") from error


def _stop(all_handles: Sequence[Handles], within_s: float) -> bool:
    for handles in all_handles:
        handles.refuse()
    for _ in range(max(1, round(within_s / _END_AGAIN_S))):
        if not sum(handles.end() for handles in all_handles):
            return True
        time.sleep(_END_AGAIN_S)
    return False
