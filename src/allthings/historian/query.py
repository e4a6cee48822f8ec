"""What can be asked of the history, and what is answered."""

from __future__ import annotations

import base64
import binascii
import difflib
import math
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from allthings.historian import settings
from allthings.historian.aggregates import AGGREGATES, is_aggregate
from allthings.historian.errors import QueryLimitError, QueryRefusedError
from allthings.things.calendar import WIDTH_NS_MAX, Every, Grid
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN
from allthings.things.zones import UTC

#: Not an aggregate of a bucket but a choice of readings that keeps a plot's shape.
LTTB: Final = "lttb"


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A question about series over a span of time.

    `series` names (thing, property); property None is all properties of the thing. `start_ns` is inclusive and
    `end_ns` exclusive, None is unbounded. One of three forms is answered:

    - neither `every` nor `aggregates`: the readings;
    - `aggregates` (see aggregates.py), per bucket of `every` in a time zone (see things/calendar.py), or over the
      whole span when `every` is None. Three of them ask how long a value held: `now_ns` is up to when that is known
      (None: up to the end of the span), `hold_ns` how long a reading tells at most (None: until the next one),
      `rollover` the number at which a counter begins again at 0, `state` the one whose duration is asked for;
    - `points`: about so many points of each series, chosen so that a plot keeps its shape.

    At most `limit` rows of each series are answered; `after` is the `next` of the answer before. `typed` asks for the
    same columns whatever kinds of values there are, see Series.
    """

    series: tuple[tuple[str, str | None], ...]
    start_ns: int | None = None
    end_ns: int | None = None
    every: Every | None = None
    aggregates: tuple[str, ...] = ()
    points: int | None = None
    limit: int = settings.ROWS_PER_SERIES_DEFAULT
    after: str | None = None
    descending: bool = False
    typed: bool = False
    zone: str = UTC
    now_ns: int | None = None
    hold_ns: int | None = None
    rollover: float | None = None
    state: str | None = None

    def check(self) -> None:
        """Raises QueryRefusedError, QueryLimitError or BadInputError when this cannot be asked."""
        if not self.series:
            raise QueryRefusedError("name at least one thing")
        if len(self.series) > settings.SERIES_PER_QUERY_MAX:
            raise QueryLimitError(f"one query may name at most {settings.SERIES_PER_QUERY_MAX} series")
        self._check_buckets()
        if self.points is not None and (self.aggregates or self.every):
            raise QueryRefusedError("lttb goes with no other aggregate and without `every`")
        if self.points is not None and not 3 <= self.points <= settings.POINTS_MAX:
            raise QueryRefusedError(f"points are 3 to {settings.POINTS_MAX}")
        if not 1 <= self.limit <= settings.ROWS_PER_SERIES_MAX:
            raise QueryRefusedError(f"a limit is 1 to {settings.ROWS_PER_SERIES_MAX}")
        for bound in (self.start_ns, self.end_ns):
            if bound is not None and not TIME_NS_MIN <= bound <= TIME_NS_MAX:
                raise QueryRefusedError("times are from 1900 to 2262")
        if self.start_ns is not None and self.end_ns is not None and self.start_ns > self.end_ns:
            raise QueryRefusedError("the span ends before it begins: `from` is after `to`")

    def _check_buckets(self) -> None:
        for name in self.aggregates:
            if not is_aggregate(name):
                others = difflib.get_close_matches(name, (*AGGREGATES, LTTB), 1)
                hint = f"did you mean {others[0]}?" if others else f"there are {', '.join((*AGGREGATES, LTTB))}"
                raise QueryRefusedError(f"{name[:64]!r} is no aggregate; {hint}")
        if self.every is not None and not 1 <= self.every.count <= WIDTH_NS_MAX:
            raise QueryRefusedError("`every` has to be longer than nothing")
        if self.every is not None and self.every.nominal_ns > WIDTH_NS_MAX:
            raise QueryRefusedError("`every` is at most 200 years")
        if self.every is not None and not self.aggregates:
            raise QueryRefusedError("`every` needs an aggregate")
        if self.every is not None:
            Grid(self.every, self.zone)
        for name, given, needs in (
            ("hold", self.hold_ns, ("twa", "duration")),
            ("rollover", self.rollover, ("increase",)),
            ("state", self.state, ("duration",)),
        ):
            if given is not None and not any(each in self.aggregates for each in needs):
                raise QueryRefusedError(f"`{name}` goes with aggregate={' or '.join(needs)}")
        if self.hold_ns is not None and self.hold_ns < 1:
            raise QueryRefusedError("`hold` has to be longer than nothing")
        if self.rollover is not None and not 0 < self.rollover < math.inf:
            raise QueryRefusedError("`rollover` is a number above 0")

    def span(self) -> tuple[int | None, int | None]:
        """Start and end with `after` taken into account (the latter is a bound, exclusive)."""
        if self.after is None:
            return self.start_ns, self.end_ns
        bound = read_token(self.after)
        if self.descending:
            return self.start_ns, bound if self.end_ns is None else min(bound, self.end_ns)
        return bound if self.start_ns is None else max(bound, self.start_ns), self.end_ns


@dataclass(frozen=True, slots=True)
class Series:
    """The answer for one series.

    `table` has the columns `time` (timestamp[ns, UTC]) and `value`, or `time` and one column per aggregate. A value
    column (`value`, `first`, `last`) is float64, bool or string; when the series holds JSON, or values of several
    kinds, it is a string of JSON text and the field's metadata says `allthings: json`; so is `duration`, with an
    object of states and seconds. In a typed answer there are three columns in place of a value, which
    `values.typed_names` names: float64, string, and uint8 (see `Kind`). `next` is the same for all series of an answer:
    None when there is no more.
    """

    thing: str
    property: str
    table: pa.Table
    next: str | None = None


def make_token(bound_ns: int) -> str:
    """An opaque `next`: the next page begins at this time (or, descending, ends before it)."""
    return base64.urlsafe_b64encode(b"t" + bound_ns.to_bytes(9, "big", signed=True)).decode()


def read_token(token: str) -> int:
    try:
        data = base64.urlsafe_b64decode(token.encode())
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != 10 or data[:1] != b"t":
        raise QueryRefusedError("`next` is not from an answer of ours")
    return int.from_bytes(data[1:], "big", signed=True)
