"""What devices send that may be unknown: series, kinds of values, wider ranges, events, on the way to the registry.

Everything here is bounded against a device (or an attacker) that makes up names: the twin bounds the series, and of
new things only so many are passed on in a minute and in all. The others wait; their readings are kept all the same.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from allthings.registry.seen import Seen, SeenProperty
from allthings.things.times import NS_PER_S
from allthings.things.types import Kind
from allthings.twin.events import EventNews
from allthings.twin.series import NONE, Batch, Ints, SeriesTable
from allthings.twin.settings import (
    NEW_THINGS_MAX,
    NEW_THINGS_PER_MINUTE_MAX,
    REPORT_MAX,
    WIDENING_EVERY_NS,
)

_MINUTE_NS: Final = 60 * NS_PER_S


class Report(NamedTuple):
    """Series and events to be told to the registry; confirm it when the registry has them."""

    seen: list[Seen]
    slots: Ints
    kinds: Any
    minimum: Any
    maximum: Any
    forgotten: Ints


class DiscoveryState(msgspec.Struct, frozen=True):
    """New things passed on since the start, and new things that wait for the next minute or for good."""

    passed: int
    waiting: int


class Discovery:
    """Columns over the slots of a series table."""

    def __init__(self, series: SeriesTable) -> None:
        self._series = series
        self.events = EventNews()
        self._room(1_024)
        #: By the number of a thing: whether it was passed on.
        self._passed = np.zeros(1_024, np.bool_)
        self._new_things = 0
        self._waiting = 0
        self._minute_began_ns = 0
        self._in_minute = 0

    def _room(self, room: int) -> None:
        def grown(name: str, dtype: Any, empty: float) -> Any:
            column = np.full(room, empty, dtype)
            old = getattr(self, name, None)
            if old is not None:
                column[: len(old)] = old
            return column

        #: Bit k of a slot's kinds: values of Kind k were seen, and were reported.
        self._kinds = grown("_kinds", np.uint8, 0)
        self._reported_kinds = grown("_reported_kinds", np.uint8, 0)
        self._minimum = grown("_minimum", np.float64, np.nan)
        self._maximum = grown("_maximum", np.float64, np.nan)
        self._reported_minimum = grown("_reported_minimum", np.float64, np.nan)
        self._reported_maximum = grown("_reported_maximum", np.float64, np.nan)
        self._reported_ns = grown("_reported_ns", np.int64, 0)
        #: The position of the last reading, whether only what was kept from before is known, and how often forgotten.
        self._position = grown("_position", np.uint64, 0)
        self._restored = grown("_restored", np.bool_, False)
        self._forgotten = grown("_forgotten", np.int64, 0)

    def make_room(self) -> None:
        """There may be more series and things now."""
        if self._series.count > len(self._kinds):
            self._room(max(self._series.count, 2 * len(self._kinds)))
        things = len(self._series.things)
        if things > len(self._passed):
            self._passed = np.concatenate((self._passed, np.zeros(things, np.bool_)))

    def note(self, batch: Batch, order: Ints, starts: Ints, *, restored: bool = False) -> None:
        """See a batch. `order` sorts its rows by slot; `starts` are the places in it where a slot begins.

        `restored`: it was kept from before. The registry is told in case that it never heard of a series; that does
        not change what it knows.
        """
        self.make_room()
        slots = batch.slots[order[starts]]
        kinds = batch.kinds[order]
        numbers = np.where(kinds == Kind.NUMBER, batch.numbers[order], np.nan)
        self._kinds[slots] |= np.bitwise_or.reduceat(np.left_shift(np.uint8(1), kinds), starts)
        self._minimum[slots] = np.fmin(self._minimum[slots], np.fmin.reduceat(numbers, starts))
        self._maximum[slots] = np.fmax(self._maximum[slots], np.fmax.reduceat(numbers, starts))
        self._position[slots] = np.maximum(self._position[slots], np.maximum.reduceat(batch.positions[order], starts))
        self._restored[slots] &= restored
        if restored:
            self._restored[slots] |= self._reported_kinds[slots] == 0

    def know_all(self) -> None:
        """The things seen so far are no news: they do not count against the bounds."""
        self._passed[: len(self._series.things)] = True

    def due(self, now_ns: int, *, last: bool = False) -> Report | None:
        """What the registry should hear of now, or None. `last`: also what would be told a little later."""
        self.make_room()
        count = self._series.count
        kinds = self._kinds[:count] & ~self._reported_kinds[:count]
        with np.errstate(invalid="ignore"):
            wider = (self._minimum[:count] < self._reported_minimum[:count]) | (
                self._maximum[:count] > self._reported_maximum[:count]
            )
        wider &= last | (now_ns - self._reported_ns[:count] >= WIDENING_EVERY_NS)
        slots = np.flatnonzero((kinds != 0) | wider)
        named = [(key, self._series.number_thing(key[0])) for key in self.events.waiting()]
        self.make_room()
        of_events = np.array([number for _, number in named], np.int64)
        admitted = self._admitted(np.concatenate((self._series.thing[slots], of_events)), now_ns)
        events = [key for (key, _), passed in zip(named, admitted[len(slots) :], strict=True) if passed][:REPORT_MAX]
        slots = slots[admitted[: len(slots)]][:REPORT_MAX]
        if not len(slots) and not events:
            return None
        report = Report(
            [], slots, self._kinds[slots], self._minimum[slots], self._maximum[slots], self._forgotten[slots]
        )
        self._tell(report, kinds[slots])
        report.seen.extend(self.events.report(events))
        self._reported_ns[slots] = now_ns
        return report

    def _tell(self, report: Report, kinds: Any) -> None:
        """Put series into a report. `kinds` are those that are new."""
        things, properties, series = self._series.things, self._series.properties, self._series
        for slot, bits, low, high, position, restored in zip(
            report.slots.tolist(),
            kinds.tolist(),
            report.minimum.tolist(),
            report.maximum.tolist(),
            self._position[report.slots].tolist(),
            self._restored[report.slots].tolist(),
            strict=True,
        ):
            thing, property_ = things[series.thing[slot]], properties[series.property[slot]]
            for kind in Kind:
                # Without a new kind it is the range that is news.
                if bits >> kind & 1 or (not bits and kind == Kind.NUMBER):
                    ranged = kind == Kind.NUMBER and not restored
                    seen = SeenProperty(thing, property_, kind, position=position)
                    report.seen.append(seen._replace(minimum=low, maximum=high) if ranged else seen)

    def _admitted(self, things: Ints, now_ns: int) -> Any:
        """Of each of these numbers of things whether it may be passed on within the bounds."""
        if now_ns - self._minute_began_ns >= _MINUTE_NS:
            self._minute_began_ns, self._in_minute = now_ns, 0
        known = things != NONE
        new = np.unique(things[known & ~self._passed[things]])
        room = min(NEW_THINGS_PER_MINUTE_MAX - self._in_minute, NEW_THINGS_MAX - self._new_things)
        self._passed[new[:room]] = True
        admitted = min(room, len(new))
        self._in_minute += admitted
        self._new_things += admitted
        self._waiting = len(new) - admitted
        return known & self._passed[things]

    def confirm(self, report: Report) -> None:
        """The registry has a report; what it did not get is due again, and so is what was forgotten since."""
        still = self._forgotten[report.slots] == report.forgotten
        slots = report.slots[still]
        self._reported_kinds[slots] = report.kinds[still]
        self._reported_minimum[slots] = report.minimum[still]
        self._reported_maximum[slots] = report.maximum[still]
        self._restored[slots] = False
        self.events.confirm()

    def forget(self, slots: Ints, position: int) -> None:
        """Take series as never seen, since they were removed at a position; what came later is news."""
        self.make_room()
        later = self._position[slots] > np.uint64(position)
        self._kinds[slots] = np.where(later, np.left_shift(np.uint8(1), self._series.kind[slots]), 0)
        self._reported_kinds[slots] = 0
        self._forgotten[slots] += 1
        self._restored[slots] = False
        numbers = np.where(later & (self._series.kind[slots] == Kind.NUMBER), self._series.number[slots], np.nan)
        self._minimum[slots] = self._maximum[slots] = numbers
        self._reported_minimum[slots] = self._reported_maximum[slots] = np.nan

    def state(self) -> DiscoveryState:
        return DiscoveryState(self._new_things, self._waiting)
