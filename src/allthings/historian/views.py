"""What a stranger's SQL sees: views with plain columns, each row exact at any time.

`readings` has one row a reading. `readings_1m`, `readings_1h`, `readings_1d` have one row per series and bucket, from
the rollups where these are up to date and from the readings where not (see `buckets.py`). `events` has one row an
event.
"""

# ruff: noqa: S608 - statements are put together from constants.

from __future__ import annotations

from typing import Final

from allthings.historian.buckets import DAYS, HOURS, MINUTES, Level, Span, bucket
from allthings.historian.engine import Engine

_READINGS: Final = "SELECT thing, property, time, number, text, received, position FROM readings FINAL"
_EVENTS: Final = "SELECT thing, name, time, received, data, position FROM events FINAL"


def _rollup(level: Level) -> str:
    partials = Span().partials(level, level.every_ns)
    of = bucket("bucket", level.every_ns)
    return (
        f"SELECT thing, property, {of} AS time, sum(n) AS count, min(low) AS min, max(high) AS max, "
        "sum(total) AS sum, sum(total) / sum(numbers) AS avg, "
        "(argMin(first_value, first_time) AS f).1 AS first, (argMax(last_value, last_time) AS l).1 AS last, "
        "f.2 AS first_text, l.2 AS last_text "
        f"FROM ({partials}) GROUP BY thing, property, time"
    )


#: The table's name in SQL, and the view that it is.
VIEWS: Final = {
    "readings": ("sql_readings", _READINGS),
    "readings_1m": ("sql_readings_1m", _rollup(MINUTES)),
    "readings_1h": ("sql_readings_1h", _rollup(HOURS)),
    "readings_1d": ("sql_readings_1d", _rollup(DAYS)),
    "events": ("sql_events", _EVENTS),
}


def create(engine: Engine) -> None:
    """Make the views as this version has them."""
    for name, select in VIEWS.values():
        engine.work.run(f"CREATE OR REPLACE VIEW {name} AS {select}")
