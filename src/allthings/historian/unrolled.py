"""Which times the readings have that are not rolled up yet, without a look at them.

Only one process may open an embedded history, so it knows all that it has inserted: of each insert the first and the
last time, and likewise of the readings among it that came late. A question about times in which nothing is late needs
no other answer; to find out for each series costs a third of a chart.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian import settings
from allthings.historian.buckets import ALWAYS, LEVELS, Dirty, Level
from allthings.historian.engine import Handles
from allthings.historian.stretches import Stretch, joined

_NS: Final = pa.int64()


class _Insert(NamedTuple):
    """Readings up to a position; `now` and `late` hold the times of all of them."""

    position: int
    now: Stretch | None
    late: Stretch | None


class Unrolled:
    """What was inserted and is not rolled up. May be called from any thread."""

    def __init__(self, handles: Handles) -> None:
        self._handles = handles
        self._lock = threading.Lock()
        self._inserts: deque[_Insert] = deque()
        self._reached: dict[Level, int] = {}
        self.look()

    def look(self) -> None:
        """Begin with what is in the tables."""
        positions = dict(self._handles.rows("SELECT what, max(position) FROM progress GROUP BY what"))
        reached = {level: int(positions.get(level.table, 0)) for level in LEVELS}
        ((position, first, last),) = self._handles.rows(
            "SELECT max(position), toUnixTimestamp64Nano(min(time)), toUnixTimestamp64Nano(max(time)) FROM readings "
            "WHERE position > {reached:UInt64}",
            {"reached": min(reached.values())},
        )
        # What a stop left is in most cases of the last minutes; else it is taken for late.
        stretch = first, last + 1
        short = last - first <= settings.NS_PER_HOUR
        left = _Insert(position, stretch if short else None, None if short else stretch)
        with self._lock:
            self._reached = reached
            self._inserts = deque([left] if position else [])

    def insert(self, readings: Sequence[pa.RecordBatch]) -> None:
        """These readings are about to be inserted; whether that succeeds does not matter."""
        if not any(each.num_rows for each in readings):
            return
        times, received, positions = (
            pa.chunked_array([each.column(name) for each in readings]) for name in ("time", "received", "position")
        )
        times = times.cast(_NS)
        late = pc.greater(pc.subtract(received.cast(_NS), times), settings.NS_PER_HOUR)
        made = _Insert(
            int(pc.max(positions).as_py()),
            _stretch(times.filter(pc.invert(late))),
            _stretch(times.filter(late)),
        )
        with self._lock:
            self._inserts.append(made)

    def moved(self, level: Level, position: int) -> None:
        """A level reflects everything up to a position now."""
        with self._lock:
            self._reached[level] = max(position, self._reached[level])
            reached = min(self._reached.values())
            while self._inserts and self._inserts[0].position <= reached:
                self._inserts.popleft()

    def dirty(self, start_ns: int | None, end_ns: int | None) -> Dirty | None:
        """The dirty stretches of a span, of whatever series; None when some in it are late."""
        start = ALWAYS[0] if start_ns is None else start_ns
        end = ALWAYS[1] if end_ns is None else end_ns
        with self._lock:
            reached, inserts = dict(self._reached), tuple(self._inserts)
        waiting = [each for each in inserts if each.position > min(reached.values())]
        if any(each.late and each.late[0] < end and each.late[1] > start for each in waiting):
            return None
        return {
            level: joined(
                (
                    (each.now[0] // level.every_ns * level.every_ns, -(-each.now[1] // level.every_ns) * level.every_ns)
                    for each in waiting
                    if each.position > reached[level] and each.now and each.now[0] < end and each.now[1] > start
                ),
                settings.DIRTY_STRETCHES_MAX,
            )
            for level in LEVELS
        }


def _stretch(times: pa.ChunkedArray) -> Stretch | None:
    if not len(times):
        return None
    found = pc.min_max(times).as_py()
    return found["min"], found["max"] + 1
