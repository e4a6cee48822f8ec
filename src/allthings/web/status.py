"""How the platform is: for people (`/api/status`) and for supervisors (`/health`, `/ready`)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, get

import allthings
from allthings.log.stream import LogStatus
from allthings.things.errors import UnavailableError
from allthings.things.times import NS_PER_S, format_time
from allthings.web import disk, settings
from allthings.web.openapi import describe
from allthings.web.services import Given, Rates, Role, Services, Totals


class ThingCounts(msgspec.Struct):
    """Things known, those heard of lately, and those that nobody adopted yet."""

    total: int
    online: int
    discovered: int


class Disk(msgspec.Struct):
    """Bytes: all data of the platform, what is free, and the shares of the log and the history."""

    data_bytes: int
    free_bytes: int
    log_bytes: int
    history_bytes: int


class Consumer(msgspec.Struct):
    """A consumer of the log: where it stands, and how far behind that is in blocks and seconds."""

    name: str
    position: str
    lag_blocks: int
    lag_s: float


class LogState(msgspec.Struct):
    """First and last block of the log, and its size."""

    first: str
    last: str
    bytes: int


class Status(msgspec.Struct):
    """The state of the platform."""

    version: str
    started: str
    now: str
    things: ThingCounts
    connections: int
    rates: Rates
    totals: Totals
    disk: Disk
    consumers: list[Consumer]
    roles: list[Role]
    log: LogState


class StatusKeeper:
    """Gathers the state at most once a second, however many ask."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._status: Status | None = None
        self._gathered_ns = 0
        self._data_bytes = 0
        self._measured_ns = 0

    async def get(self) -> Status:
        """The state, at most STATUS_CACHED_S old. Raises UnavailableError when a part does not answer."""
        async with self._lock:
            now = self._services.clock()
            if self._status is None or now - self._gathered_ns >= settings.STATUS_CACHED_S * NS_PER_S:
                self._status = await self._gather(now)
                self._gathered_ns = now
            return self._status

    async def _gather(self, now: int) -> Status:
        services = self._services
        stats = services.stats
        log = await services.log.status()
        run, things = services.pools.registry.run, services.registry.things
        history_bytes = await services.pools.history.run(services.history.disk_bytes)
        return Status(
            version=allthings.__version__,
            started=format_time(services.settings.started_ns),
            now=format_time(now),
            things=ThingCounts(
                total=(await run(things.list, limit=1)).total,
                online=services.twin.online_count(),
                discovered=(await run(things.list, state="discovered", limit=1)).total,
            ),
            connections=stats.connections,
            rates=stats.rates,
            totals=Totals(
                readings=stats.totals.readings,
                rejects=await services.pools.history.run(services.history.count_rejects),
                unclaimed=stats.totals.unclaimed,
            ),
            disk=Disk(
                data_bytes=await self._measured(now),
                free_bytes=await run(disk.free_bytes, services.settings.data_dir),
                log_bytes=log.bytes,
                history_bytes=history_bytes,
            ),
            consumers=[
                await self._consumer(name, log, now)
                for name in sorted(log.positions)
                # Gateways hand messages on at once; what they keep is a snapshot every few seconds, not a lag.
                if not name.startswith("sessions-")
            ],
            roles=stats.roles,
            log=LogState(str(log.first), str(log.last), log.bytes),
        )

    async def _measured(self, now: int) -> int:
        if not self._measured_ns or now - self._measured_ns >= settings.DISK_CACHED_S * NS_PER_S:
            self._data_bytes = await self._services.pools.registry.run(
                disk.folder_bytes, self._services.settings.data_dir
            )
            self._measured_ns = now
        return self._data_bytes

    async def _consumer(self, name: str, log: LogStatus, now: int) -> Consumer:
        """The lag in seconds is the age of the oldest block that the consumer has not finished."""
        lag_s = 0.0
        if log.lag[name]:
            oldest = await self._services.log.get(max(log.positions[name] + 1, log.first))
            if oldest is not None:
                lag_s = max(0.0, (now - oldest.stored_ns) / NS_PER_S)
        return Consumer(name, str(log.positions[name]), log.lag[name], round(lag_s, 3))


_EXAMPLE = {
    "version": "0.1.0",
    "started": "2026-11-22T08:00:00Z",
    "now": "2026-11-22T08:30:00Z",
    "things": {"total": 12, "online": 11, "discovered": 2},
    "connections": 11,
    "rates": {"messages": 120.0, "readings": 360.0, "rejects": 0.0},
    "totals": {"readings": 1200000, "rejects": 3, "unclaimed": 0},
    "disk": {"data_bytes": 9000000, "free_bytes": 80000000000, "log_bytes": 7000000, "history_bytes": 2000000},
    "consumers": [{"name": "historian", "position": "4711", "lag_blocks": 0, "lag_s": 0.0}],
    "roles": [{"name": "gateway", "state": "running", "restarts": 0}],
    "log": {"first": "1", "last": "4711", "bytes": 7000000},
}


@get("/api/status", summary="How the platform is", tags=["operations"], opt=describe(example=_EXAMPLE))
async def status(request: Request[Any, Any, Any]) -> Status:
    """Things, rates, disk, the lag of each consumer of the log, the state of each role."""
    keeper: StatusKeeper = request.app.state.status
    return await keeper.get()


@get(
    "/health",
    summary="Does this process answer",
    tags=["operations"],
    opt=describe(public=True, answers={200: ("It does", {"application/json": {"status": "ok"}})}),
)
async def health() -> dict[str, str]:
    """For supervisors: says nothing of the other parts."""
    return {"status": "ok"}


@get(
    "/ready",
    summary="Does the platform serve",
    tags=["operations"],
    opt=describe(
        public=True,
        answers={
            200: ("It does", {"application/json": {"status": "ready"}}),
            503: ("It does not", {"application/problem+json": {"status": 503, "parts": ["log"]}}),
        },
    ),
)
async def ready(services: Given) -> dict[str, str]:
    """For load balancers: every role runs, and log, registry and history answer."""
    failed = []
    if not services.stats.ready:
        failed.append("roles")
    checks = {
        "log": services.log.status(),
        "registry": services.pools.registry.run(services.registry.things.version),
        "history": services.pools.history.run(services.history.rolled_up),
    }
    answers = await asyncio.gather(*checks.values(), return_exceptions=True)
    for name, answer in zip(checks, answers, strict=True):
        if isinstance(answer, BaseException):
            failed.append(name)
    if failed:
        raise UnavailableError(f"not ready: {', '.join(failed)}", parts=failed)
    return {"status": "ready"}


HANDLERS = [status, health, ready]
