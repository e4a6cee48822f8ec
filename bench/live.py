"""From publishing to the live feed: the age of each value when its server-sent event arrives.

    python -m bench.live [--rate 10000] [--seconds 20]

Every message carries the time at which it was sent; a client of `/api/live` takes the age of each when the bytes of its
event arrive. One client sees all things, a second one a single thing.
"""

from __future__ import annotations

import argparse
import re
import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from allthings.testing import recordings
from allthings.testing.platform import Platform
from bench import load, report
from bench.api import Api
from bench.watch import Watch

P99_MS_MAX = 100.0
CONNECTIONS = 20
THINGS_PER_CONNECTION = 50
WARM_UP_S = 2.0
CONSUMED_WITHIN_S = 60.0
_READ_BYTES = 1 << 20
_KEPT_BYTES = 512
#: A value of the property sent_us within an event; members may stand in any order around these two.
_SENT = re.compile(rb'"property":"sent_us","value":([0-9.e+]+)')


class Listener:
    """A client of `/api/live` on a plain socket: it must not be what is slow."""

    def __init__(self, platform: Platform, query: str) -> None:
        self._socket = socket.create_connection((platform.mqtt_host, platform.http_port), 10)
        request = f"GET /api/live{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        self._socket.sendall(request.encode())
        answer = self._socket.recv(_READ_BYTES)
        if b" 200 " not in answer.split(b"\r\n", 1)[0]:
            raise load.LoadError(f"/api/live{query} answers {answer[:200]!r}")
        self._ages_ms: list[np.ndarray] = []
        self._from = 0.0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        kept = b""
        while True:
            try:
                got = self._socket.recv(_READ_BYTES)
            except OSError:
                return
            if not got:
                return
            now_us, data = time.time() * 1e6, kept + got
            found = list(_SENT.finditer(data))
            # A match that touches the end may be a number that is cut off.
            if found and found[-1].end() == len(data):
                found.pop()
            if found:
                self._ages_ms.append((now_us - np.array([float(each[1]) for each in found])) / 1000)
                kept = data[found[-1].end() :][-_KEPT_BYTES:]
            else:
                kept = data[-_KEPT_BYTES:]

    def ages_ms(self) -> np.ndarray:
        """Stop, and give the ages of all values in milliseconds, in the order of their arrival."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        return np.concatenate(self._ages_ms) if self._ages_ms else np.array([])


def measure(arguments: argparse.Namespace) -> report.Report:
    """Load, listen, compare."""
    made = report.Report(
        f"Live: publish to server-sent event at {arguments.rate:,.0f} messages/s",
        ["listener", "events' values", "of", "p50 ms", "p95 ms", "p99 ms", "max ms"],
    )
    payloads = list(recordings.payloads("node-1", extra=load.STAMP))
    shape = {"rate": arguments.rate, "topic": "things/live-%d/properties", "topics": THINGS_PER_CONNECTION}
    with tempfile.TemporaryDirectory(prefix="bench-live-") as folder, Platform(Path(folder) / "data") as platform:
        load.publish(load.Load(CONNECTIONS, 100, WARM_UP_S, **shape), platform.mqtt_port, payloads)
        Api(platform).wait_consumed(CONSUMED_WITHIN_S)
        listeners = {"all things": Listener(platform, ""), "one thing": Listener(platform, "?thing=live-7")}
        # Looking at the processes takes the listeners' interpreter for a moment.
        with Watch(platform, every_s=5.0) as watch:
            result = load.publish(load.Load(CONNECTIONS, 100, arguments.seconds, **shape), platform.mqtt_port, payloads)
        time.sleep(1)  # the last events are on their way
        heard = {name: listener.ages_ms() for name, listener in listeners.items()}
    things = CONNECTIONS * THINGS_PER_CONNECTION
    for name, ages in heard.items():
        expected = result.acknowledged if name == "all things" else result.acknowledged // things
        figures = [float(np.percentile(ages, each)) for each in (50, 95, 99, 100)] if len(ages) else [float("inf")] * 4
        made.rows.append([name, len(ages), expected, *figures])
        made.below(f"p99 ms, {name}", figures[2], P99_MS_MAX)
        made.figures[name] = dict(zip(("p50", "p95", "p99", "max"), figures, strict=True))
        made.at_least(f"share of the values that arrived, {name}", len(ages) / max(expected, 1), 0.98)
    cpu = ", ".join(f"{role} {share:.2f}" for role, share in sorted(watch.cpu_share.items()))
    made.notes.append(f"CPU shares: {cpu}, generator {result.cpu_share:.2f}.")
    made.notes.append(f"Acknowledged: {result.per_s:,.0f}/s, p99 {result.latency_ms.p99:.1f} ms.")
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rate", type=float, default=10_000.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long")
    report.run(parser.parse_args(), measure)
