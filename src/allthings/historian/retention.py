"""What is kept how long.

Readings, minutes, and hours with days are each kept for a number of days by the reading's own time. What goes first
can always be told from what stays: readings are dropped only when minutes, hours and days reflect them, and minutes
are kept at least as long as readings, hours as minutes.

Readings without a rule of their own are dropped by the whole month, when all of it is past its time: that costs
nothing, and keeps up to a month more than promised. Rules of single properties go by the day.

What arrives for a time whose readings have gone is still counted in its minute, hour and day (see `rollups.py`); it
is kept as a reading until the next run.
"""

# ruff: noqa: S608 - statements are put together from constants and integers; values are bound parameters.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from allthings.historian import buckets, settings
from allthings.historian.engine import Engine
from allthings.historian.errors import QueryRefusedError
from allthings.historian.settings import NS_PER_DAY
from allthings.things.times import TIME_NS_MIN

DAYS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days readings, minutes, and hours with days are kept; None is for ever."""

    raw_days: int | None = 90
    minutes_days: int | None = 730
    hours_days: int | None = None

    def check(self) -> None:
        """Raises QueryRefusedError unless 1 <= raw <= minutes <= hours."""
        bounds = [DAYS_MAX if days is None else days for days in (self.raw_days, self.minutes_days, self.hours_days)]
        if bounds != sorted(bounds) or bounds[0] < 1 or bounds[-1] > DAYS_MAX:
            raise QueryRefusedError(
                f"readings, minutes and hours are kept for 1 to {DAYS_MAX} days, each at least as long as the one "
                f"before; not {self.raw_days}, {self.minutes_days}, {self.hours_days}"
            )


@dataclass(frozen=True, slots=True)
class Retention:
    """The rule for all, and rules by `property` or, which goes first, by `thing/property`."""

    default: Keep = field(default_factory=Keep)
    rules: Mapping[str, Keep] = field(default_factory=dict)

    def check(self) -> None:
        for keep in (self.default, *self.rules.values()):
            keep.check()

    def rule(self, thing: str, name: str) -> Keep | None:
        """The special rule of a series, None when it has none."""
        return self.rules.get(f"{thing}/{name}") or self.rules.get(name)


@dataclass(frozen=True, slots=True)
class RetentionReport:
    """How many months were dropped at once, and how many deletions within months were begun."""

    months: int
    deletions: int


class _Part(NamedTuple):
    """A table that things expire in. Only monthly ones can be dropped by the month."""

    table: str
    column: str
    days: Callable[[Keep], int | None]
    floor: str | None
    monthly: bool


class _Group(NamedTuple):
    """Series with one rule: what lies before `cut_ns` has expired. `condition` says so, with bound parameters."""

    cut_ns: int
    condition: str
    parameters: dict[str, Any]


_PARTS: Final = (
    _Part("readings", "time", lambda keep: keep.raw_days, "raw", monthly=True),
    _Part("readings_1m", "bucket", lambda keep: keep.minutes_days, "minutes", monthly=True),
    _Part("readings_1h", "bucket", lambda keep: keep.hours_days, None, monthly=False),
    _Part("readings_1d", "bucket", lambda keep: keep.hours_days, None, monthly=False),
)


class Retaining:
    """Drops what has expired. `bring_up` reflects all readings in the rollups, `hurry` lets merges end soon."""

    def __init__(self, engine: Engine, bring_up: Callable[[], None], hurry: Callable[[], None]) -> None:
        self._inserting = engine.inserting
        self._work = engine.work
        self._bring_up = bring_up
        self._hurry = hurry

    def run(self, now_ns: int, retention: Retention) -> RetentionReport:
        """Drop what has expired by now. A rule that is made longer brings nothing back."""
        retention.check()
        # Most of the work goes first, so that inserts wait for a moment only.
        self._bring_up()
        months = deletions = 0
        with self._inserting:
            # A month is dropped when the merges under way have ended; inserts wait for that.
            self._hurry()
            self._bring_up()
            special = self._special(retention)
            for part in _PARTS:
                for group in _groups(part, now_ns, retention.default, special):
                    if not self._any(part, group):
                        continue
                    if part.floor:
                        self._raise_floors(part, group)
                    if part.monthly and not special:
                        months += self._drop_months(part, group)
                    else:
                        self._delete(part.table, group.condition, group.parameters)
                        deletions += 1
            deletions += self._forget("rejects", "received", now_ns - settings.REJECTS_KEEP_DAYS * NS_PER_DAY)
            deletions += self._forget("events", "time", now_ns - settings.EVENTS_KEEP_DAYS * NS_PER_DAY)
        return RetentionReport(months, deletions)

    def _special(self, retention: Retention) -> dict[Keep, list[tuple[str, str]]]:
        """The series that have a rule of their own."""
        special: dict[Keep, list[tuple[str, str]]] = {}
        if retention.rules:
            for thing, name in self._work.rows("SELECT DISTINCT thing, property FROM newest"):
                rule = retention.rule(thing, name)
                if rule is not None:
                    special.setdefault(rule, []).append((thing, name))
        return special

    def _any(self, part: _Part, group: _Group) -> bool:
        statement = f"SELECT count() FROM (SELECT 1 FROM {part.table} WHERE {group.condition} LIMIT 1)"
        return bool(self._work.value(statement, group.parameters))

    def _raise_floors(self, part: _Part, group: _Group) -> None:
        """Keep for each series that something goes of it. The raw floor is never below the one of minutes."""
        new = buckets.instant(group.cut_ns)
        minutes = f"greatest(old.minutes, {new if part.floor == 'minutes' else 'old.minutes'})"
        self._work.run(
            "INSERT INTO floors (thing, property, raw, minutes, version) "
            f"SELECT s.thing, s.property, greatest(if(old.thing = '', {new}, old.raw), {new}), "
            f"if(old.thing = '', {new if part.floor == 'minutes' else buckets.instant(TIME_NS_MIN)}, {minutes}), "
            f"old.version + 1 FROM (SELECT DISTINCT thing, property FROM {part.table} WHERE {group.condition}) AS s "
            "LEFT ANY JOIN (SELECT * FROM floors FINAL) AS old "
            "ON old.thing = s.thing AND old.property = s.property",
            group.parameters,
        )

    def _drop_months(self, part: _Part, group: _Group) -> int:
        """Whole months, which takes no time. The group is all series, and its cut the first of a month."""
        rows = self._work.rows(
            f"SELECT DISTINCT toYYYYMM({part.column}) FROM {part.table} WHERE {group.condition}", group.parameters
        )
        for (month,) in rows:
            self._work.run(f"ALTER TABLE {part.table} DROP PARTITION {int(month)}")
        return len(rows)

    def _delete(self, table: str, condition: str, parameters: Mapping[str, Any]) -> None:
        """Begin to delete rows. The engine goes on by itself, also after a restart; later rows are not touched."""
        self._work.run(f"ALTER TABLE {table} DELETE WHERE {condition}", parameters)

    def _forget(self, table: str, column: str, before_ns: int) -> int:
        condition = f"{column} < {buckets.instant(before_ns)}"
        if not self._work.value(f"SELECT count() FROM {table} WHERE {condition}"):
            return 0
        self._delete(table, condition, {})
        return 1


def _groups(part: _Part, now_ns: int, default: Keep, special: Mapping[Keep, list[tuple[str, str]]]) -> Iterator[_Group]:
    """The series with one rule each, and from when on theirs is kept."""
    keys = [key for group in special.values() for key in group]
    other = " AND (thing, property) NOT IN {keys:Array(Tuple(String, String))}" if keys else ""
    if (days := part.days(default)) is not None:
        cut_ns = _midnight(now_ns, days, "M")
        yield _Group(cut_ns, f"{part.column} < {buckets.instant(cut_ns)}{other}", {"keys": keys} if keys else {})
    for keep, group in special.items():
        if (days := part.days(keep)) is not None:
            cut_ns = _midnight(now_ns, days, "D")
            own = "(thing, property) IN {keys:Array(Tuple(String, String))}"
            yield _Group(cut_ns, f"{part.column} < {buckets.instant(cut_ns)} AND {own}", {"keys": group})


def _midnight(now_ns: int, days: int, unit: Literal["D", "M"]) -> int:
    """The beginning (UTC) of the day or month that was so many days ago; not before 1900."""
    day = np.datetime64(now_ns // NS_PER_DAY - days, "D")
    start = day.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)
    return max(TIME_NS_MIN, int(start) * NS_PER_DAY)
