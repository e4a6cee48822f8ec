"""Who comes in: CONNECT after CONNECT is checked in small portions, so that a storm of them starves nobody.

Ten thousand devices that come back at once are taken a few dozen a turn of the loop, at once where nothing must be
looked up; between two portions those who are connected have theirs. Tokens are looked up a portion at a time,
passwords (slow by design) two at a time beside them. An address that failed too often is not verified at all until it
may try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from allthings.gateway import settings
from allthings.gateway.access import ANYONE, Credentials, Principal
from allthings.mqtt.packets import Connect
from allthings.mqtt.reasons import ReasonCode
from allthings.registry.attempts import Attempts
from allthings.registry.tokens import looks_like_token

if TYPE_CHECKING:
    from allthings.gateway.connection import Connection
from allthings.registry.trouble import Trouble

_LOGGER = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a client does not come in."""

    reason: ReasonCode
    why: str


class Waiting(NamedTuple):
    """A client that waits to be let in."""

    connection: Connection
    packet: Connect
    name: str
    secret: str


class Decided(Protocol):
    """Called for each client with what was found."""

    def __call__(self, connection: Connection, packet: Connect, found: Principal | Refusal) -> None: ...


_UNKNOWN: Final = Refusal(
    ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    "user name and password are not known: a device gives its thing's name and a token or the password of the thing",
)
_NO_CREDENTIALS: Final = Refusal(
    ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    "no credentials: a device gives its thing's name as user name, and a token or the password of the thing",
)
_NO_THING: Final = Refusal(ReasonCode.BAD_USER_NAME_OR_PASSWORD, "the certificate names a thing that does not exist")
_BUSY: Final = Refusal(ReasonCode.CONNECTION_RATE_EXCEEDED, "too many passwords wait to be verified; try again later")
_UNAVAILABLE: Final = Refusal(ReasonCode.SERVER_UNAVAILABLE, "the registry of credentials does not answer")


