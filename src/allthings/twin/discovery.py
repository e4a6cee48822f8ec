"""What devices send that may be unknown: new series, new kinds of values, wider ranges, on the way to the registry.

Everything here is bounded against a device (or an attacker) that makes up names: the twin bounds the series, and of
new things only so many are passed on in a minute and in all. The others wait; their readings are kept all the same.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from allthings.registry import SeenProperty
from allthings.things.times import NS_PER_S
from allthings.things.types import Kind
from allthings.twin.series import Batch, Ints, SeriesTable
from allthings.twin.settings import (
    NEW_THINGS_MAX,
    NEW_THINGS_PER_MINUTE_MAX,
    REPORT_MAX,
    WIDENING_EVERY_NS,
)

_MINUTE_NS: Final = 60 * NS_PER_S


class Report(NamedTuple):
    """Series to be told to the registry; confirm it when the registry has them."""

    seen: list[SeenProperty]
    slots: Ints
    kinds: Any
    minimum: Any
    maximum: Any


class DiscoveryState(msgspec.Struct, frozen=True):
    """New things passed on since the start, and new things that wait for the next minute or for good."""

    passed: int
    waiting: int


class Discovery:
    """Columns over the slots of a series table."""

    def __init__(self, series: SeriesTable) -> None:
        self._series = series
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

    def note(self, batch: Batch, order: Ints, starts: Ints) -> None:
        """See a batch. `order` sorts its rows by slot; `starts` are the places in it where a slot begins."""
        if self._series.count > len(self._kinds):
            self._room(max(self._series.count, 2 * len(self._kinds)))
        things = len(self._series.things)
        if things > len(self._passed):
            self._passed = np.concatenate((self._passed, np.zeros(things, np.bool_)))
        slots = batch.slots[order[starts]]
        kinds = batch.kinds[order]
        numbers = np.where(kinds == Kind.NUMBER, batch.numbers[order], np.nan)
        self._kinds[slots] |= np.bitwise_or.reduceat(np.left_shift(np.uint8(1), kinds), starts)
        self._minimum[slots] = np.fmin(self._minimum[slots], np.fmin.reduceat(numbers, starts))
        self._maximum[slots] = np.fmax(self._maximum[slots], np.fmax.reduceat(numbers, starts))

    def know_all(self) -> None:
        """The things seen so far are no news: they do not count against the bounds."""
        self._passed[: len(self._series.things)] = True

    def due(self, now_ns: int) -> Report | None:
        """What the registry should hear of now, or None."""
        count = self._series.count
        kinds = self._kinds[:count] & ~self._reported_kinds[:count]
        with np.errstate(invalid="ignore"):
            wider = (self._minimum[:count] < self._reported_minimum[:count]) | (
                self._maximum[:count] > self._reported_maximum[:count]
            )
        wider &= now_ns - self._reported_ns[:count] >= WIDENING_EVERY_NS
        slots = self._admitted(np.flatnonzero((kinds != 0) | wider), now_ns)[:REPORT_MAX]
        if not len(slots):
            return None
        report = Report([], slots, self._kinds[slots], self._minimum[slots], self._maximum[slots])
        things, properties, series = self._series.things, self._series.properties, self._series
        for slot, bits, low, high in zip(
            slots.tolist(), kinds[slots].tolist(), report.minimum.tolist(), report.maximum.tolist(), strict=True
        ):
            thing, property_ = things[series.thing[slot]], properties[series.property[slot]]
            for kind in Kind:
                # Without a new kind it is the range that is news.
                if bits >> kind & 1 or (not bits and kind == Kind.NUMBER):
                    range_ = (low, high) if kind == Kind.NUMBER else (None, None)
                    report.seen.append(SeenProperty(thing, property_, kind, *range_))
        self._reported_ns[slots] = now_ns
        return report

    def _admitted(self, slots: Ints, now_ns: int) -> Ints:
        """The slots whose things may be passed on within the bounds."""
        if now_ns - self._minute_began_ns >= _MINUTE_NS:
            self._minute_began_ns, self._in_minute = now_ns, 0
        things = self._series.thing[slots]
        new = np.unique(things[~self._passed[things]])
        room = min(NEW_THINGS_PER_MINUTE_MAX - self._in_minute, NEW_THINGS_MAX - self._new_things)
        self._passed[new[:room]] = True
        admitted = min(room, len(new))
        self._in_minute += admitted
        self._new_things += admitted
        self._waiting = len(new) - admitted
        found: Ints = slots[self._passed[things]]
        return found

    def confirm(self, report: Report) -> None:
        """The registry has a report; what it did not get is due again."""
        slots = report.slots
        self._reported_kinds[slots] = report.kinds
        self._reported_minimum[slots] = report.minimum
        self._reported_maximum[slots] = report.maximum

    def forget(self, slots: Ints) -> None:
        """Take series as never seen, since their thing was removed."""
        self._kinds[slots] = self._reported_kinds[slots] = 0
        for column in (self._minimum, self._maximum, self._reported_minimum, self._reported_maximum):
            column[slots] = np.nan

    def state(self) -> DiscoveryState:
        return DiscoveryState(self._new_things, self._waiting)
