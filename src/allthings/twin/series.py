"""The newest reading of every series, in columns.

A series has a *slot*, its row in all columns; it keeps the slot for good. Python objects are made only for the names
and for values that are text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from allthings.readings.clock import rank
from allthings.twin.settings import SERIES_MAX, SERIES_PER_THING_MAX

_FIRST_ROOM: Final = 1_024
_PROPERTY_BITS: Final = 32
NONE: Final = -1
_NO_TIME: Final = np.iinfo(np.int64).min

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


class Batch(NamedTuple):
    """Readings as arrays. `slots` are NONE where there is no place for more series."""

    things: Ints
    slots: Ints
    times: Ints
    received: Ints
    numbers: Floats
    kinds: np.ndarray[Any, np.dtype[np.uint8]]
    positions: np.ndarray[Any, np.dtype[np.uint64]]
    texts: pa.Array

    def rows(self, rows: Ints) -> Batch:
        """Some of the rows."""
        return Batch(
            self.things[rows],
            self.slots[rows],
            self.times[rows],
            self.received[rows],
            self.numbers[rows],
            self.kinds[rows],
            self.positions[rows],
            self.texts.take(pa.array(rows)),
        )


class SeriesTable:
    """Columns over slots; `thing` and `property` hold numbers of names."""

    def __init__(self) -> None:
        self.count = 0
        self.things: list[str] = []
        self.properties: list[str] = []
        #: Per thing its slots.
        self.slots_of: list[list[int]] = []
        #: Readings that found no place.
        self.untracked = 0
        self._thing_numbers: dict[str, int] = {}
        self._property_numbers: dict[str, int] = {}
        self._slots: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self._make_room(_FIRST_ROOM)

    def _make_room(self, room: int) -> None:
        first = not self.count

        def grown(name: str, dtype: Any) -> Any:
            column = np.zeros(room, dtype)
            if not first:
                column[: self.count] = getattr(self, name)[: self.count]
            return column

        self.thing: Ints = grown("thing", np.int64)
        self.property: Ints = grown("property", np.int64)
        self.time: Ints = grown("time", np.int64)
        self.received: Ints = grown("received", np.int64)
        self.number: Floats = grown("number", np.float64)
        self.kind: Any = grown("kind", np.uint8)
        self.position: Any = grown("position", np.uint64)
        self._textual: Any = grown("_textual", np.bool_)
        self._wrong: Any = grown("_wrong", np.bool_)

    def batch(self, readings: pa.RecordBatch) -> Batch:
        """The arrays of readings with the schema DECODED; series that are new get their slots."""
        column = readings.column
        things = self._numbers_of(column("thing"), self._thing_numbers, self.things)
        properties = self._numbers_of(column("property"), self._property_numbers, self.properties)
        while len(self.slots_of) < len(self.things):
            self.slots_of.append([])
        keys = ((things << _PROPERTY_BITS) | properties).tolist()
        slots = list(map(self._slots.get, keys))
        if None in slots:
            slots = [self._place(key) if slot is None else slot for key, slot in zip(keys, slots, strict=True)]
        return Batch(
            things,
            np.array(slots, np.int64),
            column("time").to_numpy().view(np.int64),
            column("received").to_numpy().view(np.int64),
            column("number").to_numpy(zero_copy_only=False),
            column("kind").to_numpy(),
            column("position").to_numpy(),
            column("text"),
        )

    def _numbers_of(self, names: pa.DictionaryArray, numbers: dict[str, int], known: list[str]) -> Ints:
        local = []
        for name in names.dictionary.to_pylist():
            number = numbers.get(name)
            if number is None:
                if len(known) >= SERIES_MAX:
                    number = NONE
                else:
                    number = numbers[name] = len(known)
                    known.append(name)
            local.append(number)
        found: Ints = np.array(local, np.int64)[names.indices.to_numpy()]
        return found

    def _place(self, key: int) -> int:
        slot = self._slots.get(key)
        if slot is not None:
            return slot
        thing = key >> _PROPERTY_BITS
        # A name without a number (NONE) makes the key negative.
        if key < 0 or self.count >= SERIES_MAX or len(self.slots_of[thing]) >= SERIES_PER_THING_MAX:
            self.untracked += 1
            return NONE
        slot = self.count
        if slot == len(self.thing):
            self._make_room(2 * slot)
        self.thing[slot], self.property[slot] = thing, key & ((1 << _PROPERTY_BITS) - 1)
        self.time[slot] = _NO_TIME
        self.count += 1
        self._slots[key] = slot
        self.slots_of[thing].append(slot)
        return slot

    def take(self, batch: Batch, order: Ints, last: Ints, wrong: Any) -> None:
        """Keep the newest readings. `order` is what `in_order` gives; `last` are the rows of it that end a slot.
        `wrong` says of each row of the batch whether its clock was wrong."""
        rows = order[last]
        slots = batch.slots[rows]
        times, wrong = batch.times[rows], wrong[rows]
        if wrong.any() or self._wrong[slots].any():
            newer = ~self.filled(slots) | _is_newer(
                (~wrong, rank(times, batch.received[rows]), times, batch.positions[rows]),
                (
                    ~self._wrong[slots],
                    rank(self.time[slots], self.received[slots]),
                    self.time[slots],
                    self.position[slots],
                ),
            )
        else:
            # Mostly; a slot without a value has a time before all others.
            newer = (times > self.time[slots]) | (
                (times == self.time[slots]) & (batch.positions[rows] >= self.position[slots])
            )
        self._wrong[slots[newer]] = wrong[newer]
        rows, slots = rows[newer], slots[newer]
        self.time[slots] = batch.times[rows]
        self.received[slots] = batch.received[rows]
        self.number[slots] = batch.numbers[rows]
        self.kind[slots] = batch.kinds[rows]
        self.position[slots] = batch.positions[rows]
        if batch.texts.null_count < len(batch.texts):
            self._take_texts(slots, batch.texts.take(pa.array(rows)))
        elif self._texts:
            self._take_texts(slots, None)

    def _take_texts(self, slots: Ints, texts: pa.Array | None) -> None:
        given = np.zeros(len(slots), np.bool_) if texts is None else texts.is_valid().to_numpy(zero_copy_only=False)
        for slot in slots[self._textual[slots] & ~given].tolist():
            del self._texts[slot]
        self._textual[slots] = given
        if texts is not None:
            places = np.flatnonzero(given)
            self._texts.update(zip(slots[places].tolist(), texts.take(pa.array(places)).to_pylist(), strict=True))

    def number_thing(self, name: str) -> int:
        """The number of a thing, which may be new; NONE where there is no place for more."""
        number = self._thing_numbers.get(name)
        if number is None:
            if len(self.things) >= SERIES_MAX:
                return NONE
            number = self._thing_numbers[name] = len(self.things)
            self.things.append(name)
            self.slots_of.append([])
        return number

    def thing_number(self, name: str) -> int | None:
        """The number of a thing, or None if it never sent a reading."""
        return self._thing_numbers.get(name)

    def property_numbers(self, names: Iterable[str]) -> list[int]:
        """The numbers of the properties that are known."""
        return [number for number in map(self._property_numbers.get, names) if number is not None]

    def filled(self, slots: Ints) -> Any:
        """Which of the slots have a value."""
        return self.time[slots] != _NO_TIME

    def clear(self, slots: Ints) -> None:
        """Take away the values of slots; they stay with their series."""
        self._take_texts(slots, None)
        self.time[slots] = _NO_TIME
        self.received[slots] = 0
        self.position[slots] = 0
        self._wrong[slots] = False

    def text(self, slot: int) -> str | None:
        """What is kept as text of a slot's value."""
        return self._texts.get(slot)


def in_order(batch: Batch, wrong: Any) -> Ints:
    """What sorts a batch by slot, and each slot's readings so that the newest comes last: those with a wrong clock
    first, then by time, then by place in the log."""
    if not wrong.any():
        order: Ints = np.lexsort((batch.times, batch.slots))
        return order
    by_rank: Ints = np.lexsort((batch.times, rank(batch.times, batch.received), ~wrong, batch.slots))
    return by_rank


def _is_newer(new: tuple[Any, ...], old: tuple[Any, ...]) -> Any:
    """Whether rows of the first columns are greater than those of the second or equal, compared from left to right."""
    newer = new[-1] >= old[-1]
    for left, right in zip(reversed(new[:-1]), reversed(old[:-1]), strict=True):
        newer = (left > right) | ((left == right) & newer)
    return newer
