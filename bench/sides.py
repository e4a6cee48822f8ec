"""Two brokers under the same load in turns, so that what else the machine does falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import load, report

MOSQUITTO, GATEWAY = "mosquitto", "allthings gateway"


@dataclass
class Side:
    """A broker that is measured. `cpu_s` gives its processes' CPU seconds."""

    name: str
    port: int
    cpu_s: Callable[[], dict[str, float]]
    results: list[load.Result] = field(default_factory=list)
    cpu: str = ""

    def turn(self, run: load.Load, payloads: Sequence[bytes]) -> load.Result:
        """One load; its result."""
        before, started = self.cpu_s(), time.monotonic()
        result = load.publish(run, self.port, payloads)
        after, seconds = self.cpu_s(), time.monotonic() - started
        self.cpu = ", ".join(f"{name} {(after[name] - before[name]) / seconds:.2f}" for name in sorted(after))
        self.results.append(result)
        return result

    def median(self, figure: Callable[[load.Result], float]) -> float:
        """The middle of a figure of all turns."""
        return statistics.median(figure(result) for result in self.results)


def in_turns(sides: Sequence[Side], run: load.Load, payloads: Sequence[bytes], rounds: int, what: str) -> None:
    """The same load on each side, `rounds` times; the sides' results are those of these rounds."""
    for side in sides:
        side.results.clear()
    for number in range(rounds):
        told = []
        for side in sides:
            result = side.turn(run, payloads)
            told.append(f"{side.name} {result.per_s:,.0f}/s (p99 {result.latency_ms.p99:.1f} ms)")
        report.say(f"{what}, round {number + 1}: {', '.join(told)}")


def per_s(result: load.Result) -> float:
    """What a ratio is made of."""
    return result.per_s
