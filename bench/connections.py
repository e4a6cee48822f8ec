"""Many idle connections: what each costs in memory, and how fast they are accepted; allthings against mosquitto.

    python -m bench.connections [--connections 10000] [--rounds 3]

Memory is how much the process's resident memory grows, divided by the connections; a first, small crowd comes and goes
before, so that what a process loads once is not counted.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import load, report
from bench.gateway import GatewayAlone
from bench.mosquitto import Mosquitto
from bench.sides import GATEWAY, MOSQUITTO

KB_MAX = 10.0
RATE_RATIO_MIN = 0.7
FIRST_CROWD = 200
SETTLE_S = 2.0
#: File descriptors of each process beside its connections.
SPARE_FILES = 256


@dataclass
class Side:
    """A broker: `rss` gives the resident bytes of the process that holds the connections."""

    name: str
    port: int
    rss: Callable[[], int]
    kb_each: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    def turn(self, connections: int) -> None:
        """A crowd comes, is looked at, and goes."""
        before = self.rss()
        run = load.Run(load.Load(connections, 1, SETTLE_S * 2, mode="idle"), self.port).start()
        time.sleep(SETTLE_S)
        self.kb_each.append((self.rss() - before) / connections / 1000)
        result = run.result()
        self.per_s.append(result.connects_per_s)
        time.sleep(SETTLE_S)


def measure(arguments: argparse.Namespace) -> report.Report:
    """Crowds on both sides in turns."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = arguments.connections
    made = report.Report(
        f"{connections:,} idle connections",
        ["broker", "kB of memory each (first crowd)", "accepted/s (median)", "turns"],
        notes=["Accepted: TCP connection, CONNECT and CONNACK, 64 under way at a time. Kernel memory is not counted."],
    )
    if most < connections + SPARE_FILES:
        connections = most - SPARE_FILES
        made.notes.append(f"A process may have {most:,} files here: measured with {connections:,} connections.")
    with Mosquitto() as mosquitto, GatewayAlone() as gateway:
        sides = [Side(MOSQUITTO, mosquitto.port, mosquitto.rss), Side(GATEWAY, gateway.port, gateway.rss)]
        for side in sides:
            side.turn(FIRST_CROWD)
            side.kb_each.clear()
            side.per_s.clear()
        for number in range(arguments.rounds):
            for side in sides:
                side.turn(connections)
            told = [f"{side.name} {side.kb_each[-1]:.1f} kB, {side.per_s[-1]:,.0f}/s" for side in sides]
            report.say(f"round {number + 1}: {', '.join(told)}")
    for side in sides:
        turns = " ".join(f"{each:,.0f}" for each in side.per_s)
        made.rows.append([side.name, side.kb_each[0], statistics.median(side.per_s), turns])
        made.figures[side.name] = {"kb_each": side.kb_each[0], "per_s": statistics.median(side.per_s)}
    made.below("kB of memory for a connection of the gateway", sides[1].kb_each[0], KB_MAX)
    ratio = statistics.median(sides[1].per_s) / statistics.median(sides[0].per_s)
    made.at_least("gateway / mosquitto, connections accepted a second", ratio, RATE_RATIO_MIN)
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--connections", type=int, default=10_000, help="how many")
    parser.add_argument("--rounds", type=int, default=3, help="crowds on each broker")
    report.run(parser.parse_args(), measure)