class Admission:
    """`run` lets in whom `add` brought, until cancelled."""

    def __init__(
        self, credentials: Credentials, attempts: Attempts, now_ns: Callable[[], int], decided: Decided
    ) -> None:
        self._credentials = credentials
        self._trouble = Trouble(_LOGGER, "who connects cannot be verified")
        self._attempts = attempts
        self._now_ns = now_ns
        self._decided = decided
        self._call_soon = asyncio.get_running_loop().call_soon
        #: How many may still be let in during this turn of the loop without waiting.
        self._at_once_left = settings.ADMITTED_AT_ONCE
        self._waiting: deque[tuple[Connection, Connect]] = deque()
        self._wake = asyncio.Event()
        self._passwords = asyncio.Semaphore(settings.PASSWORDS_AT_ONCE)
        self._verifying = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._verifying

    def add(self, connection: Connection, packet: Connect) -> None:
        """Find out who connects, and decide: at once if nothing must be looked up and nobody waits."""
        if self._at_once_left and not self._waiting:
            if self._at_once_left == settings.ADMITTED_AT_ONCE:
                self._call_soon(self._next_turn)
            self._at_once_left -= 1
            found = self._at_once(connection, packet)
            if not isinstance(found, Waiting):
                self._tell(connection, packet, found)
                return
        self._waiting.append((connection, packet))
        self._wake.set()

    def _next_turn(self) -> None:
        self._at_once_left = settings.ADMITTED_AT_ONCE

    async def run(self) -> None:
        """Portion after portion. Passwords are verified by tasks of their own, whose number is bounded."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                slow = await self._portion()
                for waiting in slow:
                    if self._verifying >= settings.PASSWORDS_WAITING_MAX:
                        self._tell(waiting.connection, waiting.packet, _BUSY)
                        continue
                    self._verifying += 1
                    tasks.create_task(self._verify(waiting))
                if not self._waiting:
                    self._wake.clear()
                await asyncio.sleep(0)

    async def _portion(self) -> list[Waiting]:
        """Decide on a portion of those who wait; returns those whose passwords must be verified."""
        to_look_up: list[Waiting] = []
        for _ in range(min(len(self._waiting), settings.ADMITTED_AT_ONCE)):
            connection, packet = self._waiting.popleft()
            found = self._at_once(connection, packet)
            if isinstance(found, Waiting):
                to_look_up.append(found)
            else:
                self._tell(connection, packet, found)
        if not to_look_up:
            return []
        try:
            return await self._look_up(to_look_up)
        except Exception as error:  # noqa: BLE001 - who cannot be looked up is told to come again
            self._trouble.tell(error)
            self._failed(to_look_up)
            return []

    def _at_once(self, connection: Connection, packet: Connect) -> Principal | Refusal | Waiting:
        """What can be said without looking anything up."""
        if packet.properties.authentication_method is not None:
            return Refusal(ReasonCode.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not offered here")
        if self._credentials.open:
            return ANYONE
        name, password = packet.user_name or "", packet.password or b""
        if connection.certificate_name and not password and name in ("", connection.certificate_name):
            return Waiting(connection, packet, "", "")
        if not name and not password and self._credentials.rules.anonymous:
            return Principal(None)
        if not name or not password:
            return _NO_CREDENTIALS
        # What is no text can only be wrong; it is verified all the same, so that it takes its time and counts.
        secret = password.decode(errors="replace")
        known = self._credentials.known(name, secret)
        if known is not None and looks_like_token(secret):
            # Nobody guesses one, so a neighbour's failures need not keep this device out.
            return known
        wait_s = self._attempts.wait_s(host(connection.address), self._now_ns())
        if wait_s:
            return Refusal(
                ReasonCode.CONNECTION_RATE_EXCEEDED, f"too many logins from this address failed; try in {wait_s} s"
            )
        return known or Waiting(connection, packet, name, secret)

    async def _look_up(self, waiting: list[Waiting]) -> list[Waiting]:
        slow: list[Waiting] = []
        shown = [each for each in waiting if each.name]
        asked = [(each.name, each.secret) for each in shown]
        found = await self._credentials.by_tokens(asked, self._now_ns()) if asked else []
        for each, principal in zip(shown, found, strict=True):
            if principal is None and not looks_like_token(each.secret):
                slow.append(each)
            else:
                self._settle(each, principal)
        for each in waiting:
            if not each.name:
                certified = await self._credentials.by_certificate(each.connection.certificate_name)
                self._tell(each.connection, each.packet, certified or _NO_THING)
        return slow

    async def _verify(self, waiting: Waiting) -> None:
        try:
            async with self._passwords:
                if not waiting.connection.checking:
                    return
                found = self._at_once(waiting.connection, waiting.packet)
                if not isinstance(found, Waiting):
                    # Others from its address failed meanwhile, or it came in on another connection.
                    self._tell(waiting.connection, waiting.packet, found)
                    return
                self._settle(waiting, await self._credentials.by_password(waiting.name, waiting.secret))
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble.tell(error)
            self._failed([waiting])
        finally:
            self._verifying -= 1

    def _settle(self, waiting: Waiting, principal: Principal | None) -> None:
        address = host(waiting.connection.address)
        if principal is None:
            self._attempts.failed(address, self._now_ns())
            self._tell(waiting.connection, waiting.packet, _UNKNOWN)
        else:
            self._attempts.succeeded(address)
            self._tell(waiting.connection, waiting.packet, principal)

    def _failed(self, waiting: Sequence[Waiting]) -> None:
        """The registry does not answer, or worse: who waits is told, and who comes next is served."""
        for each in waiting:
            self._tell(each.connection, each.packet, _UNAVAILABLE)

    def _tell(self, connection: Connection, packet: Connect, found: Principal | Refusal) -> None:
        if not connection.checking:
            return
        try:
            self._decided(connection, packet, found)
        except Exception:
            _LOGGER.exception("client at %s could not be let in", connection.address)
            connection.abort()


def host(address: str) -> str:
    """The host of an address that may have a port: `10.0.0.1:1883`, `fe80::1:1883`, `local`."""
    head, colon, port = address.rpartition(":")
    return head if colon and port.isdigit() else address
