"""Reading from a large history: 100 million readings of 5,000 series.

    python -m bench.history [--rows 100000000] [--data DIR]

The readings are put into a data directory while the platform is down; then `allthings up` serves them, and one client
asks over HTTP, one request at a time. With `--data` the directory is kept and used again by the next run; its readings
end when it was made, and the platform drops them after 90 days.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa

from allthings.historian.history import History
from allthings.log import block
from allthings.readings.decoded import DECODED, Decoded
from allthings.testing import recordings
from allthings.testing.platform import Platform
from allthings.things.times import NS_PER_S, format_time, now_ns
from allthings.things.types import Kind
from bench import load, report
from bench.api import Api

THINGS = 1_000
#: Property and where its values come from: recording and column.
SOURCES = {
    "temperature": ("node-1", "temperature"),
    "light": ("node-2", "light"),
    "sound": ("node-3", "sound"),
    "power": ("meter-electricity", "power"),
    "voltage": ("meter-electricity", "voltage"),
}
SERIES = THINGS * len(SOURCES)
EVERY_NS = 60 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
MOMENTS_PER_BLOCK = 100
BLOCKS_PER_ROLLUP = 10
CONSUMED_WITHIN_S = 60.0
REQUESTS = 200
WARM_UP_REQUESTS = 20
SERIES_P95_MS_MAX = 60.0
CURRENT_P95_MS_MAX = 100.0
_LOADED = "loaded.json"
_TIME = pa.timestamp("ns", tz="UTC")


class Source:
    """Blocks as live devices would fill them: every series once a minute, each thing at a place of its own."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._things = pa.array([f"history-{number:04d}" for number in range(THINGS)])
        self._properties = pa.array(list(SOURCES))
        self._values = [
            np.array([float(row[column]) for row in recordings.rows(name, [column])])
            for name, column in SOURCES.values()
        ]
        self._thing = np.repeat(np.arange(THINGS, dtype=np.int32), len(SOURCES))
        self._property = np.tile(np.arange(len(SOURCES), dtype=np.int32), THINGS)

    def decoded(self, sequence: int, first: int, moments: int) -> Decoded:
        """The readings of some minutes, as block `sequence` of a log would have brought them."""
        minutes, rows = first + np.arange(moments), moments * SERIES
        # A thing's place is 97 rows after that of the thing before, so that no two series look alike.
        place = minutes[:, None] + np.arange(THINGS)[None, :] * 97
        numbers = np.stack([values[place % len(values)] for values in self._values], axis=2).ravel()
        times = np.repeat(self._start_ns + minutes * EVERY_NS, SERIES)
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(np.tile(self._thing, moments)), self._things),
            pa.DictionaryArray.from_arrays(pa.array(np.tile(self._property, moments)), self._properties),
            pa.array(times).cast(_TIME),
            pa.array(numbers),
            pa.nulls(rows, pa.string()),
            pa.array(np.full(rows, int(Kind.NUMBER), np.uint8)),
            pa.array(times).cast(_TIME),
            pa.array(np.arange(rows, dtype=np.uint64) + np.uint64(block.position(sequence, 0))),
        ]
        return Decoded(sequence, pa.RecordBatch.from_arrays(columns, schema=DECODED), messages=rows)


