"""The broker to compare with: mosquitto 2 as Debian packs it, persistence off, nothing else asked of it."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]

from allthings.runtime.sockets import free_port
from bench import machine

_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 0
log_type error
"""
_TLS = """\
listener {port} 127.0.0.1
certfile {certificate}
keyfile {certificate}
"""
_START_WITHIN_S = 10.0


class Mosquitto:
    """A mosquitto on a free port, as a context manager. FileNotFoundError when it is not installed.

    With a certificate (PEM, its key in the same file) it listens for TLS too, on `tls_port`.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate

    def __enter__(self) -> Self:
        program = machine.mosquitto_program()
        if program is None:
            raise FileNotFoundError("mosquitto is not installed (Debian: apt install mosquitto)")
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="bench-mosquitto-")
        configuration = Path(self._folder.name) / "mosquitto.conf"
        text = _CONFIGURATION.format(port=self.port)
        if self._certificate:
            self.tls_port = free_port()
            text += _TLS.format(port=self.tls_port, certificate=self._certificate)
        configuration.write_text(text)
        self._process = subprocess.Popen([program, "-c", str(configuration)])
        deadline = time.monotonic() + _START_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return {"mosquitto": float(times.user + times.system)}

    def rss(self) -> int:
        """Its resident bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()
