"""From one publisher to many subscribers, and from many publishers to a shared group: allthings against mosquitto.

    python -m bench.fanout [--rounds 3] [--seconds 5]

The load generator is publisher and subscribers at once: it keeps the broker busy with a bounded number of messages that
are still on their way, at QoS 0 too, so that neither broker is flooded and what is lost can be counted.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

from allthings.testing import recordings
from bench import load, report
from bench.gateway import GatewayAlone
from bench.mosquitto import Mosquitto
from bench.sides import GATEWAY, MOSQUITTO, Side, in_turns, per_s

WARM_UP_S = 1.0
RATIO_MIN = 1.0


class Shape(NamedTuple):
    """Publishers and the messages that each may have on their way, subscribers, their filter, copies of a message."""

    name: str
    qos: int
    publishers: int
    on_their_way: int
    subscribers: int
    filter: str
    copies: int


SHAPES = (
    Shape("1 to 500", 0, 1, 20, 500, "fan/+/out", 500),
    Shape("1 to 500", 1, 1, 20, 500, "fan/+/out", 500),
    Shape("50 to a group of 10", 0, 50, 100, 10, "$share/workers/fan/+/out", 1),
    Shape("50 to a group of 10", 1, 50, 100, 10, "$share/workers/fan/+/out", 1),
)
#: What the project promises; the fan-out at QoS 1 is shown beside it.
PROMISED = tuple(shape for shape in SHAPES if shape.qos == 0 or shape.copies == 1)


def measure(arguments: argparse.Namespace) -> report.Report:
    """All shapes on both sides."""
    payloads = list(recordings.payloads("node-1", extra=load.STAMP))
    made = report.Report(
        "Fan-out and shared subscriptions: allthings (fsync) against mosquitto (persistence off)",
        [
            *("publishers to subscribers", "QoS", "broker", "deliveries/s (median)", "turns", "p50 ms", "p99 ms"),
            *("lost", "generator's CPU share", "CPU shares of the broker"),
        ],
        notes=["Latency: from sending to delivery, while the broker is as busy as it can be."],
    )
    with Mosquitto() as mosquitto, GatewayAlone() as gateway:
        sides = [
            Side(MOSQUITTO, mosquitto.port, mosquitto.cpu_s),
            Side(GATEWAY, gateway.port, gateway.cpu_s),
        ]
        for shape in SHAPES:
            run = load.Load(
                *(shape.publishers, shape.on_their_way, arguments.seconds),
                mode="relay",
                qos=shape.qos,
                topic="fan/%d/out",
                subscribers=shape.subscribers,
                filter=shape.filter,
                copies=shape.copies,
                warm_up=WARM_UP_S,
            )
            in_turns(sides, run, payloads, arguments.rounds, f"{shape.name} at QoS {shape.qos}")
            _report(shape, sides, made)
    return made


def _report(shape: Shape, sides: list[Side], made: report.Report) -> None:
    for side in sides:
        turns = " ".join(f"{each.per_s:,.0f}" for each in side.results)
        made.rows.append(
            [
                *(shape.name, shape.qos, side.name, side.median(per_s), turns),
                side.median(lambda each: each.latency_ms.p50),
                side.median(lambda each: each.latency_ms.p99),
                sum(each.lost for each in side.results),
                side.median(lambda each: each.cpu_share),
                side.cpu,
            ]
        )
    ratio = sides[1].median(per_s) / sides[0].median(per_s)
    what = f"gateway / mosquitto, {shape.name} at QoS {shape.qos}"
    made.figures[what] = ratio
    if shape in PROMISED:
        made.at_least(what, ratio, RATIO_MIN)
    else:
        made.notes.append(f"{what}: {ratio:.2f}.")


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each broker for each shape")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn after warming up")
    report.run(parser.parse_args(), measure)
