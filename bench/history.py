"""Reading from a large history: 100 million readings of 5,000 series, and a few things with a year of readings.

    python -m bench.history [--rows 100000000] [--data DIR]

The readings are put into a data directory while the platform is down; then `allthings up` serves them, and one client
asks over HTTP, one request at a time. Charts of a year are asked for as the console does, while devices publish, those
in the charts among them. With `--data` the directory is kept and used again by the next run; its readings end when it
was made, and the platform drops them after 90 days.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
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
READINGS_PER_BLOCK = 500_000
BLOCKS_PER_ROLLUP = 10
CONSUMED_WITHIN_S = 60.0
REQUESTS = 200
WARM_UP_REQUESTS = 20
SERIES_P95_MS_MAX = 60.0
CURRENT_P95_MS_MAX = 100.0
#: Of the 300 ms from a click to the drawn chart the console takes the rest.
CHART_P95_MS_MAX = 200.0
YEAR_NS = 365 * DAY_NS
YEAR_THINGS = 4
#: While charts are asked for: as many devices, of which the first have the years, send so many values a second in all.
LIVE_DEVICES = 1_000
LIVE_CONNECTIONS = 50
LIVE_VALUES_PER_S = 10_000
LIVE_SECONDS_MAX = 600.0
_LOADED = "loaded.json"
_TIME = pa.timestamp("ns", tz="UTC")


class Source:
    """Blocks as live devices would fill them: every series once a minute, each thing at a place of its own."""

    def __init__(self, things: list[str], start_ns: int, moments: int) -> None:
        self._start_ns = start_ns
        self.moments = moments
        self._series = len(things) * len(SOURCES)
        self._things = pa.array(things)
        self._properties = pa.array(list(SOURCES))
        self._values = [
            np.array([float(row[column]) for row in recordings.rows(name, [column])])
            for name, column in SOURCES.values()
        ]
        self._thing = np.repeat(np.arange(len(things), dtype=np.int32), len(SOURCES))
        self._property = np.tile(np.arange(len(SOURCES), dtype=np.int32), len(things))

    @property
    def rows(self) -> int:
        return self.moments * self._series

    @property
    def blocks(self) -> int:
        return -(-self.rows // READINGS_PER_BLOCK)

    def decoded(self, sequence: int, number: int) -> Decoded:
        """The readings of one of its blocks, as block `sequence` of a log would have brought them."""
        most = READINGS_PER_BLOCK // self._series
        moments = min(most, self.moments - number * most)
        minutes, rows = number * most + np.arange(moments), moments * self._series
        # A thing's place is 97 rows after that of the thing before, so that no two series look alike.
        place = minutes[:, None] + np.arange(len(self._things))[None, :] * 97
        numbers = np.stack([values[place % len(values)] for values in self._values], axis=2).ravel()
        times = np.repeat(self._start_ns + minutes * EVERY_NS, self._series)
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
    moments, end_ns = rows // SERIES, now_ns() // DAY_NS * DAY_NS
    start_ns = end_ns - moments * EVERY_NS
    sources = (
        Source([f"year-{number}" for number in range(YEAR_THINGS)], end_ns - YEAR_NS, YEAR_NS // EVERY_NS),
        Source([f"history-{number:04d}" for number in range(THINGS)], start_ns, moments),
    )
    blocks = [(source, number) for source in sources for number in range(source.blocks)]
    with Platform(data) as platform:  # it makes the folders and their settings as it wants them
        # A history must not know more blocks than its log has.
        load.publish(load.Load(1, 1, 0.0, count=len(blocks), topic="bench/history"), platform.mqtt_port, [b"a block"])
        Api(platform).wait_consumed(CONSUMED_WITHIN_S)
    history = History(f"chdb://{data / 'history'}")
    history.open()
    began, done, total = time.monotonic(), 0, sum(source.rows for source in sources)
    for sequence, (source, number) in enumerate(blocks, 1):
        decoded = source.decoded(sequence, number)
        history.insert([decoded])
        done += decoded.messages
        if not sequence % BLOCKS_PER_ROLLUP or sequence == len(blocks):
            history.rollup(block.position(sequence + 1, 0) - 1)
            report.say(f"{done:,} of {total:,} readings, {done / (time.monotonic() - began):,.0f}/s with rollups")
    history.close()
    loaded = {"start_ns": start_ns, "moments": moments}
    marker.write_text(json.dumps(loaded))
    return loaded


def measure(arguments: argparse.Namespace) -> report.Report:
    """Load, start, ask."""
    with tempfile.TemporaryDirectory(prefix="bench-history-") as folder:
        data = arguments.data or Path(folder) / "data"
        loaded = fill(data, arguments.rows)
        made = report.Report(
            f"History: {loaded['moments'] * SERIES:,} readings of {SERIES:,} series",
            ["request", "rows", "bytes", "p50 ms", "p95 ms", "p99 ms", "max ms"],
            notes=[
                "One client, one request at a time, over HTTP on loopback; the disk's pages are in memory. "
                f"Charts: while {LIVE_DEVICES:,} devices send {LIVE_VALUES_PER_S:,} values a second."
            ],
        )
        with Platform(data) as platform, httpx.Client(base_url=platform.http, timeout=60) as client:
            _ask(made, client, loaded, np.random.default_rng(arguments.seed))
            _ask_for_charts(made, client, platform, np.random.default_rng(arguments.seed))
    return made


def _ask(made: report.Report, client: httpx.Client, loaded: dict[str, int], random: np.random.Generator) -> None:
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
    made.figures.update({"series_p95_ms": day, "current_p95_ms": now})


def _ask_for_charts(made: report.Report, client: httpx.Client, platform: Platform, random: np.random.Generator) -> None:
    """The question of the console for a chart of a year, 1,000 pixels wide."""

    def year(properties: int) -> httpx.Response:
        end_ns = now_ns() // DAY_NS * DAY_NS + 30 * DAY_NS
        parameters = {
            "thing": f"year-{random.integers(YEAR_THINGS)}",
            "property": list(random.choice(list(SOURCES), properties, replace=False)),
            "from": format_time(end_ns - YEAR_NS - 60 * DAY_NS),
            "to": format_time(end_ns),
            "every": "12h",
            "aggregate": "avg,min,max,count",
        }
        return client.get("/api/history", params=parameters)

    sending = load.Run(live_load(), platform.mqtt_port, live_payloads()).start()
    try:
        for properties in (1, len(SOURCES)):
            name = f"a year of {properties} propert{'y' if properties == 1 else 'ies'}, json"
            took = _time(made, name, partial(year, properties), _json_rows)
            made.below(f"{name}, p95 ms", took, CHART_P95_MS_MAX)
            made.figures[f"year_{properties}_p95_ms"] = took
    finally:
        sending.stop()


def live_load() -> load.Load:
    """Devices that send all properties of the ones with a year of readings; these are the first of them."""
    return load.Load(
        connections=LIVE_CONNECTIONS,
        seconds=LIVE_SECONDS_MAX,
        rate=LIVE_VALUES_PER_S / len(SOURCES),
        topic="things/year-%d/properties",
        topics=LIVE_DEVICES // LIVE_CONNECTIONS,
    )


def live_payloads() -> list[bytes]:
    """What they send."""
    columns = [[row[column] for row in recordings.rows(name, [column])] for name, column in SOURCES.values()]
    return [json.dumps(dict(zip(SOURCES, values, strict=True))).encode() for values in zip(*columns, strict=False)]


def _json_rows(answer: httpx.Response) -> int:
    return sum(len(series["points"]) for series in answer.json()["series"])


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
    # A bucket may begin meanwhile.
    if not min(counts) or max(counts) - min(counts) > max(counts) // 50:
        raise RuntimeError(f"{name}: the answers differ in size: {sorted(counts)}")
    p50, p95, p99, most = (float(np.percentile(took_ms, each)) for each in (50, 95, 99, 100))
    made.rows.append([name, max(counts), len(answers[-1].content), p50, p95, p99, most])
    return p95


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000, help="readings in all")
    parser.add_argument("--data", type=Path, help="a data directory that is kept and used again")
    parser.add_argument("--seed", type=int, default=1, help="of the series and days asked for")
    report.run(parser.parse_args(), measure)
