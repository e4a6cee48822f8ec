"""The load generator: a small C program, compiled when it is first needed, so that the client is never what is slow.

    result = load.publish(Load(connections=50, in_flight=100, seconds=5), port, payloads)

`python -m bench.load` shows its own ceiling against a sink that does nothing but acknowledge.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import platformdirs

SOURCES = Path(__file__).parent
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra")
TLS_FLAGS = ("-DWITH_TLS", "-lssl", "-lcrypto")
#: What `mqtt_load` replaces by the microseconds since the epoch when it sends a message; the member that it reads back.
STAMP = '"sent_us":__NOW_US_EPOCH__'
#: Beyond the time of the run itself: connecting, and waiting for the last acknowledgements.
_GRACE_S = 90.0


class LoadError(RuntimeError):
    """The load could not be built or did not run to its end; the text says why."""


class LatencyMs(msgspec.Struct, frozen=True):
    p50: float
    p95: float
    p99: float
    max: float
    count: int


class Result(msgspec.Struct, frozen=True):
    """What a run measured. `per_s` counts acknowledgements (publishing) or deliveries (subscribing, relaying) within
    the window; `acknowledged` and `sent` count everything, warm-up and draining too; `lost` are deliveries that never
    came, `resumed` TLS handshakes that took up a session. `cpu_share` is the generator's own CPU time as a share of one
    core: near 1 it, and not the broker, may have been the limit."""

    mode: str
    mqtt: int
    qos: int
    connections: int
    in_flight: int
    connect_s: float
    connects_per_s: float
    seconds: float
    sent: int
    acknowledged: int
    received: int
    received_bytes: int
    lost: int
    resumed: int
    sent_per_s: float
    per_s: float
    cpu_s: float
    cpu_share: float
    latency_ms: LatencyMs
    per_second: list[int]


@dataclass(frozen=True)
class Load:
    """What to do; the fields are the options of `mqtt_load`. `%d` in topic and user is the connection's number."""

    connections: int = 50
    in_flight: int = 100
    seconds: float = 5.0
    count: int = 0
    warm_up: float = 0.0
    rate: float = 0.0
    qos: int = 1
    mqtt: int = 4
    topic: str = "things/load-%d/properties"
    topics: int = 1
    user: str = ""
    password: str = ""
    mode: str = "publish"
    subscribers: int = 0
    filter: str = ""
    copies: int = 1
    tls: int = 0

    def arguments(self) -> list[str]:
        """The options that differ from nothing, as the program takes them."""
        names = list(self.__dataclass_fields__)
        return [
            part
            for name in names
            if getattr(self, name)
            for part in (f"--{name.replace('_', '-')}", str(getattr(self, name)))
        ] + ([] if self.qos else ["--qos", "0"])


def program(name: str, tls: bool = False) -> Path:
    """`mqtt_load` or `mqtt_sink`, compiled into the user's cache unless it is there for just these sources.

    With `tls` OpenSSL's headers are needed (Debian: libssl-dev).
    """
    flags = TLS_FLAGS if tls else ()
    digest = hashlib.sha256(" ".join((*FLAGS, *flags)).encode())
    for part in sorted(SOURCES.glob("*.[ch]")):
        digest.update(part.read_bytes())
    path = Path(platformdirs.user_cache_dir("allthings")) / "bench" / digest.hexdigest()[:16] / name
    if not path.exists():
        compiler = next((found for found in map(shutil.which, ("cc", "gcc", "clang")) if found), None)
        if compiler is None:
            raise LoadError("a C compiler (cc, gcc or clang) is needed to build the load generator")
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        command = [compiler, *FLAGS, "-o", str(fresh), str(SOURCES / f"{name}.c"), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            hint = " (are OpenSSL's headers there? Debian: libssl-dev)" if tls else ""
            raise LoadError(f"{name}.c does not compile{hint}:\n{done.stderr}")
        fresh.replace(path)
    return path


@dataclass
class Run:
    """A load that runs beside something else: `start`, then `result` once, or `stop`."""

    load: Load
    port: int
    payloads: Iterable[bytes] = ()
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _file: str = field(default="", init=False)

    def start(self) -> Self:
        """Start it; returns when all of its connections (and subscriptions) are accepted."""
        load = self.load
        command = [str(program("mqtt_load", bool(load.tls))), *load.arguments(), "--port", str(self.port)]
        if load.mode in ("publish", "relay"):
            with tempfile.NamedTemporaryFile(prefix="payloads-", delete=False) as file:
                file.write(b"\n".join(self.payloads))
            self._file = file.name
            command += ["--payloads", self._file]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if line != "ready\n":
            self.stop()
            raise LoadError(line.strip() or "the load generator ended before it was ready")
        return self

    def result(self) -> Result:
        """Wait for its end and take its figures. Raises LoadError when it failed."""
        assert self._process is not None
        try:
            out, said = self._process.communicate(timeout=self.load.seconds + self.load.warm_up + _GRACE_S)
        except subprocess.TimeoutExpired:
            raise LoadError("the load generator does not come to its end") from None
        finally:
            self.stop()
        if self._process.returncode:
            raise LoadError(said.strip() or f"mqtt_load ended with status {self._process.returncode}")
        return msgspec.json.decode(out, type=Result)

    def stop(self) -> None:
        """End it if it runs, and clean up."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._file:
            Path(self._file).unlink(missing_ok=True)
            self._file = ""


def publish(load: Load, port: int, payloads: Iterable[bytes]) -> Result:
    """Run a load to its end."""
    return Run(load, port, payloads).start().result()


class Sink:
    """A server that acknowledges at once and does nothing else, as a context manager with a `port`."""

    def __enter__(self) -> Self:
        command = [str(program("mqtt_sink"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
