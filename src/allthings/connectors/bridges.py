"""All bridges of this installation: started, changed and ended as the registry says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from allthings.connectors import settings
from allthings.connectors.bridge import RunningBridge, forget
from allthings.connectors.outbound import consumer
from allthings.connectors.state import BridgeState
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.registry.bridges import Bridge
from allthings.registry.trouble import Trouble
from allthings.things.errors import AllthingsError

_LOGGER = logging.getLogger(__name__)
_PREFIX = consumer("")


class Known(Protocol):
    """What the registry tells of bridges; both calls block."""

    def version(self) -> int: ...

    def list(self) -> list[Bridge]: ...


class Bridges:
    """Runs in one process of an installation: a bridge has one place in the log and one session at its broker."""

    def __init__(
        self,
        known: Known,
        log: Log,
        now_ns: Callable[[], int],
        reserve: Reserve | None = None,
        *,
        control_characters: bool = False,
    ) -> None:
        """`reserve`: what is kept free of the disk; messages that come in wait at their broker while it is not."""
        self._known = known
        self._log = log
        self._now_ns = now_ns
        self._reserve = reserve
        self._control_characters = control_characters
        self._version = -1
        self._trouble = Trouble(_LOGGER, "bridges cannot be followed")
        self._running: dict[str, tuple[RunningBridge, asyncio.Task[None]]] = {}

    def state(self, name: str) -> BridgeState:
        """How a bridge is; one that does not run is off. What is given does not change later."""
        found = self._running.get(name)
        if found is None:
            return BridgeState(phase="off")
        return msgspec.convert(msgspec.to_builtins(found[0].state), BridgeState)

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the registry until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                try:
                    await self._follow(tasks)
                except AllthingsError as error:
                    self._trouble.tell(error)
                try:
                    async with asyncio.timeout(settings.FOLLOW_EVERY_S):
                        await stop.wait()
                except TimeoutError:
                    continue
            await asyncio.gather(*(self._end(name) for name in tuple(self._running)))

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        version = await asyncio.to_thread(self._known.version)
        if version == self._version:
            return
        bridges = {each.name: each for each in await asyncio.to_thread(self._known.list)}
        await self._forget_removed(bridges, tasks)
        for name, bridge in bridges.items():
            found = self._running.get(name)
            if found is not None and found[0].bridge == bridge:
                continue
            obsolete: set[str] = set()
            if found is not None:
                await self._end(name)
                obsolete = set(found[0].filters) - {each.filter for each in bridge.maps if each.direction == "in"}
            if bridge.enabled:
                running = RunningBridge(
                    *(bridge, self._log, self._now_ns, sorted(obsolete), self._reserve),
                    control_characters=self._control_characters,
                )
                self._running[name] = running, tasks.create_task(running.run(), name=f"bridge {name}")
        self._version = version

    async def _forget_removed(self, bridges: dict[str, Bridge], tasks: asyncio.TaskGroup) -> None:
        for name, (running, _) in tuple(self._running.items()):
            if name not in bridges or bridges[name].id != running.bridge.id:
                await self._end(name)
                tasks.create_task(forget(running.bridge), name=f"farewell {name}")
        for place in (await self._log.status()).positions:
            # A bridge of the same name that is made later begins at the log's end, as any other.
            if place.startswith(_PREFIX) and place.removeprefix(_PREFIX) not in bridges:
                await self._log.forget_position(place)

    async def _end(self, name: str) -> None:
        running, task = self._running.pop(name)
        await running.end(task)
