"""Which connections have to be looked at, and when: whether CONNECT came, whether anything is heard of them.

Those that are due at about the same time share one deadline. A connection that ends is forgotten at once: what ten
thousand devices that came and went had in memory must not be freed while the next ten thousand come.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from allthings.gateway.connection import Connection
    from allthings.gateway.deadlines import Deadlines

_SLOTS_PER_S: Final = 10


class Vigil:
    """Calls `due` with each connection when its time has come, at most about two tenths of a second late."""

    def __init__(self, deadlines: Deadlines, due: Callable[[Connection], None]) -> None:
        self._deadlines = deadlines
        self._due = due
        self._slots: dict[int, set[Connection]] = {}

    def look(self, connection: Connection, due_s: float) -> None:
        """Look at a connection when the loop's clock shows `due_s`, and not when it was to be looked at before."""
        self.forget(connection)
        slot = connection.slot = int(due_s * _SLOTS_PER_S) + 1
        there = self._slots.get(slot)
        if there is None:
            there = self._slots[slot] = set()
            self._deadlines.at(slot / _SLOTS_PER_S, partial(self._look, slot))
        there.add(connection)

    def forget(self, connection: Connection) -> None:
        """Never look at it again."""
        there = self._slots.get(connection.slot)
        if there is not None:
            there.discard(connection)

    def _look(self, slot: int) -> None:
        for connection in self._slots.pop(slot):
            self._due(connection)
