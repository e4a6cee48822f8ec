"""Failed logins, counted together by all processes that ask for a name: each gateway, and the web application.

Each tells the others, over the log's connection, how often which addresses failed: at most a few notes a second of
bounded size, however many fail.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allthings.gateway import settings
from allthings.registry.attempts import Attempts, key_of
from allthings.registry.settings import ATTEMPTS_BURST

if TYPE_CHECKING:
    from collections.abc import Callable

    from allthings.log.stream import Log

#: The note on which they are told.
ATTEMPTS_NOTE: Final = "attempts"


class _Since(NamedTuple):
    """What became of an address since the last note: whether it started anew, and how often it failed then."""

    anew: bool = False
    failures: int = 0


class _Note(msgspec.Struct, frozen=True, array_like=True):
    teller: str
    addresses: dict[str, _Since]


_DECODER: Final = msgspec.msgpack.Decoder(_Note)


class SharedAttempts(Attempts):
    """What failed here and elsewhere. All methods run on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._teller = secrets.token_hex(4)
        self._untold: dict[str, _Since] = {}
        self._something = asyncio.Event()

    def failed(self, address: str, now_ns: int) -> None:
        """Count one failure, here and elsewhere."""
        super().failed(address, now_ns)
        anew, failures = self._untold.get(key_of(address), _Since())
        self._tell(address, _Since(anew, min(failures + 1, ATTEMPTS_BURST)))

    def succeeded(self, address: str) -> None:
        """Start anew, here and elsewhere."""
        if key_of(address) in self._full_ns:
            super().succeeded(address)
            self._tell(address, _Since(anew=True))

    def _tell(self, address: str, since: _Since) -> None:
        key = key_of(address)
        # When so many addresses fail at once that a note does not hold them, some are counted only here.
        if key in self._untold or len(self._untold) < settings.ATTEMPTS_TOLD_MAX:
            self._untold[key] = since
            self._something.set()

    async def note(self) -> bytes:
        """What the others are to hear, as soon as there is something."""
        await self._something.wait()
        self._something.clear()
        addresses, self._untold = self._untold, {}
        return msgspec.msgpack.encode(_Note(self._teller, addresses))

    def hear(self, note: bytes, now_ns: int) -> None:
        """Another process, or this one, told something."""
        told = _DECODER.decode(note)
        if told.teller == self._teller:
            return
        for address, since in told.addresses.items():
            if since.anew:
                super().succeeded(address)
            for _ in range(min(since.failures, ATTEMPTS_BURST)):
                super().failed(address, now_ns)

    async def share(self, log: Log, now_ns: Callable[[], int]) -> None:
        """Tell and hear, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear_all(log, now_ns))
            while True:
                await log.publish_note(ATTEMPTS_NOTE, await self.note())
                await asyncio.sleep(settings.ATTEMPTS_TOLD_EVERY_S)

    async def _hear_all(self, log: Log, now_ns: Callable[[], int]) -> None:
        async for note in log.notes(ATTEMPTS_NOTE):
            self.hear(note, now_ns())
