"""Light questions beside heavy ones: 50 clients ask for seconds over years, others for a day, the state, and SQL.

    python -m bench.askers [--against CHECKOUT] [--seconds 40] [--heavy 50] [--rows 1800000]

One series is uploaded to a new platform. Then heavy clients ask for `every=1s` over all of it, each again as soon as it
is answered (or when `Retry-After` says), while one client asks for a day, one for `/api/status`, and four send cross
joins as SQL. At the end the platform is stopped under that load. With `--against` another checkout, with a virtual
environment of its own in `.venv`, is measured the same way first, and the ratio of the two is printed.

A question that has no answer at the end counts with its age; the real figure is larger then.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa

from allthings.testing.platform import Platform, PlatformError
from allthings.things.times import NS_PER_S, now_ns
from bench import report
from bench.api import Api
from bench.watch import Watch

EVERY_NS = 60 * NS_PER_S
ROWS_PER_UPLOAD = 900_000
CONSUMED_WITHIN_S = 120.0
#: Heavy askers are at it for so long before anything is measured.
WARM_UP_S = 5.0
CLIENT_WAITS_S = 300.0
SQL_ASKERS = 4
PAUSE_S = 0.05
RATIO_MAX = 0.1
STATUS_S_MAX = 0.5
BESIDE_SQL_S_MAX = 0.5
STOP_S_MAX = 10.0
STOPPED_WITHIN_S = 60.0
THIS, OTHER = "this one", "the other"
COLUMNS = (
    "build",
    "light p50 s",
    "light p95 s",
    "status p95 s",
    "status max s",
    "light beside SQL max s",
    "platform MB",
    "stop s",
    "heavy answers",
)
CROSS_JOINS = "SELECT count() FROM readings a CROSS JOIN readings b CROSS JOIN readings c"
_TIME = pa.timestamp("ns", tz="UTC")


@dataclass
class Measured:
    """Of one build: latencies in seconds, answers by status, memory, and the time that it took to stop."""

    light_s: list[float] = field(default_factory=list)
    status_s: list[float] = field(default_factory=list)
    beside_sql_s: list[float] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    platform_mb: float = 0.0
    stop_s: float = 0.0

    @property
    def light_p95_s(self) -> float:
        """Of the light question beside the heavy ones."""
        return float(np.percentile(self.light_s, 95))

    def row(self) -> list[object]:
        """As COLUMNS, after the build's name."""
        light_p50, status_p95 = float(np.percentile(self.light_s, 50)), float(np.percentile(self.status_s, 95))
        answers = ", ".join(f"{count} x {status}" for status, count in self.answers.items()) or "none"
        latencies = [light_p50, self.light_p95_s, status_p95, max(self.status_s), max(self.beside_sql_s)]
        return [*latencies, self.platform_mb, self.stop_s, answers]


class Askers:
    """Threads that ask until they are told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answers: dict[str, int] = {}

    def start(self, count: int, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        """So many clients that ask again and again."""
        for _ in range(count):
            thread = threading.Thread(target=self._run, args=(ask,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _run(self, ask: Callable[[httpx.Client], httpx.Response]) -> None:
        with httpx.Client(base_url=self._url, timeout=CLIENT_WAITS_S) as client:
            while not self._stop.is_set():
                try:
                    answer = ask(client)
                except httpx.HTTPError:
                    self._stop.wait(PAUSE_S)
                    continue
                status = str(answer.status_code)
                self.answers[status] = self.answers.get(status, 0) + 1
                self._stop.wait(float(answer.headers.get("retry-after", 0)))

    def stop(self) -> None:
        """End them; those that wait for an answer are left to their connection's end."""
        self._stop.set()


