"""What is missing and what is lost, in words."""

from __future__ import annotations

from typing import Final

from allthings.historian.ledger import Loss, Missing
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, format_time

_NAMES: Final = {
    "readings": "readings",
    "readings_1m": "minutes",
    "readings_1h": "hours",
    "readings_1d": "days",
    "events": "events",
    "rejects": "rejects",
}


def name(table: str) -> str:
    """What people call the rows of a table."""
    return _NAMES.get(table, table)


def missing(each: Missing) -> str:
    """For example "3 parts of the minutes with 1,200 rows, of 2026-03-01 … to …, are damaged"."""
    when = span(each.start_ns, each.end_ns)
    if not each.parts:
        rows = f"{each.rows:,} " if each.rows else ""
        return f"{rows}{name(each.table)}, {when}: {each.reason}"
    parts = "one part" if each.parts == 1 else f"{each.parts:,} parts"
    rows = f" with {each.rows:,} rows" if each.rows else ""
    return f"{parts} of {name(each.table)}{rows}, {when}: {each.reason}"


def loss(each: Loss) -> str:
    """For example "about 2,020 readings of pump-7, pump-8 and 3 more things, from … to …"."""
    if each.table.startswith("readings_"):
        number = f"{name(each.table)} that count about {each.rows:,} readings"
    else:
        number = f"about {each.rows:,} {name(each.table)}" if each.rows else name(each.table)
    things = ", ".join(each.things) + (f" and {each.more:,} more things" if each.more else "")
    return f"{number}{f' of {things}' if things else ''}, {span(each.start_ns, each.end_ns)}"


def ends(each: Loss) -> tuple[str, str]:
    """The beginning and the end of a loss; empty where it is not known."""
    start = format_time(each.start_ns) if each.start_ns > TIME_NS_MIN else ""
    return start, format_time(each.end_ns) if each.end_ns < TIME_NS_MAX else ""


def span(start_ns: int, end_ns: int) -> str:
    """A stretch of time, by the second."""
    if (start_ns <= TIME_NS_MIN and end_ns >= TIME_NS_MAX) or start_ns == end_ns:
        return "of all times"
    start = format_time(start_ns // NS_PER_S * NS_PER_S)
    end = format_time(-(-end_ns // NS_PER_S) * NS_PER_S)
    if start_ns <= TIME_NS_MIN:
        return f"before {end}"
    return f"from {start} to {end}" if end_ns < TIME_NS_MAX else f"from {start} on"
