"""QoS 1 publishing over TLS, connections resuming their session: allthings (fsync) against mosquitto (persistence off).

    python -m bench.tls [--rounds 3] [--seconds 5]

Both have the same certificate (ECDSA P-256) and choose the same cipher as OpenSSL would; the load generator needs
OpenSSL's headers (Debian: libssl-dev).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from allthings.testing import recordings
from bench import load, report
from bench.gateway import GatewayAlone
from bench.mosquitto import Mosquitto
from bench.shapes import Shape
from bench.sides import GATEWAY, MOSQUITTO, Side, in_turns, per_s

WARM_UP_S = 1.0
SHAPES = (Shape(50, 100, 1.0), Shape(1000, 1, 1.0))
#: The one that the project's promise is of; the other is shown beside it.
PROMISED = SHAPES[0]


def certificate(folder: Path) -> Path:
    """A self-signed certificate and its key in one PEM file."""
    path = folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"),
            *("-keyout", str(path), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    with path.open("a") as file:
        file.write((folder / "certificate.pem").read_text())
    # A mosquitto that is started by root reads it as another user.
    folder.chmod(0o755)
    path.chmod(0o644)
    return path


def measure(arguments: argparse.Namespace) -> report.Report:
    """Both shapes on both sides."""
    payloads = list(recordings.payloads("node-1"))
    made = report.Report(
        "QoS 1 publishing over TLS: allthings (fsync) against mosquitto (persistence off)",
        [
            *("connections x in flight", "broker", "acknowledged/s (median)", "turns", "p50 ms", "p99 ms"),
            *("connected/s", "sessions resumed", "generator's CPU share", "CPU shares of the broker"),
        ],
    )
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
        pem = certificate(Path(folder))
        with Mosquitto(pem) as mosquitto, GatewayAlone(pem) as gateway:
            sides = [
                Side(MOSQUITTO, mosquitto.tls_port, mosquitto.cpu_s),
                Side(GATEWAY, gateway.tls_port, gateway.cpu_s),
            ]
            for shape in SHAPES:
                run = load.Load(shape.connections, shape.in_flight, arguments.seconds, warm_up=WARM_UP_S, tls=1)
                in_turns(sides, run, payloads, arguments.rounds, shape.name)
                _report(shape, sides, made)
    return made


def _report(shape: Shape, sides: list[Side], made: report.Report) -> None:
    for side in sides:
        resumed = min(each.resumed for each in side.results)
        made.rows.append(
            [
                *(shape.name, side.name, side.median(per_s), " ".join(f"{each.per_s:,.0f}" for each in side.results)),
                side.median(lambda each: each.latency_ms.p50),
                side.median(lambda each: each.latency_ms.p99),
                side.median(lambda each: each.connects_per_s),
                f"{resumed} of {shape.connections - 1}",
                side.median(lambda each: each.cpu_share),
                side.cpu,
            ]
        )
        if side.name == GATEWAY and shape is PROMISED:
            made.at_least("sessions resumed", resumed, shape.connections - 1)
    ratio = sides[1].median(per_s) / sides[0].median(per_s)
    made.figures[shape.name] = ratio
    if shape is PROMISED:
        made.at_least(f"gateway / mosquitto over TLS at {shape.name}", ratio, shape.ratio_min)
    else:
        made.notes.append(f"gateway / mosquitto over TLS at {shape.name}: {ratio:.2f}.")


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each broker for each shape")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn after warming up")
    report.run(parser.parse_args(), measure)
