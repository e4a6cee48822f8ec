"""The load generator's own ceiling: the same loads as `bench.publish`, against a sink that only acknowledges.

python -m bench.load
"""

from __future__ import annotations

import argparse

from allthings.testing import recordings
from bench import load, report
from bench.shapes import SHAPES


def measure(arguments: argparse.Namespace) -> report.Report:
    """Every shape of load against the sink."""
    made = report.Report(
        "The load generator against a sink (QoS 1)",
        ["connections x in flight", "acknowledged/s", "generator's CPU share", "p50 ms", "p99 ms"],
    )
    payloads = list(recordings.payloads("node-1"))
    with load.Sink() as sink:
        for shape in SHAPES:
            run = load.Load(shape.connections, shape.in_flight, arguments.seconds, warm_up=0.5)
            result = load.publish(run, sink.port, payloads)
            latency = result.latency_ms
            made.rows.append([shape.name, result.per_s, result.cpu_share, latency.p50, latency.p99])
            made.figures[shape.name] = result.per_s
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each run")
    report.run(parser.parse_args(), measure)