def fill(platform: Platform, rows: int) -> tuple[int, int]:
    """Upload one series of a reading a minute; first and last time (ns)."""
    end_ns = now_ns() // EVERY_NS * EVERY_NS
    start_ns = end_ns - rows * EVERY_NS
    values = np.random.default_rng(1).normal(0, 1, rows).cumsum().round(2)
    api = Api(platform)
    for first in range(0, rows, ROWS_PER_UPLOAD):
        count = min(ROWS_PER_UPLOAD, rows - first)
        table = pa.table(
            {
                "thing": pa.array(["asked"] * count).dictionary_encode(),
                "property": pa.array(["level"] * count).dictionary_encode(),
                "time": pa.array(start_ns + (first + np.arange(count)) * EVERY_NS).cast(_TIME),
                "value": pa.array(values[first : first + count]),
            }
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body = sink.getvalue().to_pybytes()
        media_type = {"Content-Type": "application/vnd.apache.arrow.stream"}
        api.client.post("/api/readings", content=body, headers=media_type).raise_for_status()
    if not api.wait_consumed(CONSUMED_WITHIN_S):
        raise RuntimeError("the history did not take the upload in time")
    return start_ns, end_ns


def _heavy(client: httpx.Client) -> httpx.Response:
    parameters = {"thing": "asked", "property": "level", "from": "-10y", "every": "1s", "aggregate": "avg,min,max"}
    return client.get("/api/history", params=parameters)


def _light(client: httpx.Client) -> httpx.Response:
    return client.get("/api/history", params={"thing": "asked", "property": "level", "from": "-1d", "every": "10m"})


def _status(client: httpx.Client) -> httpx.Response:
    return client.get("/api/status")


def _sql(client: httpx.Client) -> httpx.Response:
    return client.post("/api/query", json={"sql": CROSS_JOINS})


@contextmanager
def _timing(url: str, ask: Callable[[httpx.Client], httpx.Response], took_s: list[float]) -> Iterator[None]:
    """Ask again and again beside what is in the block. Answers that are refusals are no answers."""
    done, began = threading.Event(), [0.0]

    def run() -> None:
        with httpx.Client(base_url=url, timeout=CLIENT_WAITS_S) as client:
            began[0] = time.perf_counter()
            while not done.is_set():
                try:
                    answered = ask(client).is_success
                except httpx.HTTPError:
                    answered = False
                if done.is_set():
                    return
                if answered:
                    took_s.append(time.perf_counter() - began[0])
                    began[0] = time.perf_counter()
                done.wait(PAUSE_S)
                if answered:
                    began[0] = time.perf_counter()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        waiting_s = time.perf_counter() - began[0]
        done.set()
        if waiting_s > max([*took_s, PAUSE_S]):
            took_s.append(waiting_s)


def _measured(program: Path | None, arguments: argparse.Namespace) -> Measured:
    made = Measured()
    with tempfile.TemporaryDirectory(prefix="bench-askers-") as folder:
        platform = Platform(Path(folder) / "data", program=program).start()
        try:
            fill(platform, arguments.rows)
            with _timing(platform.http, _light, made.beside_sql_s):
                _asked_by(platform, SQL_ASKERS, _sql, arguments.seconds / 4)
            platform.restart()
            with Watch(platform) as watch:
                askers = Askers(platform.http)
                askers.start(arguments.heavy, _heavy)
                time.sleep(WARM_UP_S)
                with _timing(platform.http, _light, made.light_s), _timing(platform.http, _status, made.status_s):
                    time.sleep(arguments.seconds)
                made.answers = dict(sorted(askers.answers.items()))
            made.platform_mb = watch.peak_rss_mb["platform"]
            askers.start(SQL_ASKERS, _sql)
            time.sleep(1)
            began = time.monotonic()
            platform.stop(STOPPED_WITHIN_S)
            made.stop_s = time.monotonic() - began
            askers.stop()
        except PlatformError:
            platform.kill_all()
            raise
    return made


def _asked_by(platform: Platform, count: int, ask: Callable[[httpx.Client], httpx.Response], seconds: float) -> None:
    askers = Askers(platform.http)
    askers.start(count, ask)
    time.sleep(seconds)
    askers.stop()


def measure(arguments: argparse.Namespace) -> report.Report:
    """Both builds in turn, the other one first."""
    made = report.Report(
        f"{arguments.heavy} clients ask for seconds over {arguments.rows:,} readings",
        list(COLUMNS),
        notes=["Refusals (503, 429) of a light question are no answers: it goes on waiting."],
    )
    sides: dict[str, Path | None] = {THIS: None}
    if arguments.against:
        sides = {OTHER: arguments.against / ".venv" / "bin" / "allthings", **sides}
    found: dict[str, Measured] = {}
    for name, program in sides.items():
        report.say(name)
        found[name] = _measured(program, arguments)
        made.rows.append([name, *found[name].row()])
    this = found[THIS]
    made.below("/api/status at most, s", max(this.status_s), STATUS_S_MAX)
    made.below("a light question beside four cross joins at most, s", max(this.beside_sql_s), BESIDE_SQL_S_MAX)
    made.below("stop under load, s", this.stop_s, STOP_S_MAX)
    made.figures["light_p95_s"] = this.light_p95_s
    if OTHER in found:
        made.figures["ratio"] = this.light_p95_s / found[OTHER].light_p95_s
        made.below("light p95, this build / the other", made.figures["ratio"], RATIO_MAX)
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--against", type=Path, help="a checkout of the build to compare with, set up by its make")
    parser.add_argument("--seconds", type=float, default=40, help="how long is measured beside heavy askers")
    parser.add_argument("--heavy", type=int, default=50, help="clients that ask for much")
    parser.add_argument("--rows", type=int, default=1_800_000, help="readings of the series")
    report.run(parser.parse_args(), measure)
