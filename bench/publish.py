"""QoS 1 publishing, allthings (acknowledged after fsync) against mosquitto (persistence off), in turns.

    python -m bench.publish [--rounds 3] [--seconds 5] [--without-platform]

The gateway is measured alone, as a broker that keeps what it acknowledges; and after that with the whole platform
behind it, which decodes and stores all of it at the same time and on the same cores. Two brokers run at a time and are
loaded in turns by the same generator; the platform inserts everything that waits behind its gateway before the next
turn begins, but merges on for a while.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from allthings.testing import recordings
from allthings.testing.platform import Platform
from bench import load, report
from bench.api import Api
from bench.gateway import GatewayAlone
from bench.mosquitto import Mosquitto
from bench.shapes import SHAPES, Shape

WARM_UP_S = 1.0
CONSUMED_WITHIN_S = 600.0
MOSQUITTO, GATEWAY, PLATFORM = "mosquitto", "allthings gateway", "allthings, whole"


@dataclass
class Side:
    """A broker that is measured. `cpu_s` gives its processes' CPU seconds, `settle` waits until it has no work."""

    name: str
    port: int
    cpu_s: Callable[[], dict[str, float]] = dict
    settle: Callable[[], None] = lambda: None
    results: list[load.Result] = field(default_factory=list)
    cpu: str = ""
    cpu_us: list[float] = field(default_factory=list)

    def turn(self, run: load.Load, payloads: Sequence[bytes]) -> load.Result:
        """One load; its result."""
        before, started = self.cpu_s(), time.monotonic()
        self.results.append(load.publish(run, self.port, payloads))
        after, seconds = self.cpu_s(), time.monotonic() - started
        spent = {name: after[name] - before.get(name, 0) for name in sorted(after)}
        self.cpu = ", ".join(f"{name} {cpu_s / seconds:.2f}" for name, cpu_s in spent.items())
        self.cpu_us.append(sum(spent.values()) * 1e6 / self.results[-1].acknowledged)
        self.settle()
        return self.results[-1]

    @property
    def per_s(self) -> float:
        """The median of its turns."""
        return statistics.median(result.per_s for result in self.results)

    def row(self, shape: Shape) -> list[object]:
        """A row of the report's table."""
        middle = sorted(self.results, key=lambda each: each.per_s)[len(self.results) // 2]
        turns = " ".join(f"{each.per_s:,.0f}" for each in self.results)
        latency = middle.latency_ms
        cpu_us = statistics.median(self.cpu_us)
        return [
            *(shape.name, self.name, self.per_s, turns, latency.p50, latency.p99, middle.cpu_share),
            *(self.cpu, cpu_us),
        ]


def measure(arguments: argparse.Namespace) -> report.Report:
    """All shapes against all sides."""
    payloads = list(recordings.payloads("node-1"))
    made = report.Report(
        "QoS 1 publishing: allthings (fsync) against mosquitto (persistence off)",
        [
            *("connections x in flight", "broker", "acknowledged/s (median)", "turns", "p50 ms", "p99 ms"),
            *("generator's CPU share", "CPU shares of the broker", "its CPU us a message"),
        ],
        notes=[f"Payload: rows of the recording node-1, such as `{payloads[0].decode()}`; MQTT 3.1.1."],
    )
    with Mosquitto() as mosquitto:

        def against(other: Side) -> None:
            for shape in SHAPES:
                sides = [Side(MOSQUITTO, mosquitto.port, mosquitto.cpu_s), replace(other, results=[], cpu_us=[])]
                _measure_shape(shape, arguments, sides, payloads, made)

        with GatewayAlone() as gateway:
            against(Side(GATEWAY, gateway.port, gateway.cpu_s))
        if not arguments.without_platform:
            with (
                tempfile.TemporaryDirectory(prefix="bench-publish-") as folder,
                Platform(Path(folder) / "data") as platform,
            ):
                against(_whole(platform))
    return made


def _whole(platform: Platform) -> Side:
    def cpu_s() -> dict[str, float]:
        return {role: each.cpu_s for role, each in platform.footprints().items()}

    def settle() -> None:
        if not Api(platform).wait_consumed(CONSUMED_WITHIN_S):
            raise load.LoadError(f"consumers are still behind after {CONSUMED_WITHIN_S:g} s")

    return Side(PLATFORM, platform.mqtt_port, cpu_s, settle)


def _measure_shape(
    shape: Shape,
    arguments: argparse.Namespace,
    sides: Sequence[Side],
    payloads: Sequence[bytes],
    made: report.Report,
) -> None:
    run = load.Load(shape.connections, shape.in_flight, arguments.seconds, warm_up=WARM_UP_S)
    for number in range(arguments.rounds):
        told = [f"{side.name} {side.turn(run, payloads).per_s:,.0f}/s" for side in sides]
        report.say(f"{shape.name} round {number + 1}: {', '.join(told)}")
    made.rows += [side.row(shape) for side in sides]
    mosquitto, other = sides
    ratio = other.per_s / mosquitto.per_s
    made.figures[f"{other.name}, {shape.name}"] = {
        **{side.name: side.per_s for side in sides},
        f"ratio of {other.name}": ratio,
    }
    if other.name == GATEWAY:
        made.at_least(f"gateway / mosquitto at {shape.name}", ratio, shape.ratio_min)
    else:
        made.notes.append(f"{other.name} / mosquitto at {shape.name}: {ratio:.2f}.")


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each broker for each shape")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn after warming up")
    parser.add_argument("--without-platform", action="store_true", help="only mosquitto and the gateway alone")
    report.run(parser.parse_args(), measure)
