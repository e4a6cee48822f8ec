"""What is true now: the newest value of every series, who is online, and the live feed.

One event loop owns a twin; nothing here waits or blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from allthings.log import block
from allthings.readings.clock import wrong_clock
from allthings.readings.decoded import DECODED, Decoded, Event
from allthings.readings.deletions import Deletions
from allthings.readings.values import python_value
from allthings.registry import Deletion
from allthings.registry.removals import EVENTS, Removal, Removals
from allthings.twin.activity import Activity, ThingState
from allthings.twin.discovery import Discovery
from allthings.twin.live import Filter, Hub, Subscription
from allthings.twin.rates import Rate, Rates, Totals
from allthings.twin.removed import not_removed
from allthings.twin.series import NONE, Batch, Ints, SeriesTable, in_order
from allthings.twin.settings import ONLINE_NS_MIN, QUEUE_ROWS_MAX
from allthings.twin.values import CurrentValue


class Twin:
    """Current state in memory, fed by every decoded block in the order of the log."""

    def __init__(self, clock: Callable[[], int], deletions: Deletions | None = None) -> None:
        """`clock` gives nanoseconds since the epoch, UTC; `deletions` are left out of every block."""
        self._clock = clock
        self._series = SeriesTable()
        self._activity = Activity()
        self._rates = Rates()
        self._removals = Removals()
        self.deletions = deletions or Deletions()
        self.discovery = Discovery(self._series)
        self.hub = Hub()
        #: The block up to which the log is known.
        self.sequence = 0

    # What comes in

    def load(
        self,
        table: pa.Table,
        sequence: int,
        *,
        heard: Iterable[tuple[str, int, int]] = (),
        events: Iterable[tuple[str, str, int]] = (),
        removals: Iterable[Removal] = (),
    ) -> None:
        """Begin with the newest reading of each series, as the history had it after a block of the log.

        `table` has the columns of DECODED (names plain or dictionary-encoded) and nothing that was removed. Rows of
        later blocks do no harm. `heard`: of each thing when its last message was received, and its position; `events`:
        each event that was sent, and the position of the last of its name.
        """
        self.remember(table, heard=heard, events=events, removals=removals)
        self.begin(sequence)

    def begin(self, sequence: int, removals: Iterable[Removal] | None = None) -> None:
        """Take in what comes after a block of the log, but for what was removed (None: what `load` was told)."""
        if removals is not None:
            self._removals = Removals(removals)
        self.sequence = sequence
        self.hub.start(sequence)

    def remember(
        self,
        table: pa.Table,
        *,
        heard: Iterable[tuple[str, int, int]] = (),
        events: Iterable[tuple[str, str, int]] = (),
        removals: Iterable[Removal] = (),
    ) -> None:
        """Know readings of the past, given as to `load`; what is newer stays."""
        for removal in removals:
            self._removals.add(removal)
        for batch in self._batches(table):
            self._keep(batch, restored=True)
        for thing, received_ns, position in heard:
            number = self._series.number_thing(thing) if position > self._removals.of_thing(thing) else NONE
            if number != NONE:
                self._activity.make_room(len(self._series.things))
                self._activity.restore(number, received_ns)
        for thing, event, position in events:
            if position > self._removals.of_event(thing, event):
                self.discovery.events.note(thing, event, position)
        self.discovery.know_all()

    def apply(self, decoded: Decoded) -> None:
        """Take in the next block. One that was taken in before changes nothing."""
        if decoded.sequence <= self.sequence:
            return
        self.sequence = decoded.sequence
        decoded = self.deletions.left(decoded)
        rows = decoded.readings.num_rows
        self._rates.note(self._clock(), decoded.messages, rows, len(decoded.rejects), decoded.unclaimed)
        for event in decoded.events:
            self._note_event(event)
        if not rows:
            return
        readings = not_removed(decoded.readings, self._removals)
        batch = self._keep(self._series.batch(readings)) if readings.num_rows else None
        if batch is not None and decoded.messages:
            self._activity.note(batch)
        elif batch is not None:
            self._activity.count(batch)
        self.hub.publish(decoded)

    def _note_event(self, event: Event) -> None:
        number = NONE
        if event.position > self._removals.of_event(event.thing, event.name):
            number = self._series.number_thing(event.thing)
        if number != NONE:
            self._activity.make_room(len(self._series.things))
            self._activity.heard(np.array([number]), np.array([event.received_ns]))
            self.discovery.events.note(event.thing, event.name, event.position)

    def _keep(self, batch: Batch, *, restored: bool = False) -> Batch | None:
        if batch.slots.min(initial=0) == NONE:
            rows = np.flatnonzero(batch.slots != NONE)
            if not len(rows):
                return None
            batch = batch.rows(rows)
        self._activity.make_room(len(self._series.things))
        order, ends = self._take(batch)
        starts = np.concatenate(([0], ends[:-1] + 1))
        self.discovery.note(batch, order, starts, restored=restored)
        return batch

    def _take(self, batch: Batch) -> tuple[Ints, Ints]:
        """Keep the newest readings of a batch; what sorts it by slot, and the places in it where a slot ends."""
        wrong = wrong_clock(batch.times, batch.received)
        order = in_order(batch, wrong)
        slots = batch.slots[order]
        ends = np.flatnonzero(np.concatenate((slots[1:] != slots[:-1], [True])))
        self._series.take(batch, order, ends, wrong)
        return order, ends

    def _batches(self, table: pa.Table) -> Iterator[Batch]:
        """The rows of a table with the columns of DECODED."""
        columns = [_column(table, field) for field in DECODED]
        for readings in pa.Table.from_arrays(columns, schema=DECODED).combine_chunks().to_batches():
            yield self._series.batch(readings)

    # What goes

    def remove(self, removal: Removal) -> None:
        """Drop what was sent of a removed thing, property or event up to a position. What is sent later is news."""
        if not self._removals.add(removal):
            return
        kind, _, name = removal.part.partition("/")

        def named(key: tuple[str, str]) -> bool:
            return key[0] == removal.thing and (not kind or (kind == EVENTS and key[1] == name))

        self.discovery.events.forget(named, removal.position)
        number = self._series.thing_number(removal.thing)
        if number is None or kind == EVENTS:
            return
        slots = np.array(self._series.slots_of[number], np.int64)
        if kind:
            slots = slots[np.isin(self._series.property[slots], self._series.property_numbers([name]))]
        gone = slots[self._series.position[slots] <= np.uint64(removal.position)]
        self.discovery.forget(slots, removal.position)
        self._series.clear(gone)
        if not kind and len(gone) == len(slots):
            self._activity.forget(number)

    def delete(self, deletion: Deletion) -> list[tuple[str, str]]:
        """Drop what was deleted; the series that have no current value now, though the history may have older ones:
        `restore` these."""
        self.hub.leave_out(self.deletions.left)
        table = self._series
        slots = self._chosen(deletion.things, deletion.properties or None)
        gone = table.position[slots] <= np.uint64(deletion.upto)
        if deletion.start_ns is not None:
            gone &= table.time[slots] >= deletion.start_ns
        if deletion.end_ns is not None:
            gone &= table.time[slots] < deletion.end_ns
        slots = slots[gone]
        table.clear(slots)
        return [
            (table.things[thing], table.properties[property_])
            for thing, property_ in zip(table.thing[slots].tolist(), table.property[slots].tolist(), strict=True)
        ]

    def restore(self, table: pa.Table) -> None:
        """Take in readings of the history that are current again; newer ones stay. `table` is as for `load`."""
        for batch in self._batches(table):
            kept = batch.rows(np.flatnonzero(batch.slots != NONE))
            if len(kept.slots):
                self._take(kept)

    # What is asked

    def values(
        self, things: Iterable[str] | None = None, properties: Iterable[str] | None = None
    ) -> list[CurrentValue]:
        """Current values of the things and properties named (None: of all), thing by thing."""
        slots = self._chosen(things, properties)
        table = self._series
        times, received = table.time[slots], table.received[slots]
        now_ns = self._clock()
        # What is uploaded does not make its thing online, but as fresh as that it is good all the same.
        fresh = self._activity.online(now_ns)[table.thing[slots]] | (now_ns - times < ONLINE_NS_MIN)
        quality = np.where(wrong_clock(times, received), "clock", np.where(fresh, "good", "stale"))
        return [
            CurrentValue(
                table.things[thing],
                table.properties[property_],
                python_value(number, table.text(slot), kind),
                time_ns,
                received_ns,
                quality_,
                position,
            )
            for slot, thing, property_, number, kind, time_ns, received_ns, quality_, position in zip(
                slots.tolist(),
                table.thing[slots].tolist(),
                table.property[slots].tolist(),
                table.number[slots].tolist(),
                table.kind[slots].tolist(),
                times.tolist(),
                received.tolist(),
                quality.tolist(),
                table.position[slots].tolist(),
                strict=True,
            )
        ]

    def _chosen(self, things: Iterable[str] | None, properties: Iterable[str] | None) -> Ints:
        table = self._series
        if things is None:
            slots: Ints = np.arange(table.count)
        else:
            numbers = (table.thing_number(name) for name in dict.fromkeys(things))
            slots = np.array([slot for number in numbers if number is not None for slot in table.slots_of[number]], int)
        if properties is not None:
            wanted = table.property_numbers(properties)
            slots = slots[np.isin(table.property[slots], wanted)]
        chosen: Ints = slots[table.filled(slots)]
        return chosen

    def thing_states(self, things: Sequence[str] | None = None) -> list[ThingState]:
        """The traffic of the things named, or of all that ever sent a reading or an event."""
        now_ns, table = self._clock(), self._series
        if things is None:
            numbers = list(range(len(table.things)))
        else:
            numbers = [number for number in map(table.thing_number, things) if number is not None]
        online = self._activity.online(now_ns)
        return [
            self._activity.state(number, table.things[number], bool(online[number]), len(table.slots_of[number]))
            for number in numbers
            if self._activity.last_received[number]
        ]

    def thing_names(self) -> list[str]:
        """The names of all things that may have current values."""
        return list(self._series.things)

    def last_received(self) -> dict[str, int]:
        """When each thing that ever sent a reading or an event was last heard of. Uploads do not count."""
        times = zip(self._series.things, self._activity.last_received.tolist(), strict=False)
        return {thing: time_ns for thing, time_ns in times if time_ns}

    def online_count(self) -> int:
        """How many things are online."""
        return int(self._activity.online(self._clock()).sum())

    def online_things(self) -> set[str]:
        """The names of the things that are online."""
        names = self._series.things
        return {names[number] for number in np.flatnonzero(self._activity.online(self._clock())).tolist()}

    def rates(self) -> Rate:
        """What came in per second, over the last few seconds."""
        return self._rates.rate(self._clock())

    def totals(self) -> Totals:
        """What came in since this process began to read the log."""
        return self._rates.totals

    @property
    def series_count(self) -> int:
        return self._series.count

    @property
    def untracked(self) -> int:
        """Readings of series for which there was no place: they are in the history but have no current value."""
        return self._series.untracked

    def subscribe(
        self,
        things: Iterable[str] | None = None,
        properties: Iterable[str] | None = None,
        queue_max: int = QUEUE_ROWS_MAX,
    ) -> Subscription:
        """Every new value of the things and properties named (None: of all), from now on.

        `queue_max`: readings that may wait before the subscriber loses its place. To come back after a position use
        `resume.follow`.
        """
        chosen = Filter(_names(things), _names(properties))
        return self.hub.subscribe(chosen, block.position(self.sequence + 1, 0) - 1, queue_max)


def _names(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _column(table: pa.Table, field: pa.Field) -> Any:
    column = table.column(field.name)
    if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    return column.cast(field.type)
