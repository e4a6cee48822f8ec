"""Deleted readings, left out wherever a block of the log is read again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from allthings.readings.decoded import Decoded, Event
from allthings.registry import Deletion

POSITION_MAX: Final = 2**64 - 1


class Deletions:
    """Deletions that blocks are filtered by. One more may be added at any time, from any thread.

    A deletion names things, properties, a span of time and a position; what stands in the log behind that position
    was sent after the deletion, and stays.
    """

    def __init__(self, deletions: Iterable[Deletion] = ()) -> None:
        self._lock = threading.Lock()
        self._all = tuple(deletions)

    def add(self, *deletions: Deletion) -> None:
        """Leave out what they name from now on."""
        with self._lock:
            self._all = tuple(dict.fromkeys((*self._all, *deletions)))

    def drop_before(self, position: int) -> None:
        """Forget those about positions before this: the log has dropped its blocks up to there."""
        with self._lock:
            self._all = tuple(each for each in self._all if each.upto >= position)

    def left(self, decoded: Decoded) -> Decoded:
        """What a block still says, or several that were decoded together: the same object when nothing of it was
        deleted."""
        known = self._all
        if not known:
            return decoded
        first = _first(decoded)
        about = [each for each in known if each.upto >= first]
        if not about:
            return decoded
        events = [event for event in decoded.events if not any(names_event(each, event) for each in about)]
        gone = np.zeros(decoded.readings.num_rows, np.bool_)
        for each in about:
            gone |= names(each, decoded.readings)
        if not gone.any():
            return decoded if len(events) == len(decoded.events) else replace(decoded, events=events)
        return replace(decoded, readings=decoded.readings.filter(pa.array(~gone)), events=events)


def _first(decoded: Decoded) -> int:
    """The least position of all that was decoded; its sequence is that of the last block."""
    events = min((event.position for event in decoded.events), default=POSITION_MAX)
    return min(events, int(decoded.readings.column("position").to_numpy().min(initial=POSITION_MAX)))


def names(deletion: Deletion, readings: pa.RecordBatch) -> Any:
    """Of each reading (schema DECODED) whether the deletion names it."""
    found = readings.column("position").to_numpy() <= np.uint64(deletion.upto)
    found &= _one_of(readings.column("thing"), deletion.things)
    if deletion.properties:
        found &= _one_of(readings.column("property"), deletion.properties)
    times = readings.column("time").to_numpy().view(np.int64)
    if deletion.start_ns is not None:
        found &= times >= deletion.start_ns
    if deletion.end_ns is not None:
        found &= times < deletion.end_ns
    return found


def names_event(deletion: Deletion, event: Event) -> bool:
    """Whether a deletion names an event: one of whole things does."""
    return (
        not deletion.properties
        and event.thing in deletion.things
        and event.position <= deletion.upto
        and (deletion.start_ns is None or event.time_ns >= deletion.start_ns)
        and (deletion.end_ns is None or event.time_ns < deletion.end_ns)
    )


def _one_of(column: pa.DictionaryArray, wanted: tuple[str, ...]) -> Any:
    known = np.array([name in wanted for name in column.dictionary.to_pylist()], np.bool_)
    if not known.any():
        return np.zeros(len(column), np.bool_)
    return known[column.indices.to_numpy()]
