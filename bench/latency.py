"""How long a message takes from its publisher to its subscriber at a steady rate, QoS 1 on both sides, both brokers.

    python -m bench.latency [--rate 5000] [--rounds 3] [--seconds 10]

One generator publishes and receives, so one clock times both ends; its pacing adds up to a millisecond on either side.
"""

from __future__ import annotations

import argparse

from allthings.testing import recordings
from bench import load, report
from bench.gateway import GatewayAlone
from bench.mosquitto import Mosquitto
from bench.sides import GATEWAY, MOSQUITTO, Side, in_turns, per_s

P99_MS_MAX = 20.0
KEPT_SHARE_MIN = 0.99
PUBLISHERS = 50
IN_FLIGHT = 100
WARM_UP_S = 2.0


def measure(arguments: argparse.Namespace) -> report.Report:
    """The rate on both sides in turns."""
    payloads = list(recordings.payloads("node-1", extra=load.STAMP))
    made = report.Report(
        f"Latency from publisher to subscriber at {arguments.rate:,.0f} messages/s, QoS 1 on both sides",
        [
            *("broker", "delivered/s", "p50 ms", "p95 ms", "p99 ms (median)", "p99 of the turns", "max ms", "lost"),
            *("generator's CPU share", "CPU shares of the broker"),
        ],
        notes=[
            f"{PUBLISHERS} publishers, one subscriber. allthings delivers what is on disk; mosquitto keeps nothing."
        ],
    )
    run = load.Load(
        *(PUBLISHERS, IN_FLIGHT, arguments.seconds),
        mode="relay",
        rate=arguments.rate,
        topic="latency/%d",
        filter="latency/+",
        subscribers=1,
        warm_up=WARM_UP_S,
    )
    with Mosquitto() as mosquitto, GatewayAlone() as gateway:
        sides = [
            Side(MOSQUITTO, mosquitto.port, mosquitto.cpu_s),
            Side(GATEWAY, gateway.port, gateway.cpu_s),
        ]
        in_turns(sides, run, payloads, arguments.rounds, f"{arguments.rate:,.0f}/s")
    for side in sides:
        p99_ms = side.median(lambda each: each.latency_ms.p99)
        made.rows.append(
            [
                *(side.name, side.median(per_s)),
                side.median(lambda each: each.latency_ms.p50),
                side.median(lambda each: each.latency_ms.p95),
                p99_ms,
                " ".join(f"{each.latency_ms.p99:.1f}" for each in side.results),
                max(each.latency_ms.max for each in side.results),
                sum(each.lost for each in side.results),
                side.median(lambda each: each.cpu_share),
                side.cpu,
            ]
        )
        made.figures[side.name] = {"p99_ms": p99_ms, "per_s": side.median(per_s)}
        if side.name == GATEWAY:
            made.below("p99 ms of allthings", p99_ms, P99_MS_MAX)
            made.at_least("share of the rate that was kept", side.median(per_s) / arguments.rate, KEPT_SHARE_MIN)
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rate", type=float, default=5_000.0, help="messages a second")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each broker")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each turn after warming up")
    report.run(parser.parse_args(), measure)
