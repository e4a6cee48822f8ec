"""QoS 1 publishing, allthings (acknowledged after fsync) against mosquitto (persistence off), in turns.

    python -m bench.publish [--rounds 3] [--seconds 5]

Both brokers run all the time and are loaded in turns by the same generator; between turns the platform finishes
everything that waits behind its gateway, so that mosquitto is never measured on a machine that is still busy.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from allthings.testing import recordings
from allthings.testing.platform import Platform
from bench import load, report
from bench.api import Api
from bench.mosquitto import Mosquitto
from bench.shapes import SHAPES, Shape
from bench.watch import Watch

WARM_UP_S = 1.0
CONSUMED_WITHIN_S = 300.0


def measure(arguments: argparse.Namespace) -> report.Report:
    """All shapes against both brokers."""
    payloads = list(recordings.payloads("node-1"))
    made = report.Report(
        "QoS 1 publishing: allthings (fsync) against mosquitto (persistence off)",
        [
            *("connections x in flight", "broker", "acknowledged/s (median)", "rounds", "p50 ms", "p99 ms"),
            *("generator's CPU share", "CPU shares of the broker"),
        ],
        notes=[f"Payload: rows of the recording node-1, such as `{payloads[0].decode()}`; MQTT 3.1.1."],
    )
    with (
        tempfile.TemporaryDirectory(prefix="bench-publish-") as folder,
        Mosquitto() as mosquitto,
        Platform(Path(folder) / "data") as platform,
    ):
        for shape in SHAPES:
            _measure_shape(shape, arguments, platform, mosquitto.port, payloads, made)
    return made


def _measure_shape(
    shape: Shape,
    arguments: argparse.Namespace,
    platform: Platform,
    mosquitto_port: int,
    payloads: Sequence[bytes],
    made: report.Report,
) -> None:
    run = load.Load(shape.connections, shape.in_flight, arguments.seconds, warm_up=WARM_UP_S)
    results: dict[str, list[load.Result]] = {"mosquitto": [], "allthings": []}
    cpu = ""
    api = Api(platform)
    for number in range(arguments.rounds):
        results["mosquitto"].append(load.publish(run, mosquitto_port, payloads))
        with Watch(platform) as watch:
            results["allthings"].append(load.publish(run, platform.mqtt_port, payloads))
        cpu = ", ".join(f"{role} {share:.2f}" for role, share in sorted(watch.cpu_share.items()))
        report.say(f"{shape.name} round {number + 1}: " + _line({name: each[-1] for name, each in results.items()}))
        if not api.wait_consumed(CONSUMED_WITHIN_S):
            raise load.LoadError(f"consumers are still behind after {CONSUMED_WITHIN_S:g} s: {api.lags()}")
    medians = {name: statistics.median(each.per_s for each in rounds) for name, rounds in results.items()}
    for name, rounds in results.items():
        middle = sorted(rounds, key=lambda each: each.per_s)[len(rounds) // 2]
        made.rows.append(
            [
                *(shape.name, name, medians[name], " ".join(f"{each.per_s:,.0f}" for each in rounds)),
                *(middle.latency_ms.p50, middle.latency_ms.p99, middle.cpu_share),
                cpu if name == "allthings" else "",
            ]
        )
    ratio = medians["allthings"] / medians["mosquitto"]
    made.at_least(f"ratio at {shape.name}", ratio, shape.ratio_min)
    made.figures[shape.name] = {**medians, "ratio": ratio}


def _line(results: dict[str, load.Result]) -> str:
    return ", ".join(f"{name} {result.per_s:,.0f}/s" for name, result in results.items())


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each broker for each shape")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn after warming up")
    report.run(parser.parse_args(), measure)