def fill(data: Path, rows: int) -> dict[str, int]:
    """Fill a data directory unless it is filled with as many already; where its readings begin and how many minutes."""
    marker = data.with_name(f"{data.name}-{_LOADED}")
    if marker.exists():
        loaded = dict(json.loads(marker.read_text()))
        if loaded["moments"] == rows // SERIES:
            return loaded
    moments = rows // SERIES
    with Platform(data) as platform:  # it makes the folders and their settings as it wants them
        # A history must not know more blocks than its log has.
        blocks = load.Load(1, 1, 0.0, count=-(-moments // MOMENTS_PER_BLOCK), topic="bench/history")
        load.publish(blocks, platform.mqtt_port, [b"a block"])
        Api(platform).wait_consumed(CONSUMED_WITHIN_S)
    start_ns = now_ns() // DAY_NS * DAY_NS - moments * EVERY_NS
    source, history = Source(start_ns), History(f"chdb://{data / 'history'}")
    history.open()
    began = time.monotonic()
    for sequence, first in enumerate(range(0, moments, MOMENTS_PER_BLOCK), 1):
        history.insert([source.decoded(sequence, first, min(MOMENTS_PER_BLOCK, moments - first))])
        if not sequence % BLOCKS_PER_ROLLUP or first + MOMENTS_PER_BLOCK >= moments:
            history.rollup(block.position(sequence + 1, 0) - 1)
            done = min(first + MOMENTS_PER_BLOCK, moments) * SERIES
            report.say(f"{done:,} of {rows:,} readings, {done / (time.monotonic() - began):,.0f}/s with rollups")
    history.close()
    loaded = {"start_ns": start_ns, "moments": moments}
    marker.write_text(json.dumps(loaded))
    return loaded


def measure(arguments: argparse.Namespace) -> report.Report:
    """Load, start, ask."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as folder:
        data = arguments.data or Path(folder) / "data"
        loaded = fill(data, arguments.rows)
        with Platform(data) as platform, httpx.Client(base_url=platform.http, timeout=60) as client:
            return _ask(client, loaded, arguments)


def _ask(client: httpx.Client, loaded: dict[str, int], arguments: argparse.Namespace) -> report.Report:
    made = report.Report(
        f"History: {loaded['moments'] * SERIES:,} readings of {SERIES:,} series",
        ["request", "rows", "bytes", "p50 ms", "p95 ms", "p99 ms", "max ms"],
        notes=["One client, one request at a time, over HTTP on loopback; the disk's pages are in memory."],
    )
    random = np.random.default_rng(arguments.seed)

    def one_day() -> httpx.Response:
        first = int(random.integers(0, loaded["moments"] - DAY_NS // EVERY_NS))
        start_ns = loaded["start_ns"] + first * EVERY_NS
        parameters = {
            "thing": f"history-{random.integers(THINGS):04d}",
            "property": str(random.choice(list(SOURCES))),
            "from": format_time(start_ns),
            "to": format_time(start_ns + DAY_NS),
            "format": "arrow",
        }
        return client.get("/api/history", params=parameters)

    def current() -> httpx.Response:
        return client.get("/api/current")

    day = _time(made, "one series of one day, arrow", one_day, lambda answer: _arrow_rows(answer.content))
    now = _time(made, f"current values of {THINGS:,} things", current, lambda answer: len(answer.json()["values"]))
    made.below("one series of one day, p95 ms", day, SERIES_P95_MS_MAX)
    made.below(f"current values of {THINGS:,} things, p95 ms", now, CURRENT_P95_MS_MAX)
    made.figures = {"series_p95_ms": day, "current_p95_ms": now}
    return made


def _arrow_rows(data: bytes) -> int:
    with pa.ipc.open_stream(data) as reader:
        return int(reader.read_all().num_rows)


def _time(
    made: report.Report, name: str, ask: Callable[[], httpx.Response], rows: Callable[[httpx.Response], int]
) -> float:
    """Ask many times, add a row to the report, and give the 95th percentile in ms. Wrong answers end the run."""
    took_ms, answers = [], []
    for number in range(WARM_UP_REQUESTS + REQUESTS):
        started = time.perf_counter()
        answer = ask()
        if number >= WARM_UP_REQUESTS:
            took_ms.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
        answers.append(answer)
    counts = {rows(answer) for answer in answers}
    if len(counts) != 1:
        raise RuntimeError(f"{name}: the answers differ in size: {sorted(counts)}")
    p50, p95, p99, most = (float(np.percentile(took_ms, each)) for each in (50, 95, 99, 100))
    made.rows.append([name, counts.pop(), len(answers[-1].content), p50, p95, p99, most])
    return p95


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000, help="readings in all")
    parser.add_argument("--data", type=Path, help="a data directory that is kept and used again")
    parser.add_argument("--seed", type=int, default=1, help="of the series and days asked for")
    report.run(parser.parse_args(), measure)
