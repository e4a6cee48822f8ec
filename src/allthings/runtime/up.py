"""`allthings up`: all roles on one machine, as children of a small supervisor.

Start: claim the data directory, open the ports, then nats-server, then gateway and platform at once; each child waits
for what it needs. Stop: first the gateway (no more devices), then the platform (finishes what it has), then the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from allthings.gateway.shard import Shard
from allthings.runtime import activation, datadir, listening, logopening, memory, natsserver, role, sockets
from allthings.runtime.child import Child, ChildSpec
from allthings.runtime.errors import StartError
from allthings.runtime.logstorage import LogStorage
from allthings.runtime.logwatch import LogWatch
from allthings.runtime.settings import Settings

#: The environment variable by which children learn where the platform can be reached.
ADDRESS_VARIABLE = "ALLTHINGS_ADDRESSES"
#: The environment variable by which a gateway learns which of several it is.
SHARD_VARIABLE = "ALLTHINGS_SHARD"
STATE_FILE = "state.json"
#: Everybody waits for the log, so that it is never long until it is tried again.
_LOG_PAUSE_S_MAX = 3.0

OnReady = Callable[[str, str], Sequence[ChildSpec]]


def _say(text: str) -> None:
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - a line for people
    sys.stderr.write(f"{stamp} supervisor: {text}\n")
    sys.stderr.flush()


def run_up(settings: Settings, on_ready: OnReady | None = None) -> None:
    """Run until SIGTERM or SIGINT. `on_ready(http_url, mqtt_url)` is called once all answers; what it returns is
    started as further children. Raises StartError."""
    program = None if settings.nats else natsserver.program(settings.nats_server)
    lock = datadir.claim(settings.data, settings.disk_reserve_mb)
    with contextlib.ExitStack() as stack:
        opened = listening.open_all(settings, activation.inherited(os.environ, os.getpid()), stack)
        handover = listening.handover(settings.gateways, stack)
        supervisor = _Supervisor(settings, program, lock, opened, handover, on_ready)
        memory.stay_small()
        if not asyncio.run(supervisor.run()):
            raise StartError("a part of the platform cannot run with these settings; its reason stands above")


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        program: natsserver.Program | None,
        lock: int,
        opened: listening.Opened,
        handover: list[list[socket.socket]],
        on_ready: OnReady | None,
    ) -> None:
        self._settings = settings
        #: The nats-server to run; None when the log is elsewhere.
        self._program = program
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._children: list[Child] = []
        self._addresses = listening.addresses(settings, opened)
        self._opened, self._handover, self._lock = opened, handover, lock

    async def run(self) -> bool:
        """Start everything, wait for the signal to stop, stop everything. False when a child cannot run at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        settings = self._settings
        nats_url, server, storage = self._start_nats(self._program) if self._program else (settings.nats, None, None)
        roles = [
            *(
                self._add(self._gateway(nats_url, Shard(index, settings.gateways)))
                for index in range(settings.gateways)
            ),
            self._add(self._platform(nats_url)),
        ]
        watch = LogWatch(nats_url, _say, lambda: any(role.state != "running" for role in roles), server, storage)
        tasks = [*(asyncio.create_task(child.run()) for child in self._children), asyncio.create_task(watch.run())]
        if server is not None:
            opening = logopening.watch(server, settings.data / "log" / "nats.log", _say)
            tasks.append(asyncio.create_task(opening, name="opening"))
        ready = asyncio.create_task(self._tell_when_ready(roles, tasks))
        unusable = [asyncio.create_task(child.unusable.wait()) for child in self._children]
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stop, *unusable], return_when=asyncio.FIRST_COMPLETED)
        usable = not any(task.done() for task in unusable)
        for task in (ready, stop, *unusable):
            task.cancel()
        await self._stop_all(tasks)
        return usable

    def _start_nats(self, program: natsserver.Program) -> tuple[str, Child, LogStorage]:
        """The private server; it is started as the other children are."""
        settings = self._settings
        server = natsserver.PrivateNats(settings.data, sockets.free_port(), int(settings.log_keep_gb * 1024**3))
        server.write()

        async def answers() -> bool:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except OSError:
                return False
            try:
                return (await reader.read(4)) == b"INFO"
            finally:
                writer.close()

        log = settings.data / "log" / "nats.log"
        argv = [program.path, "-c", str(server.configuration), "-l", str(log)]
        storage = LogStorage(log.parent, _say)
        spec = ChildSpec(
            *("log", argv, natsserver.ENVIRONMENT),
            descriptors=(self._lock,),
            probe=answers,
            stop_within_s=2,
            pause_s_max=_LOG_PAUSE_S_MAX,
            before=storage.prepare,
        )
        return server.url, self._add(spec), storage

    def _gateway(self, nats_url: str, shard: Shard) -> ChildSpec:
        opened = {**self._opened, "handover": self._handover[shard.index]}
        bequest = listening.bequest(opened, (*listening.OF_GATEWAY, "handover"))
        name = shard.source("gateway")
        return self._role(name, "gateway", nats_url, bequest, 3, {SHARD_VARIABLE: str(shard)})

    def _platform(self, nats_url: str) -> ChildSpec:
        bequest = listening.bequest(self._opened, listening.OF_PLATFORM)
        return self._role("platform", "platform", nats_url, bequest, 4, {})

    def _role(
        self,
        name: str,
        module: str,
        nats_url: str,
        bequest: tuple[str, tuple[int, ...]],
        stop_within_s: float,
        environment: Mapping[str, str],
    ) -> ChildSpec:
        named, descriptors = bequest
        return ChildSpec(
            name,
            role.command(f"allthings.runtime.{module}"),
            environment={
                **memory.ENVIRONMENT,
                **self._settings.environment(),
                **environment,
                "ALLTHINGS_NATS": nats_url,
                listening.LISTENERS_VARIABLE: named,
                ADDRESS_VARIABLE: json.dumps(self._addresses),
            },
            descriptors=(self._lock, *descriptors),
            stop_within_s=stop_within_s,
        )

    def _add(self, spec: ChildSpec) -> Child:
        child = Child(spec, self._write_state, _say)
        self._children.append(child)
        return child

    async def _tell_when_ready(self, roles: list[Child], tasks: list[asyncio.Task[None]]) -> None:
        for child in roles:
            await child.ready.wait()
        named = " ".join(f"{name}={url}" for name, url in self._addresses.items() if "://" in url)
        print(f"ready {named}", flush=True)  # noqa: T201
        if self._on_ready:
            further = self._on_ready(self._addresses["http"], self._addresses["mqtt"])
            tasks.extend(asyncio.create_task(self._add(spec).run()) for spec in further)

    async def _stop_all(self, tasks: list[asyncio.Task[None]]) -> None:
        """The log goes last; what was added after it (the demo's player) goes first."""
        for child in sorted(self._children, key=lambda child: _STOP_ORDER.get(child.spec.name.partition("-")[0], 0)):
            await child.stop()
        await asyncio.wait(tasks, timeout=1)
        for task in tasks:
            task.cancel()

    def _write_state(self) -> None:
        """Tell the platform (status page) and `allthings doctor` how the roles are."""
        roles = [{"name": c.spec.name, "state": c.state, "restarts": c.restarts, "pid": c.pid} for c in self._children]
        state = {"pid": os.getpid(), "addresses": self._addresses, "roles": roles}
        path = self._settings.data / STATE_FILE
        temporary = path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not stop the supervisor
            temporary.write_text(json.dumps(state))
            temporary.replace(path)


_STOP_ORDER = {"gateway": 1, "platform": 2, "log": 3}


def read_state(data: Path) -> dict[str, object]:
    """What the supervisor last said of its children; empty when there is nothing."""
    try:
        state = json.loads((data / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}
