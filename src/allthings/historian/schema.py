"""The tables, and how an older database becomes a newer one.

`readings`
    One row a reading. The key is (thing, property, time), the version is the log position: of several rows with one
    key the one with the greatest position is the reading. Rows with the same key may both be on disk until the engine
    merges them, so every read says FINAL (or drops the lesser versions itself). `origin` is 0 for a message of a
    device, 1 for an upload.
`readings_1m`, `readings_1h`, `readings_1d`
    One row per series and bucket; `version` is the position up to which the row reflects the readings. See
    `rollups.py`.
`newest`
    The newest reading of each series as far as the rollups are, apart for those whose time cannot be. See `newest.py`.
`heard`
    When the last message of each thing was received, as far as the rollups are.
`progress`
    Up to which position the readings are in minutes, hours and days.
`anew`
    The minutes that a step of a rollup has to make anew. Only for that step, in memory.
`floors`
    Of each series that something was dropped of, the times before which readings and minutes are gone.

On disk when reported: `fsync_after_insert` and `fsync_part_directory` cover inserts (the engine then syncs each file,
the part's directory, and the table's directory after the rename), the `…_to_fsync_after_merge` settings cover
merged parts, since the parts that they replace are deleted later.
"""

# ruff: noqa: S608 - statements are put together from constants.

from __future__ import annotations

from typing import Final

from allthings.historian import newest
from allthings.historian.engine import Engine
from allthings.historian.errors import HistorianUnavailableError

VERSION: Final = 4

_DURABLE: Final = (
    "fsync_after_insert = 1, fsync_part_directory = 1, "
    "min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1"
)

_SERIES: Final = """
    thing LowCardinality(String) CODEC(ZSTD(1)),
    property LowCardinality(String) CODEC(ZSTD(1)),"""

_VALUE: Final = """
    number Nullable(Float64) CODEC(ZSTD(1)),
    text Nullable(String) CODEC(ZSTD(1)),
    kind UInt8 CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    position UInt64 CODEC(Delta, ZSTD(1))"""

# Small granules: a series' minute or hour lies within one, and most questions are about one series.
_READINGS: Final = f"""CREATE TABLE readings ({_SERIES}
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),{_VALUE},
    INDEX by_position position TYPE minmax GRANULARITY 4
) ENGINE = ReplacingMergeTree(position)
PARTITION BY toYYYYMM(time)
ORDER BY (thing, property, time)
SETTINGS index_granularity = 2048, {_DURABLE}"""

#: Of the first versions.
_LATEST: Final = f"""CREATE TABLE latest ({_SERIES}
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),{_VALUE}
) ENGINE = ReplacingMergeTree(time)
ORDER BY (thing, property)
SETTINGS index_granularity = 1024, {_DURABLE}"""

_NEWEST: Final = f"""CREATE TABLE newest ({_SERIES}
    standing UInt8 CODEC(ZSTD(1)),
    rank DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),{_VALUE}
) ENGINE = ReplacingMergeTree(rank)
ORDER BY (thing, property, standing)
SETTINGS index_granularity = 1024, {_DURABLE}"""

#: Of a series whose newest reading has a time that cannot be, the better ones are looked for.
_NEWEST_OF_BEFORE: Final = (
    f"INSERT INTO newest ({newest.COLUMNS}) "
    f"SELECT thing, property, {newest.WRONG}, {newest.RANK}, time, number, text, kind, received, position "
    f"FROM latest FINAL UNION ALL SELECT {newest.COLUMNS} FROM ("
    f"{newest.made_of(f'(thing, property) IN (SELECT thing, property FROM latest FINAL WHERE {newest.WRONG})')})"
)

_HEARD: Final = f"""CREATE TABLE heard (
    thing LowCardinality(String) CODEC(ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    position UInt64 CODEC(Delta, ZSTD(1))
) ENGINE = ReplacingMergeTree(received)
ORDER BY thing
SETTINGS {_DURABLE}"""

_HEARD_BEFORE: Final = (
    "INSERT INTO heard (thing, received, position) "
    "SELECT thing, max(received), argMax(position, received) FROM latest FINAL GROUP BY thing"
)


