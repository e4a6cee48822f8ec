"""Load readings through History.insert and say how fast: rows a second, latency of an insert, rollups, memory.

python -m bench.history_load --dsn chdb:///tmp/history --rows 100000000 --series 5000
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import psutil
import pyarrow as pa

from allthings.historian.history import History
from allthings.log import block
from allthings.readings.decoded import DECODED, Decoded

S = 1_000_000_000
PROPERTIES = 5
#: 2026-01-01 00:00:00 UTC.
START_NS = 1_767_225_600 * S
EVERY_NS = 86_400_000_000
_TIME = pa.timestamp("ns", tz="UTC")


class Source:
    """Blocks as live devices would send them: each series in turn, then the next moment."""

    def __init__(self, series: int, every_ns: int = EVERY_NS, start_ns: int = START_NS) -> None:
        self.series, self.every_ns, self.start_ns = series, every_ns, start_ns
        things = series // PROPERTIES
        self.things = pa.array([f"thing-{i:05d}" for i in range(things)])
        self.properties = pa.array([f"property_{i}" for i in range(PROPERTIES)])
        self.thing = np.repeat(np.arange(things, dtype=np.int32), PROPERTIES)
        self.property = np.tile(np.arange(PROPERTIES, dtype=np.int32), things)
        self.level = np.zeros(series)
        self.random = np.random.default_rng(1)

    def block(self, sequence: int, first_moment: int, moments: int) -> Decoded:
        n = moments * self.series
        steps = self.random.normal(0, 1, (moments, self.series)).cumsum(axis=0) + self.level
        self.level = steps[-1]
        moment = self.start_ns + (first_moment + np.arange(moments)) * self.every_ns
        times = (moment[:, None] + self.random.integers(0, S, (moments, self.series))).ravel()
        dictionary = pa.DictionaryArray.from_arrays
        readings = pa.RecordBatch.from_arrays(
            [
                dictionary(pa.array(np.tile(self.thing, moments)), self.things),
                dictionary(pa.array(np.tile(self.property, moments)), self.properties),
                pa.array(times).cast(_TIME),
                pa.array(np.round(steps.ravel(), 2)),
                pa.nulls(n, pa.string()),
                pa.array(np.zeros(n, np.uint8)),
                pa.array(times + 5_000_000).cast(_TIME),
                pa.array(np.arange(n, dtype=np.uint64) + np.uint64(block.position(sequence, 0))),
            ],
            schema=DECODED,
        )
        return Decoded(sequence, readings, messages=n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--series", type=int, default=5_000)
    parser.add_argument("--block", type=int, default=100_000)
    parser.add_argument("--rollup-every", type=int, default=5_000_000, help="0 for none")
    options = parser.parse_args()
    history = History(options.dsn)
    history.open()
    source = Source(options.series)
    moments = max(1, options.block // options.series)
    began, sequence, rows, latencies, rollup_s, rolled = time.perf_counter(), 0, 0, [], 0.0, 0
    while rows < options.rows:
        sequence += 1
        decoded = source.block(sequence, (sequence - 1) * moments, moments)
        start = time.perf_counter()
        history.insert([decoded])
        latencies.append(time.perf_counter() - start)
        rows += decoded.readings.num_rows
        if options.rollup_every and (rows - rolled >= options.rollup_every or rows >= options.rows):
            start = time.perf_counter()
            history.rollup(block.position(sequence + 1, 0) - 1)
            rollup_s += time.perf_counter() - start
            rolled = rows
            rss = psutil.Process().memory_info().rss >> 20
            rate = rows / (time.perf_counter() - began)
            print(f"{rows:,} rows, {rate:,.0f}/s with rollups, {rss} MB", flush=True)
    took = np.array(latencies) * 1000
    print(
        f"insert: {rows / sum(latencies):,.0f} rows/s; a block of {options.block:,} rows takes "
        f"{np.median(took):.0f} ms (median), {np.percentile(took, 99):.0f} ms (p99)"
    )
    if rolled:
        print(f"rollups: {rollup_s:.1f} s for {rows:,} rows, {rows / rollup_s:,.0f} rows/s")
    print(
        f"cpu: {sum(psutil.Process().cpu_times()[:2]):.0f} s, disk: {history.disk_bytes() / 1e6:,.0f} MB, "
        f"memory {psutil.Process().memory_info().rss >> 20} MB"
    )
    history.close()


if __name__ == "__main__":
    main()
