"""Errors of the disk for the log's server, put in by strace: its system calls on the log's files fail as they are told.

The server is a static program, so that nothing can be put between it and its system calls but this.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from allthings.testing.platform import Platform

#: Where an error is put in: the system calls of each place.
PLACES = {"write": "write,pwrite64,writev", "sync": "fsync,fdatasync", "open": "openat"}
ERRORS = ("EIO", "ENOSPC", "EDQUOT")
ATTACHED_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.02


def impossible() -> str:
    """Why errors cannot be put in on this machine; "" when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            tracer = subprocess.Popen(
                ["strace", "-p", str(victim.pid), "-e", "inject=fsync:error=EIO"], stderr=subprocess.PIPE, text=True
            )
            assert tracer.stderr is not None
            said = tracer.stderr.readline().strip()
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        finally:
            victim.kill()
    return "" if "attached" in said else f"strace cannot attach: {said}"


@dataclass
class Attached:
    """A time in which the calls of one server fail, by the clock of time.monotonic."""

    begun: float
    ended: float = float("inf")


class Injection:
    """Makes the calls of a place fail: one in each thread of the server that runs now (`once`), or all until `end`."""

    def __init__(self, platform: Platform, place: str, error: str, *, once: bool) -> None:
        self.once = once
        #: When which calls failed for sure.
        self.times: list[Attached] = []
        self._platform = platform
        self._inject = f"inject={PLACES[place]}:error={error}" + (":when=1" if once else "")
        self._over = threading.Event()
        self._attached = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Returns when the calls fail."""
        self._thread.start()
        if not self._attached.wait(ATTACHED_WITHIN_S):
            raise RuntimeError("strace did not attach to the log's server")

    def end(self) -> None:
        """Returns when the calls do not fail any more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        """Attach to the server, and to the one that replaces it."""
        while not self._over.is_set():
            server = self._platform.processes().get("nats-server")
            if server is not None:
                self._trace(int(server.pid))
            if self.once and self.times:
                break
            time.sleep(_LOOK_EVERY_S)

    def _trace(self, pid: int) -> None:
        paths = [word for path in _files(self._platform.data) for word in ("-P", str(path))]
        tracer = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", *paths, "-e", self._inject, "-p", str(pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr is not None
        try:
            if "attached" not in tracer.stderr.readline():
                return  # it has ended meanwhile
            time_ = Attached(time.monotonic())
            self.times.append(time_)
            self._attached.set()
            while tracer.poll() is None and not self._over.wait(_LOOK_EVERY_S):
                if self.once and time.monotonic() - time_.begun > 1:
                    break
            time_.ended = time.monotonic() - _LOOK_EVERY_S
        finally:
            with contextlib.suppress(ProcessLookupError):
                tracer.send_signal(signal.SIGINT)
            tracer.communicate()


def _files(data: Path) -> list[Path]:
    """The newest block of each stream of the log, and the one that comes after it."""
    found: list[Path] = []
    for messages in data.glob("log/jetstream/*/streams/*/msgs"):
        numbers = [int(path.stem) for path in messages.glob("*.blk") if path.stem.isdecimal()]
        newest = max(numbers, default=1)
        found += [messages / f"{newest}.blk", messages / f"{newest + 1}.blk"]
    return found
