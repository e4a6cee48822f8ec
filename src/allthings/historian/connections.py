"""Connections to ClickHouse: some equal ones, each for one statement at a time.

A connection on which anything failed is closed, and the next statement gets a new one: the embedded engine leaves the
text of an error that came after the first rows to whatever is asked next on the same connection.
"""

from __future__ import annotations

import itertools
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from allthings.historian import settings
from allthings.historian.cancellation import Cancellation
from allthings.historian.errors import HistorianUnavailableError, QueryCancelledError

#: Ends the statement that the connection of this name has under way.
Kill = Callable[[str], None]

#: What the system says, within what the client says.
_SYSTEM: Final = re.compile(r"\[Errno -?[0-9]+\] ([^\"')\n]+)")
_numbers: Final = itertools.count(1)


class Connections:
    """Opened when they are first needed; `kill` ends a statement on one of them."""

    def __init__(self, dsn: str, count: int, session: Mapping[str, str], database: str | None, kill: Kill) -> None:
        self._dsn = dsn
        self._session = dict(session)
        self._database = database
        self._kill = kill
        self._free: queue.LifoQueue[tuple[str, Client] | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)
        self._lock = threading.Lock()
        self._open: dict[str, Client] = {}
        self._running: set[str] = set()
        self._refusing = False

    @contextmanager
    def taken(self, cancellation: Cancellation | None) -> Iterator[Client]:
        """A connection for one statement. Raises HistorianUnavailableError, QueryCancelledError."""
        try:
            held = self._free.get(timeout=settings.HANDLE_WAIT_S)
        except queue.Empty:
            raise HistorianUnavailableError("the history is busy with other queries; try again") from None
        kept = None
        try:
            held = held or self._connect()
            name, client = held
            with self._noted(name), (cancellation or Cancellation()).over(lambda: self._kill(name)):
                yield client
            kept = held
        finally:
            if kept is None and held is not None:
                self._drop(*held)
            self._free.put(kept)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        """While it has a statement under way `end` knows of it."""
        with self._lock:
            if self._refusing:
                raise QueryCancelledError("the history is being closed")
            self._running.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(name)

    def _connect(self) -> tuple[str, Client]:
        name = f"allthings-{os.getpid()}-{next(_numbers)}"
        try:
            client = clickhouse_connect.get_client(
                dsn=self._dsn,
                database=self._database,
                # By its comment a statement is found when it is to be killed.
                settings={**self._session, "log_comment": name},
                **({} if self._dsn.startswith("chdb:") else {"autogenerate_session_id": False}),
            )
        except (ClickHouseError, OSError) as error:
            raise HistorianUnavailableError(f"no engine of the history answers: {_reason(str(error))}") from error
        with self._lock:
            self._open[name] = client
        return name, client

    def _drop(self, name: str, client: Client) -> None:
        with self._lock:
            self._open.pop(name, None)
        with suppress(ClickHouseError, OSError, RuntimeError):
            client.close()

    def refuse(self) -> None:
        """Let no further statement begin."""
        with self._lock:
            self._refusing = True

    def end(self) -> bool:
        """End what is under way. True when something was: it may need some time, or to be told again."""
        with self._lock:
            running = list(self._running)
        for name in running:
            self._kill(name)
        return bool(running)

    def close(self) -> None:
        """Close the connections, waiting for statements under way."""
        with self._lock:
            self._refusing = True
            clients = list(self._open.values())
            self._open.clear()
        for client in clients:
            client.close()


def _reason(text: str) -> str:
    """The system's own reason where there is one: the client wraps it in what it tried, which differs each time."""
    reasons = _SYSTEM.findall(text)
    return reasons[-1] if reasons else text
