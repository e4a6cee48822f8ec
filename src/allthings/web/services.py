"""What the web application serves from: the parts of the platform, given by the runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from allthings.connectors.bridges import Bridges
from allthings.gateway.attempts import SharedAttempts
from allthings.historian.history import History
from allthings.historian.keeper import Keeper
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.readings.decoder import Decoder
from allthings.registry.registry import Registry
from allthings.things.times import now_ns
from allthings.twin.twin import Twin
from allthings.web.pools import Pools
from allthings.web.settings import WebSettings


class Rates(msgspec.Struct):
    """Per second, over the last few seconds."""

    messages: float = 0.0
    readings: float = 0.0
    rejects: float = 0.0


class Totals(msgspec.Struct):
    """Readings and unclaimed messages since the start; rejects that wait for somebody to mend their cause."""

    readings: int = 0
    rejects: int = 0
    unclaimed: int = 0


class Role(msgspec.Struct):
    """One role of the platform (gateway, historian, …): `state` is starting, running, restarting or stopped."""

    name: str
    state: str
    restarts: int = 0


class Lost(msgspec.Struct):
    """What the history has lost for good: about so many rows of a kind (0: not known how many), of these things and
    `more` others, of times from `start` up to `end`."""

    kind: str
    rows: int
    start: str
    end: str
    things: list[str]
    more: int


class HistoryState(msgspec.Struct):
    """`open`, `healing` (open, and something that it lost is made anew) or `away`; `detail` says what or why."""

    state: Literal["open", "healing", "away"] = "open"
    detail: str = ""
    lost: list[Lost] = []


@dataclass(slots=True)
class PlatformStats:
    """What only the runtime knows. It fills this in place; the web application only reads it.

    `ready` is true while every role that this platform should run does. `totals.rejects` is counted when asked.
    """

    connections: int = 0
    #: How many gateways there are; 0 when that is not known.
    gateways: int = 0
    rates: Rates = field(default_factory=Rates)
    totals: Totals = field(default_factory=Totals)
    roles: list[Role] = field(default_factory=list)
    history: HistoryState = field(default_factory=HistoryState)
    ready: bool = True
    #: Why gateways make devices wait, and what trouble they have with the log.
    holding: list[str] = field(default_factory=list)
    trouble: str = ""


@dataclass(slots=True)
class Services:
    """The parts that handlers use. `clock` gives nanoseconds since the epoch, UTC; `bridges` None: none run here;
    `keeper` None: nobody keeps the history going here; `attempts`: failed logins, here and at the gateways; `reserve`:
    what is kept free of the disk, if anything is.
    """

    registry: Registry
    history: History
    twin: Twin
    log: Log
    decoder: Decoder
    settings: WebSettings
    stats: PlatformStats = field(default_factory=PlatformStats)
    bridges: Bridges | None = None
    keeper: Keeper | None = None
    clock: Callable[[], int] = now_ns
    pools: Pools = field(default_factory=Pools)
    attempts: SharedAttempts = field(default_factory=SharedAttempts)
    reserve: Reserve | None = None

    async def require_room(self) -> None:
        """Before anything is appended. Raises NoRoomError when the disk has no more free than its reserve."""
        if self.reserve is not None:
            await self.reserve.require()


#: A handler's parameter `services: Given` is this application's services.
Given: TypeAlias = NamedDependency[SkipValidation[Services]]
