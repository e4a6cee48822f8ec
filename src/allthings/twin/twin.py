"""What is true now: the newest value of every series, who is online, and the live feed.

One event loop owns a twin; nothing here waits or blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from allthings.log import block
from allthings.readings.clock import wrong_clock
from allthings.readings.decoded import DECODED, Decoded
from allthings.readings.values import python_value
from allthings.twin.activity import Activity, ThingState
from allthings.twin.discovery import Discovery
from allthings.twin.live import Filter, Hub, Subscription
from allthings.twin.rates import Rate, Rates, Totals
from allthings.twin.series import NONE, Batch, Ints, SeriesTable
from allthings.twin.settings import QUEUE_ROWS_MAX
from allthings.twin.values import CurrentValue


class Twin:
    """Current state in memory, fed by every decoded block in the order of the log."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives nanoseconds since the epoch, UTC."""
        self._clock = clock
        self._series = SeriesTable()
        self._activity = Activity()
        self._rates = Rates()
        self.discovery = Discovery(self._series)
        self.hub = Hub()
        #: The block up to which the log is known.
        self.sequence = 0

    # What comes in

    def load(self, table: pa.Table, sequence: int) -> None:
        """Begin with the newest reading of each series, as the history had it after a block of the log.

        `table` has the columns of DECODED (names plain or dictionary-encoded). Rows of later blocks do no harm.
        """
        columns = [_column(table, field) for field in DECODED]
        for readings in pa.Table.from_arrays(columns, schema=DECODED).combine_chunks().to_batches():
            batch = self._keep(self._series.batch(readings))
            if batch is not None:
                self._activity.restore(batch, len(self._series.things))
        self.discovery.know_all()
        self.sequence = sequence
        self.hub.start(sequence)

    def apply(self, decoded: Decoded) -> None:
        """Take in the next block. One that was taken in before changes nothing."""
        if decoded.sequence <= self.sequence:
            return
        self.sequence = decoded.sequence
        rows = decoded.readings.num_rows
        self._rates.note(self._clock(), decoded.messages, rows, len(decoded.rejects), decoded.unclaimed)
        if not rows:
            return
        batch = self._keep(self._series.batch(decoded.readings))
        if batch is not None:
            self._activity.note(batch, len(self._series.things))
        self.hub.publish(decoded)

    def _keep(self, batch: Batch) -> Batch | None:
        if batch.slots.min(initial=0) == NONE:
            rows = np.flatnonzero(batch.slots != NONE)
            if not len(rows):
                return None
            batch = batch.rows(rows)
        # Sorted by slot, then time; of equal times the later in the log comes last.
        order = np.lexsort((batch.times, batch.slots))
        slots = batch.slots[order]
        ends = np.flatnonzero(np.concatenate((slots[1:] != slots[:-1], [True])))
        starts = np.concatenate(([0], ends[:-1] + 1))
        self._series.take(batch, order, ends)
        self.discovery.note(batch, order, starts)
        return batch

    def forget(self, thing: str) -> None:
        """Drop the current values of a thing that was removed. If it sends again it is discovered again."""
        number = self._series.thing_number(thing)
        if number is not None:
            slots = np.array(self._series.slots_of[number], np.int64)
            self._series.clear(slots)
            self.discovery.forget(slots)
            self._activity.forget(number)

    # What is asked

    def values(
        self, things: Iterable[str] | None = None, properties: Iterable[str] | None = None
    ) -> list[CurrentValue]:
        """Current values of the things and properties named (None: of all), thing by thing."""
        slots = self._chosen(things, properties)
        table = self._series
        times, received = table.time[slots], table.received[slots]
        fresh = self._activity.online(self._clock())[table.thing[slots]]
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
        """The traffic of the things named, or of all that ever sent a reading."""
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

    def last_received(self) -> dict[str, int]:
        """When each thing that ever sent a reading was last heard of."""
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
