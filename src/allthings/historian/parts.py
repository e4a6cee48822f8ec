"""The parts of the tables as the engine has them: which there are, which are damaged, and putting those aside."""

# ruff: noqa: S608 - statements are put together from constants and names that the engine gave.

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from allthings.historian.engine import Engine, Handles
from allthings.historian.engine_errors import DAMAGE_CODES
from allthings.historian.ledger import Part
from allthings.historian.schema import TABLES
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN

#: What an engine's parts are called, so that their names can stand in a statement.
_NAME: Final = re.compile(r"[0-9a-zA-Z_-]{1,200}")
#: Times of parts are 32-bit seconds: those of parts outside of them are not known.
_SECONDS_MAX: Final = 2**32 - 1


class Damage(NamedTuple):
    """A part that cannot be read, what the engine says of it, and under which name it is put aside."""

    table: str
    name: str
    why: str
    detached: str = ""


def active(handles: Handles) -> list[Part]:
    """The parts that there are, from what the engine knows of them: no data is read."""
    rows = handles.rows(
        "SELECT table, name, partition_id, min_block_number, max_block_number, rows, hash_of_all_files, "
        "toInt64(min_time) AS start, toInt64(max_time) AS end FROM system.parts "
        "WHERE active AND database = currentDatabase()"
    )
    return [
        Part(table, name, partition, first, last, count, digest, *_times(table, partition, start, end))
        for table, name, partition, first, last, count, digest, start, end in rows
    ]


def broken(handles: Handles) -> list[Damage]:
    """The parts that the engine has put aside by itself when it began, since they could not be loaded."""
    rows = handles.rows(
        "SELECT table, name, coalesce(reason, '') FROM system.detached_parts "
        "WHERE database = currentDatabase() AND startsWith(name, 'broken')"
    )
    return [Damage(table, name.removeprefix("broken-on-start_"), reason, name) for table, name, reason in rows]


def damaged(engine: Engine) -> list[Damage]:
    """Read all parts through, and give those whose files are not what was written. Takes long on a large history."""
    found = []
    for table in tables(engine.work):
        rows = engine.work.rows(f"CHECK TABLE {table} SETTINGS check_query_single_value_result = 0")
        found += [Damage(table, str(name), str(why)) for name, passed, why in rows if not passed]
    return found


def tables(handles: Handles) -> list[str]:
    """Those of our tables that keep parts."""
    rows = handles.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(engine, 'MergeTree') "
        "ORDER BY total_bytes, name"
    )
    return [name for (name,) in rows if name in TABLES]


def put_aside(engine: Engine, found: Iterable[Damage]) -> None:
    """Take damaged parts out of their tables. Their files stay, in the table's folder `detached`."""
    for table, name, *_ in found:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no part's name")
        engine.work.run(f"ALTER TABLE {table} DETACH PART '{name}'")


def _times(table: str, partition: str, start: int, end: int) -> tuple[int, int]:
    """The stretch of time that a part is about: from its times where these are known, else from its partition's."""
    first, last = partition_times(partition)
    if start <= 0 or end <= 0 or end >= _SECONDS_MAX:
        return first, last
    return max(first, start * NS_PER_S), min(last, (end + 1) * NS_PER_S)


def partition_times(partition: str) -> tuple[int, int]:
    """The stretch of time of a partition named after a year or a month; all times for another."""
    if not re.fullmatch(r"[0-9]{4}|[0-9]{6}", partition):
        return TIME_NS_MIN, TIME_NS_MAX
    months = int(partition[:4]) * 12 + (int(partition[4:]) - 1 if len(partition) == 6 else 0) - 1970 * 12
    ends = np.array([months, months + (1 if len(partition) == 6 else 12)], "datetime64[M]")
    bounds = (ends.astype("datetime64[s]").astype(np.int64) * NS_PER_S).tolist()
    return max(TIME_NS_MIN, bounds[0]), min(TIME_NS_MAX, bounds[1])


def progress(handles: Handles) -> dict[str, int]:
    """How far each level of the rollups is."""
    rows = handles.rows("SELECT what, max(position) FROM progress GROUP BY what")
    return {str(what): int(position) for what, position in rows}


def restore_progress(engine: Engine, positions: dict[str, int]) -> None:
    """Say again how far levels are, whose rows in `progress` were lost."""
    if positions:
        columns = [pa.array(list(positions)), pa.array(list(positions.values()), pa.uint64())]
        engine.work.insert("progress", pa.table(columns, ["what", "position"]))


def changing(handles: Handles) -> bool:
    """Whether a deletion is under way."""
    return bool(
        handles.value("SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done")
    )


def errors_met(handles: Handles) -> int:
    """How often the engine has failed with one of DAMAGE_CODES since it began, for whomever."""
    codes = ", ".join(map(str, sorted(DAMAGE_CODES)))
    return int(handles.value(f"SELECT sum(value) FROM system.errors WHERE code IN ({codes})"))
