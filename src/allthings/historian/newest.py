"""The newest reading of each series, and when each thing was heard of last.

A reading whose time cannot be (`allthings.readings.clock`) is never the newest while there is a better one. So the
table `newest` has up to three rows a series, by their `standing`:

0. the newest reading with a time that can be;
1. of the others the newest by `rank`: by its time, but from a clock that is ahead by its receive time;
2. of clocks that are ahead the one with the greatest time, so that no reading lies after all of a series' rows.
"""

# ruff: noqa: S608 - statements are put together from constants; values are bound parameters.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from allthings.historian import buckets, settings
from allthings.historian.engine import Handles
from allthings.readings.clock import CLOCK_AHEAD_NS_MAX, CLOCK_NS_MIN
from allthings.registry import Removals

_READING: Final = "time, number, text, kind, received, position"
#: The columns of the table, as `made_of` gives them.
COLUMNS: Final = f"thing, property, standing, rank, {_READING}"
AHEAD: Final = f"toUnixTimestamp64Nano(time) - toUnixTimestamp64Nano(received) > {CLOCK_AHEAD_NS_MAX}"
WRONG: Final = f"(time < {buckets.instant(CLOCK_NS_MIN)} OR {AHEAD})"
RANK: Final = f"if({AHEAD}, received, time)"
#: What a reading's origin is: a message of its device, or an upload, which says nothing of how the device is.
FROM_DEVICE: Final = 0
FROM_UPLOAD: Final = 1


def made_of(condition: str) -> str:
    """A SELECT of what `newest` holds of the readings that fulfil a condition."""
    return " UNION ALL ".join(
        f"SELECT thing, property, standing, found.1 AS rank, {_members('found', 2)} FROM ("
        f"SELECT thing, property, {standing} AS standing, argMax(tuple({rank}, {_READING}), "
        f"tuple({rank}, time, position)) AS found FROM readings WHERE {condition}{only} "
        f"AND (thing, property, {standing}, time) IN ("
        f"SELECT thing, property, {standing} AS standing, argMax(time, tuple({rank}, time)) FROM readings "
        f"WHERE {condition}{only} GROUP BY thing, property, standing) GROUP BY thing, property, standing)"
        for standing, rank, only in ((f"toUInt8({WRONG})", RANK, ""), ("toUInt8(2)", "time", f" AND {AHEAD}"))
    )


def _members(name: str, first: int) -> str:
    return ", ".join(f"{name}.{first + place} AS {column}" for place, column in enumerate(_READING.split(", ")))


def newest(handles: Handles, series: Sequence[tuple[str, str]] | None) -> pa.Table:
    """One row per series: thing, property, time, number, text, kind, received, position; sorted by the first two.

    The row is the newest reading, as it was last corrected. `series` None is all of them.
    """
    if series is None:
        condition, parameters = "1", {}
    else:
        if not series:
            series = [("", "")]
        condition = "(thing, property) IN {series:Array(Tuple(String, String))}"
        parameters = {"series": [tuple(each) for each in series]}
    beyond = f"{condition} AND position > {buckets.MINUTES.rolled_up}"
    return _best(
        handles,
        f"SELECT {COLUMNS} FROM newest FINAL WHERE {condition} UNION ALL SELECT {COLUMNS} FROM ({made_of(beyond)})",
        parameters,
    )


def newest_beyond(handles: Handles, positions: Mapping[tuple[str, str], int]) -> pa.Table:
    """The same of these series, of each only what stands in the log behind a position."""
    tables = []
    keys = list(positions)
    for start in range(0, max(1, len(keys)), settings.KEYS_AT_ONCE):
        chunk = keys[start : start + settings.KEYS_AT_ONCE] or [("", "")]
        bounds = [(*key, positions.get(key, 0)) for key in chunk]
        condition = (
            "(thing, property) IN {series:Array(Tuple(String, String))} AND position > {least:UInt64} AND "
            "(thing, property, position) IN (SELECT thing, property, position FROM readings AS r INNER JOIN ("
            "SELECT one.1 AS of_thing, one.2 AS of_property, one.3 AS bound FROM ("
            "SELECT arrayJoin({bounds:Array(Tuple(String, String, UInt64))}) AS one)) AS removed "
            "ON r.thing = removed.of_thing AND r.property = removed.of_property "
            "WHERE (thing, property) IN {series:Array(Tuple(String, String))} AND position > {least:UInt64} "
            "AND position > removed.bound)"
        )
        parameters = {"series": chunk, "bounds": bounds, "least": min(bound for _, _, bound in bounds)}
        tables.append(_best(handles, made_of(condition), parameters))
    return pa.concat_tables(tables)


def not_removed(handles: Handles, table: pa.Table, removals: Removals) -> pa.Table:
    """Of what `newest` gives, the series as they are without what was removed: of some an older reading is the newest
    of those that came since, or there is none."""
    if not removals:
        return table
    keys = list(zip(table.column("thing").to_pylist(), table.column("property").to_pylist(), strict=True))
    bounds = [removals.of_property(*key) for key in keys]
    hidden = table.column("position").to_numpy() <= np.array(bounds, np.uint64)
    if not hidden.any():
        return table
    removed = {key: bound for key, bound, gone in zip(keys, bounds, hidden.tolist(), strict=True) if gone}
    return pa.concat_tables([table.filter(pa.array(~hidden)), newest_beyond(handles, removed)])


def _best(handles: Handles, rows: str, parameters: Mapping[str, Any]) -> pa.Table:
    """The best row of each series."""
    table = handles.arrow(
        f"SELECT thing, property, argMax(tuple({_READING}), tuple(standing = 0, rank, time, position)) AS found "
        f"FROM ({rows}) WHERE standing < 2 GROUP BY thing, property ORDER BY thing, property",
        parameters,
    )
    parts = table.column("found").combine_chunks()
    parts = parts if isinstance(parts, pa.StructArray) else parts.chunk(0)
    columns = dict(zip(_READING.split(", "), parts.flatten(), strict=True))
    return pa.table({"thing": table.column("thing"), "property": table.column("property"), **columns})


# When things were heard of


def heard_in(condition: str) -> str:
    """A SELECT of what `heard` holds of the readings that fulfil a condition: uploads say nothing of devices."""
    return (
        "SELECT thing, max(received) AS last, argMax(position, received) AS place FROM readings "
        f"WHERE {condition} AND origin = {FROM_DEVICE} GROUP BY thing"
    )


def heard(handles: Handles) -> list[tuple[str, int, int]]:
    """Every thing that ever sent a reading or an event: when its last message was received, and its position."""
    return handles.rows(
        "SELECT thing, max(last), argMax(place, last) FROM ("
        "SELECT thing, received AS last, position AS place FROM heard FINAL UNION ALL "
        f"{heard_in(f'position > {buckets.MINUTES.rolled_up}')} UNION ALL "
        "SELECT thing, max(received) AS last, argMax(position, received) AS place FROM events GROUP BY thing"
        ") GROUP BY thing"
    )


def event_names(handles: Handles) -> list[tuple[str, str, int]]:
    """Every event that a thing has sent, with the position of the last of its name."""
    return handles.rows("SELECT thing, name, max(position) FROM events GROUP BY thing, name ORDER BY thing, name")
