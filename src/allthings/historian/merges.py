"""Merges of an embedded engine share the cores with everything else here, and nobody waits for them.

They take what time others leave (SCHED_IDLE, sched(7)). While all cores are busy that is nothing, and parts pile up
until the engine would refuse inserts; so when parts are many, merges get a share of the time until they are few again.
Without the right to give a thread its time back (CAP_SYS_NICE, or RLIMIT_NICE) they have that share always.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from allthings.historian import settings
from allthings.historian.engine import Engine

_MOST_PARTS: Final = (
    "SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts "
    "WHERE active AND database = currentDatabase() GROUP BY table, partition_id)"
)


class Merges:
    """Those of one engine. `look` is to be called after inserts; a server minds its merges itself."""

    def __init__(self, engine: Engine) -> None:
        # Only inserts use this handle, and `look` comes after them: it waits for no question.
        self._handle = engine.ingest
        self._embedded = engine.embedded
        #: Whether they may be told to yield, and whether they do.
        self._may_yield = False
        self._yielding = False
        self._look_at = 0.0
        #: How many wait for merges now.
        self._waiting = 0

    def begin(self) -> None:
        """Let merges stand back from now on. To be called before the first of them."""
        if not self._embedded:
            return
        # The engine lends its idle threads to whoever needs some, and a thread has the priority of the one that made
        # it. So all are made now, while no merge can make any: an insert would wait behind everything else on those.
        self._handle.value(f"SELECT sum(sleepEachRow(0.05)) {settings.POOL_FILLED}")
        for thread in _threads():
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, thread, settings.MERGE_NICENESS)
        self._look_at = time.monotonic() + settings.MERGE_LOOK_EVERY_S
        self._may_yield = _may_take_back()
        if self._may_yield:
            self._yield(True)

    def look(self) -> None:
        """Give merges their share while parts are many."""
        if not self._may_yield or self._waiting or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + settings.MERGE_LOOK_EVERY_S
        parts = int(self._handle.value(_MOST_PARTS))
        if parts > settings.MERGE_PARTS_MANY and self._yielding:
            self._yield(False)
        elif parts < settings.MERGE_PARTS_FEW and not self._yielding:
            self._yield(True)

    def hurry(self) -> None:
        """Somebody is about to wait for merges to end: they get their share until `look` finds that parts are few."""
        if self._yielding:
            self._yield(False)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """The same for as long as this lasts."""
        self._waiting += 1
        try:
            self.hurry()
            yield
        finally:
            self._waiting -= 1

    def _yield(self, yielding: bool) -> None:
        self._yielding = yielding
        for thread in _threads():
            # A thread may have ended by now.
            with suppress(OSError):
                _set_yielding(thread, yielding)


def _threads() -> list[int]:
    """The engine's threads that merge. Systems but Linux have no such directory."""
    found = []
    for thread in Path("/proc/self/task").glob("*"):
        with suppress(OSError):
            if (thread / "comm").read_text().startswith(settings.MERGE_THREADS):
                found.append(int(thread.name))
    return found


def _set_yielding(thread: int, yielding: bool) -> None:
    """Raises OSError. The niceness stays as it is, and holds again when the thread yields no more."""
    os.sched_setscheduler(thread, os.SCHED_IDLE if yielding else os.SCHED_OTHER, os.sched_param(0))


def _may_take_back() -> bool:
    """Whether a thread of ours that yields may be told to do so no more. One of our own tries."""
    allowed = []

    def attempt() -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), settings.MERGE_NICENESS)
            _set_yielding(0, True)
            _set_yielding(0, False)
            allowed.append(True)

    trying = threading.Thread(target=attempt, name="merges-may-yield")
    trying.start()
    trying.join()
    return bool(allowed)
