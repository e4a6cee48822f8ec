"""How long a value held: averages weighted with time, rises of counters, durations of states.

A reading tells the value from its time on, until the next reading of its series, or for `hold_ns` if that is
shorter; and never beyond `known_until`, which is the present. The last reading before the first bucket tells what held
when it began. Time of which no reading tells counts for nothing.

- `twa` sums value x time and divides it by the time. A value that is no number counts for nothing from its time on.
- `increase` sums the differences from each number to the next, each at the time of the latter; so that buckets
  together have what the counter has risen from the first to the last. Where it falls, it was set back to 0, and has
  risen since by what it shows; or, with `rollover`, it went through that number to 0 if this makes it rise by less
  than half of it. Values that are no numbers are passed over.
- `duration` is the time of each value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_NOTHING: Final = float("nan")


class Before(NamedTuple):
    """The last reading before the first bucket: its number (NaN: it is none), its value as a state's name, and the
    last number that there was (NaN: none), which may be of an earlier reading."""

    time_ns: int
    number: float
    state: str
    counter: float


@dataclass(frozen=True, slots=True)
class Rules:
    """See HistoryQuery. Of `states` only `state` is kept when one is given."""

    known_until_ns: int
    hold_ns: int | None = None
    rollover: float | None = None
    state: str | None = None
    states: bool = False


class Holding:
    """The buckets of one series between edges, filled with readings in order of time, some at a time."""

    def __init__(self, edges: Times, before: Before | None, rules: Rules) -> None:
        """`edges` are times (ns), sorted; the first is where counting begins, the last where it ends."""
        count = len(edges) - 1
        self._edges, self._rules = edges, rules
        self._time: int | None = None
        self._number, self._code, self._counter = _NOTHING, -1, _NOTHING
        #: Nanoseconds of each bucket in which a reading told the value; readings in it; nanoseconds of each state.
        self.held: Times = np.zeros(count, np.int64)
        self.readings: Times = np.zeros(count, np.int64)
        self.states: dict[str, Times] = {}
        self._codes: list[Times] = []
        self._weight, self._weighted = np.zeros(count), np.zeros(count)
        self._risen, self._differences = np.zeros(count), np.zeros(count, np.int64)
        #: The bucket of the first number of all.
        self._counted_from = count
        if before is not None:
            self._take_before(before)

    def _take_before(self, before: Before) -> None:
        self._time, self._number, self._counter = before.time_ns, before.number, before.counter
        if self._rules.states:
            self._code = self._codes_of([before.state])[0]
        if not np.isnan(before.counter):
            self._counted_from = -1

    def take(self, times: Times, numbers: Floats, states: tuple[Times, list[str]] | None = None) -> None:
        """Readings from the first edge to the last: numbers (NaN where the value is none); and, with `states`, for
        each reading the place of its name in a list of names."""
        if not len(times):
            return
        self.readings += np.bincount(np.searchsorted(self._edges, times, "right") - 1, minlength=len(self.held))
        self._count(times, numbers)
        codes = np.full(len(times), -1, np.int64)
        if states is not None:
            codes = self._codes_of(states[1])[states[0]]
        if self._time is not None:
            times = np.concatenate(([self._time], times))
            numbers, codes = np.concatenate(([self._number], numbers)), np.concatenate(([self._code], codes))
        self._hold(times[:-1], times[1:], numbers[:-1], codes[:-1])
        self._time, self._number, self._code = int(times[-1]), float(numbers[-1]), int(codes[-1])

    def finish(self) -> None:
        """There are no more readings; the last one holds to the end."""
        if self._time is not None:
            one = np.array([self._time])
            end = np.array([int(self._edges[-1])])
            self._hold(one, end, np.array([self._number]), np.array([self._code]))
        self._time = None

    def _hold(self, starts: Times, ends: Times, numbers: Floats, codes: Times) -> None:
        """Values that held from and to these times."""
        if self._rules.hold_ns is not None:
            ends = np.minimum(ends, starts + self._rules.hold_ns)
        starts = np.maximum(starts, self._edges[0])
        ends = np.minimum(ends, min(self._rules.known_until_ns, int(self._edges[-1])))
        kept = ends > starts
        starts, ends, numbers, codes = starts[kept], ends[kept], numbers[kept], codes[kept]
        value, bucket, width = _cut(starts, ends, self._edges)
        np.add.at(self.held, bucket, width)
        number = numbers[value]
        known = ~np.isnan(number)
        count = len(self.held)
        self._weight += np.bincount(bucket[known], width[known], count)
        self._weighted += np.bincount(bucket[known], width[known] * number[known], count)
        for code in np.unique(codes):
            if code >= 0:
                of = codes[value] == code
                np.add.at(self._codes[code], bucket[of], width[of])

    def _count(self, times: Times, numbers: Floats) -> None:
        """Add up what a counter has risen."""
        known = ~np.isnan(numbers)
        times, numbers = times[known], numbers[known]
        if not len(times):
            return
        bucket = np.searchsorted(self._edges, times, "right") - 1
        if np.isnan(self._counter):
            self._counted_from = int(bucket[0])
            earlier, later, bucket = numbers[:-1], numbers[1:], bucket[1:]
        else:
            earlier, later = np.concatenate(([self._counter], numbers[:-1])), numbers
        self._counter = float(numbers[-1])
        risen = later - earlier
        fell = risen < 0
        risen[fell] = np.maximum(later[fell], 0)
        if (rollover := self._rules.rollover) is not None:
            through = later - earlier + rollover
            rolled = fell & (later >= 0) & (through >= 0) & (through < rollover / 2)
            risen[rolled] = through[rolled]
        count = len(self.held)
        self._risen += np.bincount(bucket, risen, count)
        self._differences += np.bincount(bucket, minlength=count)

    def _codes_of(self, names: list[str]) -> Times:
        """The number of each name; new ones get one."""
        wanted = self._rules.state
        for name in names:
            if name not in self.states and (wanted is None or name == wanted):
                self.states[name] = np.zeros(len(self.held), np.int64)
                self._codes.append(self.states[name])
        places = {name: place for place, name in enumerate(self.states)}
        # A reading whose place is -1 has none of these names.
        return np.array([*(places.get(name, -1) for name in names), -1], np.int64)

    # Answers, one for each bucket

    def time_weighted(self) -> Floats:
        """NaN where no number held."""
        average: Floats = np.full(len(self.held), _NOTHING)
        np.divide(self._weighted, self._weight, out=average, where=self._weight > 0)
        return average

    def increase(self) -> Floats:
        """NaN before the counter was known, and in the bucket of its very first reading when that is alone there."""
        bucket = np.arange(len(self.held))
        known = (bucket > self._counted_from) | (self._differences > 0)
        return np.where(known, self._risen, _NOTHING)


def _cut(starts: Times, ends: Times, edges: Times) -> tuple[Times, Times, Times]:
    """Stretches of time cut at edges: of each piece which stretch it is of, its bucket, and its length."""
    first = np.searchsorted(edges, starts, "right") - 1
    pieces = np.searchsorted(edges, ends, "left") - first
    stretch = np.repeat(np.arange(len(starts)), pieces)
    within = np.arange(len(stretch)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    bucket = first[stretch] + within
    width = np.minimum(ends[stretch], edges[bucket + 1]) - np.maximum(starts[stretch], edges[bucket])
    return stretch, bucket, width
