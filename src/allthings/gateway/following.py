"""What changes in the registry while the gateway runs: rules, quotas, credentials' ends, strict things.

The registry counts changes; a few times a second one cheap query tells whether there was one. So it does not matter
which process changed it, and nothing is missed that happened while nobody listened.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from allthings.gateway import settings
from allthings.gateway import strict as strict_things
from allthings.gateway.access import standing_of
from allthings.gateway.rules import Rules
from allthings.mqtt.reasons import ReasonCode
from allthings.registry.counters import Versions
from allthings.things.errors import UnavailableError

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.connection import Connection
    from allthings.gateway.session import Session
    from allthings.registry.credentials import Standing
    from allthings.registry.registry import Registry

_LOGGER = logging.getLogger(__name__)
_NONE = Versions(-1, -1)
#: As the audit list calls it.
_REFUSED: Final = "message-refused"
_NO_LONGER: Final = "its will may no longer be published there"


class Following:
    """Keeps a broker in step with the registry."""

    def __init__(self, registry: Registry, broker: Broker) -> None:
        self._registry = registry
        self._broker = broker
        self._versions = _NONE
        self._trouble = False

    async def begin(self, stop: asyncio.Event) -> None:
        """Return once the rules are known (before that nobody could be let in), or with `stop`.

        At a first start, and after an update, the platform brings the registry up to date while gateways start.
        """
        loop = asyncio.get_running_loop()
        told_at = loop.time() + settings.MIGRATION_S
        while not stop.is_set() and not await self.look():
            if loop.time() > told_at:
                _LOGGER.info("waiting for the platform to bring the registry up to date")
                told_at = float("inf")
            await asyncio.sleep(settings.FOLLOW_EVERY_S)

    async def _migrated(self) -> bool:
        try:
            return await asyncio.to_thread(self._registry.migrated)
        except UnavailableError as error:
            self._tell(error)
            return False

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(settings.FOLLOW_EVERY_S)
            await self.look()

    async def look(self) -> bool:
        """Take over what has changed. False when the registry does not answer; then everything stays as it was."""
        if self._versions == _NONE and not await self._migrated():
            return False
        try:
            versions = await asyncio.to_thread(self._registry.versions)
            if versions.access != self._versions.access:
                await self._access_changed()
            if versions.things != self._versions.things:
                await self._things_changed()
        except UnavailableError as error:
            self._tell(error)
            return False
        except Exception:
            if not self._trouble:
                _LOGGER.exception("the registry cannot be followed, what was last known holds")
            self._trouble = True
            return False
        self._versions = versions
        self._trouble = False
        return True

    def _tell(self, error: UnavailableError) -> None:
        if not self._trouble and self._versions == _NONE:
            _LOGGER.info("waiting for the registry: %s", error)
        elif not self._trouble:
            _LOGGER.warning("what was last known of the registry holds: %s", error)
        self._trouble = True

    async def _access_changed(self) -> None:
        registry, credentials = self._registry, self._broker.credentials
        rules = Rules(await asyncio.to_thread(registry.access.list))
        quotas = await asyncio.to_thread(registry.quotas.list)
        credentials.rules = rules
        done: dict[Standing, Standing | None] = {}
        # Who came in while the registry was asked is asked for in the next round.
        while asked := self._standings() - done.keys():
            done |= await asyncio.to_thread(registry.credentials.renew, asked)
        credentials.renewed(done)
        self._broker.quotas.replace(quotas)
        for number, connection in enumerate(tuple(self._broker.connections)):
            if number % settings.RENEWED_AT_ONCE == 0:
                await asyncio.sleep(0)
            if connection.client and connection in self._broker.connections:
                if not credentials.open:
                    self._renew(connection, rules, done)
                self._broker.quotas.attach(self._broker, connection)
        if not credentials.open:
            await self._check_absent(rules)

    async def _check_absent(self, rules: Rules) -> None:
        """Wills that wait for clients that are away: said as long as what these had shown still lets them say so."""
        sessions = self._broker.sessions
        waiting = [each for each in sessions.by_client.values() if each.connection is None and each.will is not None]
        if not waiting:
            return
        asked = {before for each in waiting if (before := _standing(each)) is not None}
        standings = await asyncio.to_thread(self._registry.credentials.renew, asked)
        for number, session in enumerate(waiting):
            if number % settings.RENEWED_AT_ONCE == 0:
                await asyncio.sleep(0)
            will, before = session.will, _standing(session)
            if will is None or session.connection is not None:
                continue
            standing = standings.get(before) if before is not None else None
            gone = standing is None and (before is not None or not rules.anonymous)
            if gone or rules.grants(standing, session.client).publishing(will.message.topic) is None:
                sessions.drop_will(session)
                self._broker.audit.refused_absent(
                    session.client, session.owner, _REFUSED, will.message.topic, _NO_LONGER
                )

    def _standings(self) -> set[Standing]:
        standings = set(self._broker.credentials.standings())
        standings.update(
            connection.principal.standing for connection in self._broker.connections if connection.principal.standing
        )
        return standings

    def _renew(self, connection: Connection, rules: Rules, standings: dict[Standing, Standing | None]) -> None:
        principal = connection.principal
        before = principal.standing
        standing = standings.get(before, before) if before is not None else None
        if standing is None and (before is not None or not rules.anonymous):
            # What may not be said any more is not said after death either.
            if connection.session is not None:
                self._broker.sessions.drop_will(connection.session)
            why = "its credentials are no longer valid"
            self._broker.audit.refused(connection, "disconnected", "connection", why)
            connection.refuse(ReasonCode.NOT_AUTHORIZED, why)
            return
        if not principal.renew(rules, standing):
            return
        connection.forget_verdicts()
        if connection.session is None:
            return
        self._broker.subscriptions.withdraw(connection, connection.session)
        connection.session.withdraw()
        will = connection.session.will
        if will is not None and not principal.may_publish(will.message.topic):
            self._broker.sessions.drop_will(connection.session)
            self._broker.audit.refused(connection, _REFUSED, will.message.topic, _NO_LONGER)

    async def _things_changed(self) -> None:
        types = await asyncio.to_thread(self._registry.things.strict_types)
        if types:
            await asyncio.to_thread(strict_things.load)
        strict = self._broker.strict
        before = strict.things
        strict.replace(types)
        if strict.things != before:
            for connection in self._broker.connections:
                connection.forget_verdicts()


def _standing(session: Session) -> Standing | None:
    """Who a client with a will was when it gave it."""
    return standing_of(session.owner, session.will.credential) if session.will is not None else None
