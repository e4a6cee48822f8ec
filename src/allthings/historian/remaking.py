"""Make rollups anew for a stretch of time, whatever they were: after something of them, or of readings, was lost.

Minutes are made of readings, hours of minutes, days of hours, each in pieces that are bounded. A bucket whose source
has expired stays as it is.
"""

# ruff: noqa: S608 - statements are put together from constants and integers.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from allthings.historian import newest, settings
from allthings.historian.buckets import DAYS, FROM_READINGS, HOURS, MERGED, MINUTES, PARTIAL, Level, bucket, instant
from allthings.historian.engine import Engine, Handles
from allthings.historian.settings import NS_PER_DAY, NS_PER_HOUR
from allthings.historian.stretches import Stretch
from allthings.things.times import TIME_NS_MIN


def remake(handles: Handles, span: Stretch, *, floors: bool, goes_on: Callable[[], bool]) -> bool:
    """Make all levels anew in whole days around a span. False when `goes_on` said that it has to end."""
    start, end = span[0] // NS_PER_DAY * NS_PER_DAY, -(-span[1] // NS_PER_DAY) * NS_PER_DAY
    for level, pieces in (
        (MINUTES, _days("readings", "time", settings.REMAKE_DAY_ROWS_MAX)),
        (HOURS, _days(MINUTES.table, "bucket", 10 * settings.REMAKE_DAY_ROWS_MAX)),
        (DAYS, _days(HOURS.table, "bucket", 10 * settings.REMAKE_DAY_ROWS_MAX)),
    ):
        for piece in pieces(handles, (start, end)):
            if not goes_on():
                return False
            _make(handles, level, piece, floors)
    return True


def _days(table: str, column: str, rows_max: int) -> Callable[[Handles, Stretch], Iterator[Stretch]]:
    """The days of a span that a table has rows of, each as a whole, or as hours when it has many."""

    def days(handles: Handles, span: Stretch) -> Iterator[Stretch]:
        rows = handles.rows(
            f"SELECT {bucket(column, NS_PER_DAY)} AS day, count() FROM {table} WHERE {_within(column, span)} "
            "GROUP BY day ORDER BY day"
        )
        for day, count in rows:
            # A day is not made of its hours one by one.
            step = NS_PER_HOUR if count > rows_max and table != HOURS.table else NS_PER_DAY
            for start in range(day, day + NS_PER_DAY, step):
                yield start, start + step

    return days


def _make(handles: Handles, level: Level, span: Stretch, floors: bool) -> None:
    """Write a level's buckets of a span within a day. Of rows with one version the later one counts."""
    source, column, made = {
        MINUTES: ("readings", "time", FROM_READINGS),
        HOURS: (MINUTES.table, "bucket", MERGED),
        DAYS: (HOURS.table, "bucket", MERGED),
    }[level]
    # Floors are midnights.
    kept = (
        f" AND (thing, property) NOT IN (SELECT thing, property FROM floors FINAL WHERE {level.source_floor} > "
        f"{instant(span[0])})"
        if floors and level.source_floor
        else ""
    )
    handles.run(
        f"INSERT INTO {level.table} (thing, property, bucket, {PARTIAL}, version) "
        f"SELECT thing, property, {bucket(column, level.every_ns)} AS start, {made}, {level.rolled_up} "
        f"FROM {source} FINAL WHERE {_within(column, span)}{kept} GROUP BY thing, property, start"
    )


def remake_newest(handles: Handles, span: Stretch | None) -> None:
    """Say which readings are the newest of each series, and when things were heard of: of the readings in a span, or
    (None) of all, also of series whose readings have expired, as far as days tell."""
    where = _within("time", span) if span else "1"
    handles.run(f"INSERT INTO newest ({newest.COLUMNS}) {newest.made_of(where)}")
    handles.run(f"INSERT INTO heard (thing, received, position) {newest.heard_in(where)}")
    if span is None:
        handles.run(
            f"INSERT INTO newest ({newest.COLUMNS}) SELECT thing, property, 0, found.1, found.1, found.2.1, found.2.2, "
            "found.2.3, found.1, found.3 FROM ("
            "SELECT thing, property, argMax(tuple(last_time, last_value, version), last_time) AS found "
            "FROM readings_1d FINAL WHERE (thing, property) NOT IN (SELECT thing, property FROM newest) "
            "GROUP BY thing, property)"
        )


def remake_floors(handles: Handles) -> None:
    """Tell from what there is where each series' readings and minutes begin, after `floors` was lost."""
    day = f"toIntervalNanosecond({NS_PER_DAY})"
    days = "SELECT thing, property, min(bucket) AS first, max(bucket) AS last FROM readings_1d GROUP BY thing, property"
    finer = [
        f"LEFT ANY JOIN (SELECT thing, property, min({bucket(column, NS_PER_DAY)}) AS first FROM {table} "
        f"GROUP BY thing, property) AS {name} ON {name}.thing = d.thing AND {name}.property = d.property"
        for name, table, column in (("m", "readings_1m", "bucket"), ("r", "readings", "time"))
    ]
    handles.run(
        "INSERT INTO floors (thing, property, raw, minutes, version) "
        "SELECT thing, property, greatest(raw, minutes), minutes, 1 FROM ("
        "SELECT d.thing AS thing, d.property AS property, d.first AS days, "
        f"if(m.thing = '', d.last + {day}, m.first) AS minutes, if(r.thing = '', d.last + {day}, r.first) AS raw "
        f"FROM ({days}) AS d {' '.join(finer)}) WHERE greatest(raw, minutes) > days"
    )


def raise_floors(engine: Engine, raw: Mapping[tuple[str, str], int], minutes: Mapping[tuple[str, str], int]) -> None:
    """Take readings and minutes of these series before these midnights as expired."""
    keys = sorted(raw)
    old = {
        (thing, name): (before, before_minutes, int(version))
        for thing, name, before, before_minutes, version in engine.work.rows(
            "SELECT thing, property, raw, minutes, version FROM floors FINAL"
        )
    }
    rows = [
        (max(raw[key], was[0]), max(minutes.get(key, TIME_NS_MIN), was[1]), was[2] + 1)
        for key in keys
        for was in [old.get(key, (TIME_NS_MIN, TIME_NS_MIN, 0))]
    ]
    times = pa.timestamp("ns", tz="UTC")
    columns = [
        pa.array([thing for thing, _ in keys]),
        pa.array([name for _, name in keys]),
        pa.array([row[0] for row in rows], pa.int64()).cast(times),
        pa.array([row[1] for row in rows], pa.int64()).cast(times),
        pa.array([row[2] for row in rows], pa.uint64()),
    ]
    engine.work.insert("floors", pa.table(columns, ["thing", "property", "raw", "minutes", "version"]))


def _within(column: str, span: Stretch) -> str:
    return f"{column} >= {instant(span[0])} AND {column} < {instant(span[1])}"
