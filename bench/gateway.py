"""A gateway and its log with nothing behind them: what a broker is, without historian, twin and web."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil  # type: ignore[import-untyped]

from allthings.registry.access import Terms
from allthings.registry.registry import Registry
from allthings.runtime import memory, natsserver, role, sockets
from allthings.runtime.child import READY_VARIABLE
from allthings.runtime.listening import LISTENERS_VARIABLE
from allthings.things.times import now_ns

_LOG_BYTES = 20 << 30


#: What clients without credentials may do here, in the form that rules have: some that hold for what the loads do, and
#: some beside them.
_RULES: Final = (
    *(
        Terms("anonymous", topics, publish=True, subscribe=True)
        for topics in ("things/+/properties", "fan/#", "latency/#")
    ),
    Terms("anonymous", "clients/{client}/#", publish=True, subscribe=True),
    Terms("anonymous", "news/#", subscribe=True),
)


class GatewayAlone:
    """The gateway's process and a private nats-server, as `allthings up` would start them, on a free port.

    Access rules are on: clients come in without credentials, by rules of their own. With a certificate (PEM, its key in
    the same file) it listens for TLS too, on `tls_port`.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self._certificate = certificate

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-gateway-")
        folder = Path(self._folder.name)
        server = natsserver.PrivateNats(folder, sockets.free_port(), _LOG_BYTES)
        server.write()
        registry = Registry(f"sqlite:///{folder / 'registry.db'}")
        registry.migrate()
        for terms in _RULES:
            registry.access.create(terms, now_ns())
        registry.close()
        log = str(folder / "nats.log")
        self._nats = subprocess.Popen([natsserver.program("").path, "-c", str(server.configuration), "-l", log])
        with sockets.listen("127.0.0.1", 0, "MQTT", "") as plain, sockets.listen("127.0.0.1", 0, "MQTT", "") as secure:
            self.port, self.tls_port = int(plain.getsockname()[1]), int(secure.getsockname()[1])
            listeners = {"mqtt": plain, "mqtts": secure} if self._certificate else {"mqtt": plain}
            self._gateway = self._start(listeners, server.url)
        return self

    def _start(self, listeners: dict[str, socket.socket], nats_url: str) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        descriptors = {name: listener.fileno() for name, listener in listeners.items()}
        process = subprocess.Popen(
            role.command("allthings.runtime.gateway"),
            env={
                **os.environ,
                **memory.ENVIRONMENT,
                "ALLTHINGS_DATA": self._folder.name,
                "ALLTHINGS_NATS": nats_url,
                "ALLTHINGS_TLS_CERT": str(self._certificate or ""),
                LISTENERS_VARIABLE: json.dumps({name: [each] for name, each in descriptors.items()}),
                READY_VARIABLE: str(writing),
            },
            pass_fds=(*descriptors.values(), writing),
        )
        os.close(writing)
        ready = os.read(reading, 1)
        os.close(reading)
        if not ready:
            self._nats.kill()
            raise RuntimeError("the gateway ended before it was ready")
        return process

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU that each process has used."""
        processes = {"gateway": self._gateway, "nats-server": self._nats}
        times = {name: psutil.Process(process.pid).cpu_times() for name, process in processes.items()}
        return {name: float(each.user + each.system) for name, each in times.items()}

    def rss(self) -> int:
        """Resident bytes of the gateway's process."""
        return int(psutil.Process(self._gateway.pid).memory_info().rss)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._gateway, self._nats):
            process.terminate()
            process.wait()
        self._folder.cleanup()
