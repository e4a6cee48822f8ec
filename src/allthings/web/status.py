"""How the platform is: for people (`/api/status`) and for supervisors (`/health`, `/ready`)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from litestar import Request, get

import allthings
from allthings.gateway.statistics import DISK
from allthings.historian.errors import HistorianUnavailableError
from allthings.log import reserve
from allthings.log.errors import LogUnavailableError, NoRoomError
from allthings.log.stream import LogStatus
from allthings.things.errors import LimitExceededError, UnavailableError
from allthings.things.times import NS_PER_S, format_time
from allthings.web import disk, settings
from allthings.web.errors import NotReadyError
from allthings.web.openapi import describe
from allthings.web.services import Given, HistoryState, Rates, Role, Services, Totals

_LOGGER = logging.getLogger(__name__)

_LOGGER = logging.getLogger(__name__)


class ThingCounts(msgspec.Struct):
    """Things known, those heard of lately, and those that nobody adopted yet."""

    total: int
    online: int
    discovered: int


class Disk(msgspec.Struct):
    """Bytes: all data of the platform, what is free, and the shares of the log and the history; and how many files can
    still be made, null if as many as fit. `shortage` says in words what there is too little of, if it is.
    """

    data_bytes: int
    free_bytes: int
    log_bytes: int
    history_bytes: int
    free_files: int | None = None
    shortage: str = ""


class Consumer(msgspec.Struct):
    """A consumer of the log: where it stands, and how far behind that is in blocks and seconds."""

    name: str
    position: str
    lag_blocks: int
    lag_s: float


class LogState(msgspec.Struct):
    """First and last block of the log, and its size. `trouble`: why it takes no appends, empty while it does, as an
    append just said.
    """

    first: str
    last: str
    bytes: int
    trouble: str = ""


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
    history: HistoryState
    #: Why devices are made to wait, if they are.
    holding: list[str] = []


class StatusKeeper:
    """Gathers the state at most once a second, however many ask. Nobody waits for a part that is slow."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._gathering: asyncio.Task[Status] | None = None
        self._status: Status | None = None
        self._gathered_ns = 0
        self._data_bytes = 0
        self._measured_ns = 0
        self._history_bytes = 0
        self._rejects = 0

    async def get(self) -> Status:
        """The state, at most STATUS_CACHED_S old, or as it was last when that would take long: `now` says of when.

        Raises UnavailableError when the log or the registry does not answer, or the state is too old to be told.
        """
        now = self._services.clock()
        age_s = (now - self._gathered_ns) / NS_PER_S
        if self._status is not None and age_s < settings.STATUS_CACHED_S:
            return self._status
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._gather_now(now), name="status")
            self._gathering.add_done_callback(self._gathered)
        # The others go on waiting when the client of one goes away.
        gathering = self._gathering
        within_s = settings.STATUS_FIRST_S_MAX if self._status is None else settings.STATUS_WAIT_S_MAX
        await asyncio.wait([gathering], timeout=within_s)
        if gathering.done():
            return gathering.result()
        if self._status is not None and age_s < settings.STATUS_OLD_S_MAX:
            return self._status
        raise UnavailableError("the state of the platform cannot be told: a part of it does not answer")

    def _gathered(self, gathering: asyncio.Task[Status]) -> None:
        self._gathering = None
        if not gathering.cancelled() and (error := gathering.exception()) is not None:
            _LOGGER.warning("the state of the platform cannot be gathered: %s", error)

    async def _gather_now(self, now: int) -> Status:
        self._status = await self._gather(now)
        self._gathered_ns = now
        return self._status

    async def _gather(self, now: int) -> Status:
        services = self._services
        stats = services.stats
        log = await services.log.status()
        run, things = services.pools.registry.run, services.registry.things
        room = await run(reserve.room, services.settings.data_dir)
        shortage = await run(services.reserve.shortage) if services.reserve else ""
        await self._look_at_history()
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
                rejects=self._rejects,
                unclaimed=stats.totals.unclaimed,
            ),
            disk=Disk(
                data_bytes=await self._measured(now),
                free_bytes=room.free_bytes,
                log_bytes=log.bytes,
                history_bytes=self._history_bytes,
                free_files=room.free_files,
                shortage=shortage,
            ),
            consumers=[
                await self._consumer(name, log, now)
                for name in sorted(log.positions)
                # Gateways hand messages on at once; what they keep is a snapshot every few seconds, not a lag.
                if not name.startswith("sessions-")
            ],
            roles=stats.roles,
            log=LogState(str(log.first), str(log.last), log.bytes, "" if shortage else await self._trouble()),
            history=stats.history,
            holding=stats.holding,
        )

    async def _trouble(self) -> str:
        """What an append says, or that it has not said anything soon: nobody waits for one that fails."""
        stats, log = self._services.stats, self._services.log
        asked = asyncio.ensure_future(log.trouble(settings.STATUS_CACHED_S))
        await asyncio.wait([asked], timeout=settings.APPEND_SHOWN_S)
        if asked.done():
            return asked.result() or stats.trouble
        return stats.trouble or f"an append is not answered within {settings.APPEND_SHOWN_S:g} s"

    async def _look_at_history(self) -> None:
        """What the history tells stays as it was while it does not answer: /ready says that."""
        run, history = self._services.pools.state.run, self._services.history
        try:
            self._history_bytes, self._rejects = await run(history.disk_bytes), await run(history.waiting_rejects)
        except (UnavailableError, LimitExceededError) as error:
            _LOGGER.info("the history does not tell its size: %s", error.detail)

    async def _measured(self, now: int) -> int:
        if not self._measured_ns or now - self._measured_ns >= settings.DISK_CACHED_S * NS_PER_S:
            self._data_bytes = await self._services.pools.state.run(disk.folder_bytes, self._services.settings.data_dir)
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
    "version": "0.3.0",
    "started": "2026-11-22T08:00:00Z",
    "now": "2026-11-22T08:30:00Z",
    "things": {"total": 12, "online": 11, "discovered": 2},
    "connections": 11,
    "rates": {"messages": 120.0, "readings": 360.0, "rejects": 0.0},
    "totals": {"readings": 1200000, "rejects": 3, "unclaimed": 0},
    "disk": {"data_bytes": 9000000, "free_bytes": 80000000000, "log_bytes": 7000000, "history_bytes": 2000000},
    "consumers": [{"name": "historian", "position": "4711", "lag_blocks": 0, "lag_s": 0.0}],
    "roles": [{"name": "gateway", "state": "running", "restarts": 0}],
    "log": {"first": "1", "last": "4711", "bytes": 7000000, "trouble": ""},
    "history": {"state": "open", "detail": "", "lost": []},
    "holding": [],
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
            503: (
                "It does not",
                {
                    "application/problem+json": {
                        "status": 503,
                        "parts": ["log"],
                        "reasons": {"log": "the log does not take appends (blocks: an append was not answered)"},
                    }
                },
            ),
        },
    ),
)
async def ready(request: Request[Any, Any, Any], services: Given) -> dict[str, str]:
    """For load balancers: every role runs, registry and history answer, and the log takes what is sent.

    Nothing is ready while devices wait because the disk is nearly full, or while an append fails. `reasons` says why.
    """
    failed: list[str] = []
    reasons: dict[str, str] = {}
    if not services.stats.ready:
        failed.append("roles")
    checks = {
        "disk": _room(services),
        "log": _takes(services),
        "registry": services.pools.registry.run(services.registry.things.version),
        "history": services.pools.state.run(services.history.rolled_up),
    }
    answers = await asyncio.gather(*checks.values(), return_exceptions=True)
    for name, answer in zip(checks, answers, strict=True):
        if isinstance(answer, BaseException):
            failed.append(name)
            if isinstance(answer, LogUnavailableError | NoRoomError | HistorianUnavailableError):
                reasons[name] = answer.detail
    if failed:
        said = ", ".join(f"{name} ({reasons[name]})" if name in reasons else name for name in failed)
        _say(request.app.state, failed, f"not ready: {said}")
        raise NotReadyError(f"not ready: {said}", parts=failed, reasons=reasons)
    _say(request.app.state, [], "ready again")
    return {"status": "ready"}


def _say(state: Any, failed: list[str], text: str) -> None:
    """Log what has changed since somebody asked last: some ask all the time."""
    if failed != state.get("unready", []):
        state.unready = failed
        _LOGGER.warning(text)


async def _room(services: Services) -> None:
    """Raises NoRoomError while devices wait for the disk."""
    await services.require_room()
    if DISK in services.stats.holding:
        raise NoRoomError(f"gateways make devices wait: {DISK}")


async def _takes(services: Services) -> None:
    """Raises LogUnavailableError when the log cannot be read, or does not take an append. None is tried on a full disk,
    where it would be the one that breaks the log."""
    await services.log.status()
    if services.reserve is not None:
        shortage = await asyncio.to_thread(services.reserve.shortage)
        if shortage:
            return
    if trouble := await services.log.trouble() or services.stats.trouble:
        raise LogUnavailableError(trouble)


HANDLERS = [status, health, ready]