def _rollup(table: str, partition: str) -> str:
    return f"""CREATE TABLE {table} ({_SERIES}
    bucket DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    n UInt64 CODEC(T64, ZSTD(1)),
    numbers UInt64 CODEC(T64, ZSTD(1)),
    low Nullable(Float64) CODEC(ZSTD(1)),
    high Nullable(Float64) CODEC(ZSTD(1)),
    total Nullable(Float64) CODEC(ZSTD(1)),
    first_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    first_value Tuple(Nullable(Float64), Nullable(String), UInt8) CODEC(ZSTD(1)),
    last_time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    last_value Tuple(Nullable(Float64), Nullable(String), UInt8) CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_version version TYPE minmax GRANULARITY 4
) ENGINE = ReplacingMergeTree(version)
PARTITION BY {partition}
ORDER BY (thing, property, bucket)
SETTINGS index_granularity = 512, {_DURABLE}"""


_REJECTS: Final = f"""CREATE TABLE rejects (
    position UInt64 CODEC(Delta, ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    client String CODEC(ZSTD(1)),
    topic String CODEC(ZSTD(1)),
    reason String CODEC(ZSTD(1)),
    payload String CODEC(ZSTD(3)),
    resolved UInt8 CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1))
) ENGINE = ReplacingMergeTree(version)
ORDER BY position
SETTINGS index_granularity = 256, {_DURABLE}"""

_EVENTS: Final = f"""CREATE TABLE events (
    thing LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    position UInt64 CODEC(Delta, ZSTD(1)),
    received DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),
    data String CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (thing, time, name, position)
SETTINGS index_granularity = 1024, {_DURABLE}"""

_PROGRESS: Final = f"""CREATE TABLE progress (
    what LowCardinality(String),
    position UInt64
) ENGINE = ReplacingMergeTree(position)
ORDER BY what
SETTINGS {_DURABLE}"""

_FLOORS: Final = f"""CREATE TABLE floors (
    thing LowCardinality(String),
    property LowCardinality(String),
    raw DateTime64(9, 'UTC'),
    minutes DateTime64(9, 'UTC'),
    version UInt64
) ENGINE = ReplacingMergeTree(version)
ORDER BY (thing, property)
SETTINGS {_DURABLE}"""

_ANEW: Final = """CREATE TABLE anew (
    thing LowCardinality(String),
    property LowCardinality(String),
    bucket DateTime64(9, 'UTC')
) ENGINE = Memory"""

#: Statements that lead from version n - 1 to n. Never edited once released; a change is a new step.
STEPS: Final[dict[int, tuple[str, ...]]] = {
    1: (
        _READINGS,
        _rollup("readings_1m", "toYYYYMM(bucket)"),
        _rollup("readings_1h", "toYear(bucket)"),
        _rollup("readings_1d", "toYear(bucket)"),
        _LATEST,
        _REJECTS,
        _EVENTS,
        _PROGRESS,
        _FLOORS,
        _ANEW,
    ),
    # Readings come as a small part every moment. The engine would put each few of them together with all that came
    # within the last minutes, which writes every reading anew again and again and slows down all else meanwhile.
    2: ("ALTER TABLE readings MODIFY SETTING merge_selector_base = 10",),
    # A clock that is ahead must not hide what comes after it, and an upload does not mean that a device is there.
    3: (
        "ALTER TABLE readings ADD COLUMN IF NOT EXISTS origin UInt8 CODEC(ZSTD(1))",
        _LATEST,
        _NEWEST,
        _NEWEST_OF_BEFORE,
        _HEARD,
        _HEARD_BEFORE,
    ),
    4: ("DROP TABLE IF EXISTS latest",),
}

#: All our tables, by name.
TABLES: Final = frozenset(
    {"versions"}
    | {
        statement.split()[2]
        for statements in STEPS.values()
        for statement in statements
        if statement.startswith("CREATE TABLE ") and statement != _LATEST
    }
)

_VERSIONS: Final = f"""CREATE TABLE IF NOT EXISTS versions (
    version UInt32
) ENGINE = MergeTree ORDER BY version SETTINGS {_DURABLE}"""


def upgrade(engine: Engine) -> None:
    """Bring the tables to VERSION. A step that was cut off in the middle is done again."""
    work = engine.work
    work.run(_VERSIONS)
    found = int(work.value("SELECT max(version) FROM versions"))
    if found > VERSION:
        raise HistorianUnavailableError(
            f"the history was written by a newer allthings (its version is {found}, this program knows {VERSION}); "
            "install that one"
        )
    for version in range(found + 1, VERSION + 1):
        for statement in STEPS[version]:
            work.run(statement.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1))
        work.run("INSERT INTO versions VALUES ({version:UInt32})", {"version": version})
