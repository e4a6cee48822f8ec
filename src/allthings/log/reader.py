"""One reader of the log: a pull consumer at the server, replaced whenever it is lost.

nats-py's own `fetch` waits until a whole batch has come; a live feed wants each block at once, and a reader that
lags wants many. So the pull requests are made here (NATS ADR-9, ADR-13): one request stands at the server, blocks
come as they are stored, and an idle heartbeat tells that the server is alive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors

from allthings.log import block, settings
from allthings.log.entry import Entry
from allthings.log.heeding import heeding

_REQUEST = json.dumps(
    {
        "batch": settings.READ_BLOCKS_MAX,
        "max_bytes": settings.READ_BYTES_MAX,
        "expires": int(settings.READ_EXPIRES_S * 1e9),
        "idle_heartbeat": int(settings.READ_HEARTBEAT_S * 1e9),
    }
).encode()
_HEARTBEAT = "100"
#: No messages, the request has expired. Anything else (409 consumer deleted, 503 no responders) ends the consumer.
_REQUEST_OVER = frozenset({"404", "408"})


class Reader:
    """Blocks after a sequence, in order, none twice and none left out. Made by `Log.read`."""

    def __init__(self, connection: Any, make_consumer: Callable[[int], Awaitable[str]], after: int) -> None:
        self._nc = connection
        self._make_consumer = make_consumer
        self._last = after
        self._arrived: list[Entry] = []
        self._wake = asyncio.Event()
        self._lost = True
        self._outstanding = 0
        self._generation = 0
        self._subscription: Any = None

    def restart(self) -> None:
        """Take the consumer at the server as lost (the connection was made anew)."""
        self._lost = True
        self._wake.set()

    async def entries(self, stop: asyncio.Event | None) -> AsyncIterator[list[Entry]]:
        stopper = asyncio.create_task(self._wake_on(stop)) if stop else None
        try:
            while not (stop and stop.is_set()):
                if self._lost and not await self._start():
                    continue
                if self._arrived:
                    entries, self._arrived = self._arrived, []
                    self._last = entries[-1].sequence
                    yield entries
                    continue
                if self._outstanding <= 0:
                    await self._pull()
                self._wake.clear()
                try:
                    async with asyncio.timeout(settings.READ_HEARTBEAT_S * 2.5):
                        await self._wake.wait()
                except TimeoutError:
                    self._lost = True
        finally:
            if stopper:
                stopper.cancel()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _start(self) -> bool:
        """Make a new consumer behind the last block seen. False (after a pause) when the server cannot."""
        await self.close()
        if not self._nc.is_connected:
            await asyncio.sleep(0.05)
            return False
        self._generation += 1
        generation = self._generation
        # What has arrived but was not yet handed out is fetched again.
        self._arrived.clear()
        self._lost = False
        try:
            name = await self._make_consumer(self._last)
            inbox = self._nc.new_inbox()

            async def receive(message: Any) -> None:
                if generation == self._generation:
                    self._receive(message)

            self._subscription = await heeding(
                self._nc.subscribe(inbox, cb=receive, pending_bytes_limit=4 * settings.READ_BYTES_MAX)
            )
            self._next = f"$JS.API.CONSUMER.MSG.NEXT.{settings.STREAM}.{name}"
            self._inbox = inbox
            await self._pull()
        except (nats.errors.Error, OSError, TimeoutError):
            self._lost = True
            await asyncio.sleep(0.1)
            return False
        return True

    async def _pull(self) -> None:
        self._outstanding = settings.READ_BLOCKS_MAX
        await heeding(self._nc.publish(self._next, _REQUEST, reply=self._inbox))

    def _receive(self, message: Any) -> None:
        headers = message.headers
        if headers and "Status" in headers and not message.reply.startswith("$JS.ACK"):
            self._receive_status(headers["Status"])
            return
        tokens = message.reply.split(".")
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, with two tokens more
        # (domain, account) behind ACK from newer servers.
        offset = 0 if len(tokens) == 9 else 2
        sequence, stored_ns = int(tokens[5 + offset]), int(tokens[7 + offset])
        self._outstanding -= 1
        if sequence > self._seen():
            source = settings.source_of(message.subject)
            retained = not headers or headers.get(settings.RETAINED) != "0"
            self._arrived.append(Entry(sequence, message.data or block.EMPTY, stored_ns, source, retained=retained))
        self._wake.set()

    def _seen(self) -> int:
        return self._arrived[-1].sequence if self._arrived else self._last

    def _receive_status(self, status: str) -> None:
        if status in _REQUEST_OVER:
            self._outstanding = 0
        elif status != _HEARTBEAT:
            self._lost = True
        self._wake.set()

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await heeding(subscription.unsubscribe())
