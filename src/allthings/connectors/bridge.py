"""One bridge: connect, let both directions run, and begin again when the other broker has gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from typing import NoReturn

import aiomqtt

from allthings.connectors import settings
from allthings.connectors.echoes import Echoes
from allthings.connectors.inbound import Inbound
from allthings.connectors.outbound import Outbound
from allthings.connectors.remote import Remote
from allthings.connectors.state import BridgeState
from allthings.log.errors import LogUnavailableError
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.registry.bridges import Bridge
from allthings.things.errors import AllthingsError

_LOGGER = logging.getLogger(__name__)


class RunningBridge:
    """`obsolete` are filters that an earlier form of the bridge subscribed to; `reserve` is kept free of the disk."""

    def __init__(
        self,
        bridge: Bridge,
        log: Log,
        now_ns: Callable[[], int],
        obsolete: Sequence[str] = (),
        reserve: Reserve | None = None,
        *,
        control_characters: bool = False,
    ) -> None:
        self.bridge = bridge
        self.state = BridgeState(since_ns=now_ns())
        self._now_ns = now_ns
        self._obsolete = tuple(obsolete)
        self._ending = False
        echoes = Echoes()
        self._inbound = Inbound(bridge, log, self.state.incoming, echoes, now_ns, reserve, control_characters)
        self._outbound = Outbound(bridge, log, self.state.outgoing, echoes, now_ns)

    async def end(self, task: asyncio.Task[None]) -> None:
        """End `run`, which `task` runs. Again and again: asyncio.wait_for in aiomqtt can swallow a cancellation."""
        self._ending = True
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=settings.FAREWELL_WITHIN_S)

    @property
    def filters(self) -> tuple[str, ...]:
        """What it subscribes to at the other broker."""
        return tuple(each.filter for each in self._inbound.routes.maps)

    async def run(self) -> None:
        """Until `end`; then its place in the log is kept."""
        loop = asyncio.get_running_loop()
        pause_s = settings.PAUSE_S_MIN
        prepared = not self._outbound.routes
        try:
            while not self._ending:
                started = loop.time()
                try:
                    if not prepared:
                        await self._outbound.prepare()
                        prepared = True
                    await self._connected()
                except Exception as error:  # noqa: BLE001 - whatever a stranger's broker causes ends here
                    self._failed(error)
                if loop.time() - started > settings.HEALTHY_AFTER_S:
                    pause_s = settings.PAUSE_S_MIN
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the tries, no secret
                pause_s = min(pause_s * 2, settings.PAUSE_S_MAX)
        finally:
            if prepared and self._outbound.routes:
                with contextlib.suppress(LogUnavailableError, TimeoutError):
                    async with asyncio.timeout(settings.FAREWELL_WITHIN_S):
                        await self._outbound.save()

    async def _connected(self) -> None:
        """One connection, until it is lost: always ends with an exception."""
        self.state.enter("connecting", self._now_ns())
        tls = await asyncio.to_thread(tls_context, self.bridge)
        async with Remote(self.bridge, tls) as remote:
            await self._inbound.subscribe(remote, self._obsolete)
            self._obsolete = ()
            self.state.connects += 1
            self.state.enter("connected", self._now_ns(), "")
            _LOGGER.info("bridge %s: connected to %s", self.bridge.name, self.bridge.url)
            await self._both(remote)

    async def _both(self, remote: Remote) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                # Also when no map leads here: it notices the loss of the connection.
                tasks.create_task(self._inbound.run(remote))
                if self._outbound.routes:
                    tasks.create_task(self._outbound.run(remote))
                    tasks.create_task(self._outbound.keep_saving())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _failed(self, error: Exception) -> None:
        trouble = str(error) or repr(error)
        if not isinstance(error, (aiomqtt.MqttError, AllthingsError, OSError)):
            _LOGGER.exception("bridge %s failed; it will be tried again", self.bridge.name)
        elif trouble != self.state.trouble:
            _LOGGER.warning("bridge %s: %s: %s", self.bridge.name, self.bridge.url, trouble)
        self.state.enter("waiting", self._now_ns(), trouble)


async def forget(bridge: Bridge) -> None:
    """End the session that the other broker keeps for a bridge that is no more, if it answers."""
    with contextlib.suppress(aiomqtt.MqttError, AllthingsError, OSError, ValueError, TimeoutError):
        async with asyncio.timeout(settings.FAREWELL_WITHIN_S):
            tls = await asyncio.to_thread(tls_context, bridge)
            async with Remote(bridge, tls, fresh=True):
                pass


def tls_context(bridge: Bridge) -> ssl.SSLContext | None:
    """How the other broker's certificate is checked; None without TLS. Blocks: reads the system's authorities."""
    if not bridge.tls:
        return None
    context = ssl.create_default_context(cadata=bridge.ca or None)
    if bridge.certificate:
        try:
            context.load_cert_chain(bridge.certificate, bridge.key or None, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"the certificate {bridge.certificate} or its key cannot be used: {reason}") from error
    return context


def _no_password() -> NoReturn:
    raise ValueError("the key is protected by a password, which nobody is there to type")
