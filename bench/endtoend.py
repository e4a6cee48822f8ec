"""From the device to the history: messages of three values each, sustained, all queryable at the end.

    python -m bench.endtoend [--rate 35000] [--seconds 60] [--find-limit]

The generator sends at a rate of messages; meanwhile the lag of every consumer and the memory and CPU of every process
are sampled. Sustained means: the rate was kept, no consumer was ever two seconds behind, and every acknowledged value
is in the history at the end. `--find-limit` then raises the rate until one of these fails.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from allthings.testing import recordings
from allthings.testing.platform import Platform
from bench import load, report
from bench.api import Api
from bench.watch import Watch

CONNECTIONS = 50
THINGS_PER_CONNECTION = 20
VALUES_PER_MESSAGE = 3
LAG_S_MAX = 2.0
VALUES_PER_S_MIN = 100_000
KEPT_SHARE_MIN = 0.99
CONSUMED_WITHIN_S = 300.0
LIMIT_SECONDS = 15.0
LIMIT_FACTOR = 1.15
LIMIT_STEPS_MAX = 12


class Outcome:
    """What one run came to. `missing` counts acknowledged values that the history does not have."""

    def __init__(self, result: load.Result, watch: Watch, missing: int, consumed_s: float) -> None:
        self.result = result
        self.watch = watch
        self.missing = missing
        self.consumed_s = consumed_s
        self.lag_s = max((lag for _, lag in watch.samples), default=0.0)
        self.values_per_s = result.per_s * VALUES_PER_MESSAGE

    def sustained(self, rate: float) -> bool:
        """Whether this is a rate that the platform can hold."""
        kept = self.result.per_s >= rate * KEPT_SHARE_MIN
        return kept and not self.missing and self.lag_s < LAG_S_MAX and self.watch.failed is None

    def row(self, rate: float) -> list[object]:
        """A row of the report's table."""
        latency, cpu = self.result.latency_ms, self.watch.cpu_share
        return [
            *(int(rate), self.values_per_s, self.result.seconds, "yes" if self.sustained(rate) else "no"),
            *(self.lag_s, self.consumed_s, self.missing, latency.p50, latency.p99),
            ", ".join(f"{role} {share:.2f}" for role, share in sorted(cpu.items())),
            sum(cpu.values()) * 1e6 / max(self.values_per_s, 1),
            self.result.cpu_share,
            sum(self.watch.peak_rss_mb.values()),
        ]


def measure(arguments: argparse.Namespace) -> report.Report:
    """The asked rate for the asked time, and perhaps the limit."""
    made = report.Report(
        "End to end: messages of three values, sustained and queryable",
        [
            *("messages/s asked", "values/s acknowledged", "seconds", "sustained", "largest lag s"),
            *("all consumed after s", "values missing", "p50 ms", "p99 ms", "CPU shares", "their CPU us a value"),
            "generator's CPU share",
            "largest RSS of all MB",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="bench-endtoend-") as folder, Platform(Path(folder) / "data") as platform:
        _run(platform, "warm", arguments.rate / 4, 5.0)
        outcome = _run(platform, "sustained", arguments.rate, arguments.seconds)
        made.rows.append(outcome.row(arguments.rate))
        if outcome.watch.failed:
            made.notes.append(f"`/api/status` failed meanwhile: {outcome.watch.failed!r}")
        made.at_least("values a second", outcome.values_per_s, VALUES_PER_S_MIN)
        made.below("largest ingest lag in seconds", outcome.lag_s, LAG_S_MAX)
        made.below("acknowledged values that cannot be queried", outcome.missing, 1)
        memory = ", ".join(f"{role} {mb:.0f} MB" for role, mb in outcome.watch.peak_rss_mb.items())
        made.notes.append(f"Largest resident memory by process: {memory}.")
        made.figures = {"values_per_s": outcome.values_per_s, "lag_s": outcome.watch.samples}
        if arguments.find_limit:
            _find_limit(platform, arguments.rate, made)
    return made


def _find_limit(platform: Platform, rate: float, made: report.Report) -> None:
    best = 0.0
    for step in range(LIMIT_STEPS_MAX):
        rate *= LIMIT_FACTOR
        outcome = _run(platform, f"limit{step}", rate, LIMIT_SECONDS)
        made.rows.append(outcome.row(rate))
        if not outcome.sustained(rate):
            break
        best = outcome.values_per_s
    made.figures["limit_values_per_s"] = best


def _run(platform: Platform, name: str, rate: float, seconds: float) -> Outcome:
    """One load on things of its own name, and the count of what arrived in the history."""
    api = Api(platform)
    asked = load.Load(
        *(CONNECTIONS, 100, seconds), rate=rate, topic=f"things/{name}-%d/properties", topics=THINGS_PER_CONNECTION
    )
    with Watch(platform, lambda: max((lag for _, lag in api.lags().values()), default=0.0)) as watch:
        result = load.publish(asked, platform.mqtt_port, list(recordings.payloads("node-1")))
    acknowledged = time.monotonic()
    api.wait_consumed(CONSUMED_WITHIN_S)
    consumed_s = time.monotonic() - acknowledged
    count = api.count(f"thing LIKE '{name}-%'")
    report.say(
        f"{rate:,.0f} messages/s asked: {result.per_s * VALUES_PER_MESSAGE:,.0f} values/s, "
        f"{count:,} of {result.acknowledged * VALUES_PER_MESSAGE:,} values in the history"
    )
    return Outcome(result, watch, result.acknowledged * VALUES_PER_MESSAGE - count, consumed_s)


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rate", type=float, default=35_000.0, help="messages a second, of three values each")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is to be sustained")
    parser.add_argument("--find-limit", action="store_true", help="raise the rate until it is not sustained")
    report.run(parser.parse_args(), measure)
