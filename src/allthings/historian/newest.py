"""The newest reading of each series."""

# ruff: noqa: S608 - statements are put together from constants; values are bound parameters.

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from allthings.historian import buckets
from allthings.historian.engine import Handles

_COLUMNS = "thing, property, time, number, text, kind, received, position"


def newest(handles: Handles, series: Sequence[tuple[str, str]] | None) -> pa.Table:
    """One row per series: thing, property, time, number, text, kind, received, position; sorted by the first two.

    The row is the reading with the greatest time, as it was last corrected. `series` None is all of them.
    """
    if series is None:
        condition, parameters = "1", {}
    else:
        if not series:
            series = [("", "")]
        condition = "(thing, property) IN {series:Array(Tuple(String, String))}"
        parameters = {"series": [tuple(each) for each in series]}
    beyond = f"{condition} AND position > {buckets.MINUTES.rolled_up}"
    value = "argMax(tuple(time, number, text, kind, received, position), tuple(time, position)) AS newest"
    table = handles.arrow(
        f"SELECT thing, property, {value} FROM ("
        f"SELECT {_COLUMNS} FROM latest FINAL WHERE {condition} UNION ALL "
        f"SELECT {_COLUMNS} FROM readings WHERE {beyond} AND (thing, property, time) IN ("
        f"SELECT thing, property, max(time) FROM readings WHERE {beyond} GROUP BY thing, property)"
        ") GROUP BY thing, property ORDER BY thing, property",
        parameters,
    )
    parts = table.column("newest").combine_chunks()
    parts = parts if isinstance(parts, pa.StructArray) else parts.chunk(0)
    columns = dict(zip(_COLUMNS.split(", ")[2:], parts.flatten(), strict=True))
    return pa.table({"thing": table.column("thing"), "property": table.column("property"), **columns})
