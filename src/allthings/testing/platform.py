"""The whole platform in processes of its own, for tests, measurements and soaks: started, killed, started again.

Nothing of it is imported: `allthings up` runs as a user would run it, and is seen from outside only.
"""

from __future__ import annotations

import collections
import contextlib
import os
import re
import signal
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil  # type: ignore[import-untyped]

START_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
_LINES_MAX: Final = 2_000
_POLL_S: Final = 0.02
_READY: Final = re.compile(
    r"^ready http=(?P<http>\S+://[^/\s]+:(?P<http_port>\d+))\S* mqtt=\S+:(?P<mqtt_port>\d+)(?: \S+)*$"
)
#: What tells a process of the tree by its command line; all others are named after their program.
_ROLES: Final = {
    "supervisor": re.compile(r"\ballthings up\b"),
    "gateway": re.compile(r"\ballthings\.runtime\.gateway\b"),
    "platform": re.compile(r"\ballthings\.runtime\.platform\b"),
    "nats-server": re.compile(r"\bnats-server\b"),
}


class PlatformError(RuntimeError):
    """The platform did not start, stop or answer as it should; the text has its last output."""


@dataclass(frozen=True)
class Footprint:
    """What one process uses: memory in MB (10^6 bytes) and seconds of CPU since its start.

    `rss` counts shared pages in every process that has them, `pss` shares them out, `uss` leaves them out.
    """

    rss_mb: float
    pss_mb: float
    uss_mb: float
    cpu_s: float


class Platform:
    """`allthings up --open` on a data directory, on free ports of loopback which it keeps over restarts.

    `program` is the `allthings` to run, None the one that is installed with this.
    """

    def __init__(
        self,
        data: Path,
        *,
        arguments: Sequence[str] = ("--open",),
        environment: dict[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self.data = data
        self.http = ""
        #: Everything that the ready line names: http, mqtt, mqtts, …
        self.addresses: dict[str, str] = {}
        self.http_port = self.mqtt_port = 0
        self.mqtt_host = "127.0.0.1"
        self.output: collections.deque[str] = collections.deque(maxlen=_LINES_MAX)
        self._arguments = tuple(arguments)
        self._environment = environment or {}
        self._program = program or Path(sysconfig.get_path("scripts")) / "allthings"
        self._process: subprocess.Popen[str] | None = None
        self._ready = threading.Event()
        self._reader: threading.Thread | None = None
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- start and stop -----------------------------------------------------------------------------------------

    def start(self, within_s: float = START_WITHIN_S) -> Self:
        """Start it and wait for its `ready` line. Raises PlatformError, and ends it, when there is none in time."""
        self.launch()
        try:
            self.wait_ready(within_s)
        except PlatformError:
            self.kill_all()
            raise
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        if self._process is not None and self._process.poll() is None:
            raise PlatformError("it runs already")
        self._close()
        self._ready = threading.Event()
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                *(str(self._program), "up", "--data", str(self.data)),
                *("--http-port", str(self.http_port), "--mqtt-port", str(self.mqtt_port), *self._arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, **self._environment},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, self._ready), daemon=True)
        self._reader.start()

    def wait_ready(self, within_s: float = START_WITHIN_S) -> None:
        """Wait until it has said that it is ready; PlatformError when it ends or takes longer."""
        deadline = time.monotonic() + within_s
        while not self._ready.wait(_POLL_S):
            if self._process is None or self._process.poll() is not None:
                status = None if self._process is None else self._process.returncode
                raise PlatformError(f"it ended with status {status} before it was ready{self._tail()}")
            if time.monotonic() > deadline:
                raise PlatformError(f"it was not ready within {within_s:g} s{self._tail()}")
        self.processes()

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.output.append(line.rstrip("\n"))
            if found := _READY.match(line):
                self.http, self.http_port = found["http"], int(found["http_port"])
                self.mqtt_port = int(found["mqtt_port"])
                self.addresses = dict(word.split("=", 1) for word in line.split()[1:])
                ready.set()

    def stop(self, within_s: float = STOP_WITHIN_S) -> int:
        """SIGTERM; its exit status. Raises PlatformError when it takes too long or leaves a process behind."""
        process = self._process
        if process is None:
            return 0
        self.processes()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise PlatformError(f"it did not stop within {within_s:g} s{self._tail()}") from None
        left = self.wait_gone(within_s)
        if left:
            self._kill(left)
            names = ", ".join(_command(each) for each in left)
            raise PlatformError(f"it left processes behind: {names}{self._tail()}")
        self._close()
        return status

    def restart(self, within_s: float = START_WITHIN_S) -> Self:
        """Stop it if it runs, and start it on the same data and ports."""
        self.stop()
        return self.start(within_s)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.join(STOP_WITHIN_S)
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = self._reader = None

    def _tail(self, lines: int = 30) -> str:
        return "; its output:\n" + "\n".join(list(self.output)[-lines:])

    # -- its processes ------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> dict[str, psutil.Process]:
        """The processes of the tree that run now, by role: supervisor, nats-server, gateway, gateway-1 …, platform."""
        found: dict[str, psutil.Process] = {}
        for process in self._tree():
            self._seen[process.pid] = process
            with contextlib.suppress(psutil.Error):
                role = _role(process)
                while role in found:
                    role = _next(role)
                found[role] = process
        return found

    def _tree(self) -> Iterator[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            supervisor = psutil.Process(self._process.pid)
            yield supervisor
            yield from supervisor.children(recursive=True)

    def footprints(self) -> dict[str, Footprint]:
        """Memory and CPU of each process that runs now, by role."""
        found: dict[str, Footprint] = {}
        for role, process in self.processes().items():
            with contextlib.suppress(psutil.Error):
                memory, cpu = process.memory_full_info(), process.cpu_times()
                found[role] = Footprint(memory.rss / 1e6, memory.pss / 1e6, memory.uss / 1e6, cpu.user + cpu.system)
        return found

    def kill(self, role: str) -> int:
        """SIGKILL to one process, by role; its process id. KeyError when it does not run just now."""
        process = self.processes()[role]
        process.kill()
        if role == "supervisor":
            self._reap()
        return int(process.pid)

    def kill_all(self) -> None:
        """SIGKILL to every process of the tree at once."""
        self._kill(list(self.processes().values()))
        self._reap()

    def _kill(self, processes: Sequence[psutil.Process]) -> None:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_WITHIN_S)

    def wait_gone(self, within_s: float) -> list[psutil.Process]:
        """Wait until no process that was ever seen of a tree that has ended runs; those that still do."""
        running = {process.pid for process in self._tree()}
        gone = [process for pid, process in self._seen.items() if pid not in running]
        # Not psutil's own waiting: it fails when another program's thread has the number of a process that is gone.
        wait_until(lambda: not any(process.is_running() for process in gone), within_s)
        return [process for process in gone if process.is_running()]


def wait_until(holds: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Ask again and again until it holds, for so long at most; whether it does."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def _command(process: psutil.Process) -> str:
    try:
        return f"{process.pid} ({' '.join(process.cmdline())})"
    except psutil.Error:
        return str(process.pid)


def _next(role: str) -> str:
    name, _, number = role.partition("-")
    return f"{name}-{int(number or 0) + 1}"


def _role(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    for role, pattern in _ROLES.items():
        if pattern.search(command):
            return role
    return str(process.name())
