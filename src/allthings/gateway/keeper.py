"""What survives a crash of the gateway: durable sessions and retained messages.

The log has everything: each message, and beside the messages each change of a session that a client was told of. A
start reads it again from the position up to which sessions and retained messages were last kept in their tables, so
it is short. Until that is done no client is let in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

import msgspec

from allthings.gateway import settings
from allthings.gateway.kept import RETAINED, SESSION, KeptRetained, encode_session
from allthings.gateway.replay import Replay
from allthings.gateway.retained import RetainedMessage, row_of
from allthings.log.errors import LogUnavailableError
from allthings.log.table import key_of

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.log.stream import Log
    from allthings.log.table import Table

_LOGGER = logging.getLogger(__name__)
#: A retained message as large as this has a row of its own.
_OWN_ROW_BYTES: Final = 16 * 1024
_PUTS_AT_ONCE: Final = 16


class Keeper:
    """Loads at the start, then keeps what changes every few seconds. `family` names the gateways of this machine."""

    def __init__(self, log: Log, broker: Broker, family: str) -> None:
        self._log = log
        self._broker = broker
        self._family = family
        self._shard = broker.shard
        self._name = self._name_of(self._shard.index)
        #: Positions of gateways that there were when they were fewer or more.
        self._stale: list[str] = []
        self._sessions: Table
        self._retained: Table
        self._replayed = 0
        #: Topics of retained messages that have a row of their own.
        self._own_rows: set[str] = set()
        self._keeping = asyncio.Lock()

    # Load

    async def load(self) -> None:
        """Bring everything to where the log ends. Raises LogUnavailableError."""
        started = time.monotonic()
        await self._broker.collector.take_over()
        self._sessions = await self._log.table(f"sessions-{self._family}")
        self._retained = await self._log.table("retained")
        async for key, value in self._retained.rows():
            try:
                for kept in RETAINED.decode(value):
                    if key.startswith("own-"):
                        self._own_rows.add(kept.topic)
                    self._broker.retained.keep(
                        kept.topic,
                        RetainedMessage(kept.payload, kept.qos, kept.properties, kept.received_ns, kept.position),
                    )
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the retained messages is damaged and left out: %s", key, error)
        self._broker.retained.dirty.clear()
        self._replayed = await self._begin()
        replay = Replay(self._broker, self._family, self._replayed)
        async for key, value in self._sessions.rows():
            try:
                session = SESSION.decode(value)
                if self._shard.owns(session.client):
                    replay.session(session)
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the sessions is damaged and left out: %s", key, error)
        blocks = await self._replay_log(replay)
        self._broker.collector.sequence = self._broker.followed = self._replayed
        await replay.fetch_claims()
        replay.settle()
        if self._stale:
            for each in self._broker.sessions.by_client.values():
                each.dirty = True
        sessions = self._broker.sessions.by_client
        if sessions or blocks or self._broker.retained:
            _LOGGER.info(
                "%d sessions and %d retained messages are there again; %d blocks were read again in %.1f s",
                *(len(sessions), len(self._broker.retained), blocks, time.monotonic() - started),
            )

    def _name_of(self, index: int) -> str:
        return f"sessions-{self._family}-{index}of{self._shard.count}"

    async def _begin(self) -> int:
        """The sequence up to which sessions and retained messages were kept.

        The first gateway keeps what is retained. When there were fewer or more gateways the last time, the sessions
        had other owners: then what any of them kept counts, and all is kept again.
        """
        positions = (await self._log.status()).positions
        now = {self._name_of(index) for index in range(self._shard.count)}
        found = [name for name in positions if name.startswith(f"sessions-{self._family}-")]
        self._stale = [name for name in found if name not in now]
        if self._stale:
            return min(positions[name] for name in found)
        return min(positions.get(self._name, 0), positions.get(self._name_of(0), 0))

    async def _forget_stale(self) -> None:
        """Once all gateways of now have kept everything, those of before do not count any more."""
        positions = (await self._log.status()).positions
        if all(self._name_of(index) in positions for index in range(self._shard.count)):
            for name in self._stale:
                await self._log.forget_position(name)
            self._stale = []

    async def _replay_log(self, replay: Replay) -> int:
        """Read what came after sessions were last kept; returns the number of blocks."""
        status = await self._log.status()
        blocks = 0
        after = max(self._replayed, status.first - 1)
        if after > self._replayed > 0:
            _LOGGER.error("blocks %d to %d are not in the log any more: sessions miss them", self._replayed + 1, after)
        self._replayed = after
        if after >= status.last:
            return 0
        stop = asyncio.Event()
        async for entries in self._log.read(after, stop=stop):
            for entry in entries:
                replay.block(entry)
                blocks += 1
            self._replayed = entries[-1].sequence
            if self._replayed >= status.last:
                break
        return blocks

    # Keep

    async def run(self) -> None:
        """Keep what changed, every few seconds, until cancelled."""
        pause_s = settings.KEEP_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            started = time.monotonic()
            try:
                await self.keep()
            except LogUnavailableError as error:
                _LOGGER.warning("sessions cannot be kept now; a start would read more of the log: %s", error.detail)
            # However much there is to keep, it takes no more than a small part of what the disk can do.
            pause_s = max(settings.KEEP_EVERY_S, 10 * (time.monotonic() - started))

    async def keep(self) -> None:
        """Keep what changed since the last time. Raises LogUnavailableError, then it is tried again."""
        # One after the other: what an earlier one has not written yet must not replace what a later one writes.
        async with self._keeping:
            await self._keep()

    async def _keep(self) -> None:
        broker = self._broker
        # What was followed are all blocks; while nothing of ours is under way, ours among them are settled too.
        own = broker.followed if broker.collector.quiet else broker.collector.sequence
        sequence = min(own, broker.followed)
        stood = (own, broker.followed)
        limit = asyncio.Semaphore(_PUTS_AT_ONCE)

        async def put(table: Table, key: str, value: bytes) -> None:
            async with limit:
                await (table.put(key, value) if value else table.delete(key))

        topics, broker.retained.dirty = broker.retained.dirty, set()
        if self._shard.index:
            # All gateways have them, the first one keeps them.
            topics = set()
        gone, broker.sessions.gone = broker.sessions.gone, set()
        dirty = [session for session in broker.sessions.by_client.values() if session.dirty and session.durable]
        gone -= {session.client for session in dirty}
        if sequence == self._replayed and not (topics or gone or dirty or self._stale):
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for key, value in self._retained_rows(topics):
                    tasks.create_task(put(self._retained, key, value))
                for client in gone:
                    tasks.create_task(put(self._sessions, key_of(client), b""))
                for session in dirty:
                    session.dirty = False
                    tasks.create_task(
                        put(self._sessions, key_of(session.client), encode_session(session, broker.source, *stood))
                    )
            await self._log.save_position(self._name, sequence)
        except* LogUnavailableError as errors:
            broker.retained.dirty |= topics
            broker.sessions.gone |= gone
            for session in dirty:
                session.dirty = True
            raise errors.exceptions[0] from None
        self._replayed = sequence
        if self._stale and not self._shard.index:
            await self._forget_stale()

    def _retained_rows(self, dirty: set[str]) -> list[tuple[str, bytes]]:
        """The rows that these topics stand in, whole; b"" for one that is empty now."""
        retained = self._broker.retained
        rows: list[tuple[str, bytes]] = []
        for topic in dirty:
            message = retained.get(topic)
            if message is not None and len(message.payload) >= _OWN_ROW_BYTES:
                self._own_rows.add(topic)
                rows.append((f"own-{key_of(topic)}", msgspec.msgpack.encode([KeptRetained(topic, *message)])))
            elif topic in self._own_rows:
                self._own_rows.discard(topic)
                rows.append((f"own-{key_of(topic)}", b""))
        for number in {row_of(topic) for topic in dirty}:
            kept = [
                KeptRetained(topic, *message)
                for topic in retained.rows[number]
                if (message := retained.get(topic)) is not None and len(message.payload) < _OWN_ROW_BYTES
            ]
            rows.append((f"row-{number}", msgspec.msgpack.encode(kept) if kept else b""))
        return rows
