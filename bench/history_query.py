"""Ask a history that history_load.py has filled, and say how long answers take.

    python -m bench.history_query --dsn chdb:///tmp/history --series 5000

Adds ten series of one value a minute over a year when these are missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import psutil
import pyarrow as pa

from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.log import block
from allthings.readings.decoded import DECODED, Decoded
from allthings.things.calendar import Every
from bench.history_load import PROPERTIES, START_NS, S

DAY = 86_400 * S
YEAR = 365 * DAY
_TIME = pa.timestamp("ns", tz="UTC")


def add_years(history: History, count: int = 10) -> None:
    if history.current([("year-0", "power")]).num_rows:
        return
    sequence = block.sequence(history.newest_position())
    times = START_NS - YEAR + np.arange(525_600) * 60 * S
    for i in range(count):
        sequence += 1
        n = len(times)
        values = np.sin(np.arange(n) / 5000) * 100 + np.random.default_rng(i).normal(0, 5, n)
        readings = pa.RecordBatch.from_arrays(
            [
                pa.array([f"year-{i}"] * n).dictionary_encode(),
                pa.array(["power"] * n).dictionary_encode(),
                pa.array(times).cast(_TIME),
                pa.array(np.round(values, 1)),
                pa.nulls(n, pa.string()),
                pa.array(np.zeros(n, np.uint8)),
                pa.array(times).cast(_TIME),
                pa.array(np.arange(n, dtype=np.uint64) + np.uint64(block.position(sequence, 0))),
            ],
            schema=DECODED,
        )
        history.insert([Decoded(sequence, readings)])
    history.rollup(block.position(sequence + 1, 0) - 1)


def measure(name: str, ask: Callable[[int], int], times: int) -> None:
    ask(0)
    took = []
    rows = 0
    for i in range(times):
        start = time.perf_counter()
        rows = ask(i + 1)
        took.append((time.perf_counter() - start) * 1000)
    print(
        f"{name}: median {np.median(took):.1f} ms, p95 {np.percentile(took, 95):.1f} ms, "
        f"least {min(took):.1f} ms ({rows} rows)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--series", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=40)
    options = parser.parse_args()
    history = History(options.dsn)
    start = time.perf_counter()
    history.open()
    print(f"open: {time.perf_counter() - start:.2f} s")
    add_years(history)
    rng = np.random.default_rng(5)
    things = options.series // PROPERTIES

    def rows(query: HistoryQuery) -> int:
        return sum(series.table.num_rows for series in history.history(query))

    def one_day(_: int) -> int:
        key = (f"thing-{rng.integers(things):05d}", f"property_{rng.integers(PROPERTIES)}")
        begin = START_NS + int(rng.integers(1, 18)) * DAY
        return rows(HistoryQuery((key,), begin, begin + DAY))

    def hours(_: int) -> int:
        key = (f"thing-{rng.integers(things):05d}", f"property_{rng.integers(PROPERTIES)}")
        return rows(HistoryQuery((key,), None, None, Every(3600 * S), ("avg", "min", "max")))

    def whole_thing(_: int) -> int:
        begin = START_NS + int(rng.integers(1, 18)) * DAY
        return rows(HistoryQuery(((f"thing-{rng.integers(things):05d}", None),), begin, begin + DAY))

    def chart(i: int) -> int:
        return rows(HistoryQuery(((f"year-{i % 10}", "power"),), START_NS - YEAR, START_NS, points=1000))

    def days(i: int) -> int:
        return rows(HistoryQuery(((f"year-{i % 10}", "power"),), START_NS - YEAR, START_NS, Every(DAY), ("avg", "max")))

    names = [f"thing-{i:05d}" for i in range(min(things, 1000))]
    some = [(name, f"property_{i}") for name in names for i in range(PROPERTIES)]
    measure("one series of one day, readings", one_day, options.times)
    measure("one thing (5 series) of one day, readings", whole_thing, options.times)
    measure("one series by the hour, all time", hours, options.times)
    measure("one year in 1,000 points (lttb)", chart, options.times)
    measure("one year by the day", days, options.times)
    measure(f"current values of {len(names)} things", lambda _: history.current(some).num_rows, options.times)
    measure("current values of all", lambda _: history.current().num_rows, 5)
    measure(
        "sql: count of one thing",
        lambda _: len(history.sql("SELECT count() FROM readings WHERE thing = 'thing-00007'").rows),
        options.times,
    )
    measure(
        "sql: one day of readings_1h",
        lambda _: len(
            history.sql("SELECT * FROM readings_1h WHERE thing = 'thing-00007' AND time < '2026-01-02'").rows
        ),
        options.times,
    )
    measure("sql: count of all", lambda _: len(history.sql("SELECT count() FROM readings").rows), 3)
    print(f"memory after the questions: {psutil.Process().memory_info().rss >> 20} MB")
    time.sleep(20)
    print(f"20 s later: {psutil.Process().memory_info().rss >> 20} MB")
    history.close()


if __name__ == "__main__":
    main()
