"""What survives a crash of the gateway: durable sessions and retained messages.

The log has everything: each message, and beside the messages each change of a session that a client was told of. A
start reads it again from the position up to which sessions and retained messages were last kept in their tables, so
it is short. Until that is done no client is let in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from allthings.gateway import settings
from allthings.gateway.accounts import Accounts
from allthings.gateway.kept import (
    KeptRetained,
    KeptSession,
    KeptWill,
    decode_retained,
    decode_session,
    decode_wills,
    encode_session,
)
from allthings.gateway.replay import Replay
from allthings.gateway.retained import RetainedMessage
from allthings.gateway.roster import Noted
from allthings.gateway.wills import LastWill
from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.log.losses import BLOCKS
from allthings.log.table import key_of

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.log.stream import Log
    from allthings.log.table import Table

_LOGGER = logging.getLogger(__name__)
_PUTS_AT_ONCE: Final = 16
_AGAIN_S: Final = 0.1


class Keeper:
    """Loads at the start, then keeps what changes every few seconds.

    `family` names the gateways of this machine; in `data`, its data directory, stands who has what, should the log lose
    it.
    """

    def __init__(self, log: Log, broker: Broker, family: str, data: Path | None = None) -> None:
        self._log = log
        self._broker = broker
        self._family = family
        self._shard = broker.shard
        self._name = self._name_of(self._shard.index)
        #: Positions that gateways had kept when this one started, and those of gateways that there are no more because
        #: they were fewer or more.
        self._found: list[str] = []
        self._stale: list[str] = []
        self._sessions: Table
        self._retained: Table
        self._wills: Table
        #: The rows of wills that are this gateway's.
        self._prefix = f"{self._shard.index}of{self._shard.count}"
        self._replayed = 0
        #: Up to which block this gateway kept its sessions.
        self._kept = 0
        self._accounts = Accounts(broker, data)
        self._keeping = asyncio.Lock()

    # Load

    async def load(self) -> None:
        """Bring everything to where the log ends. Raises LogUnavailableError, NewerLayoutError."""
        started = time.monotonic()
        await self._take_over()
        self._sessions = await self._log.table(f"sessions-{self._family}")
        self._retained = await self._log.table("retained")
        self._wills = await self._log.table(f"wills-{self._family}")
        await self._accounts.read()
        await self._load_retained()
        self._replayed = await self._begin()
        rows = [each async for each in self._session_rows()]
        oldest = self._accounts.oldest(kept for kept, _ in rows)
        if oldest is not None:
            self._replayed = min(self._replayed, oldest)
        replay = Replay(self._broker, self._family, self._replayed, self._kept)
        await self._load_wills()
        self._load_sessions(replay, rows)
        rows.clear()
        blocks = await self._replay_log(replay)
        self._broker.collector.sequence = self._broker.followed = self._replayed
        await self._accounts.compare(self._log)
        await replay.fetch_claims()
        await replay.fetch_forwarded()
        replay.settle()
        await self._broker.lost.tell()
        if self._stale:
            for each in self._broker.sessions.by_client.values():
                each.dirty = True
            for client in self._broker.sessions.wills.stored:
                self._broker.sessions.wills.rows.put(client)
        sessions = self._broker.sessions.by_client
        if sessions or self._broker.retained:
            _LOGGER.info(
                "%d sessions and %d retained messages are there again; %d blocks were read again in %.1f s",
                *(len(sessions), len(self._broker.retained), blocks, time.monotonic() - started),
            )

    async def _take_over(self) -> None:
        """As soon as the log takes an append: a gateway that ended instead would be back later."""
        said = False
        while True:
            try:
                return await self._broker.collector.take_over()
            except LogUnavailableError as error:
                if not said:
                    _LOGGER.warning("waiting for the log: %s", error.detail)
                said = True
                await asyncio.sleep(_AGAIN_S)

    async def _load_retained(self) -> None:
        retained = self._broker.retained
        async for key, value in self._retained.rows():
            try:
                for kept in decode_retained(value):
                    retained.rows.loaded(key, kept.topic)
                    message = RetainedMessage(kept.payload, kept.qos, kept.properties, kept.received_ns, kept.position)
                    retained.keep(kept.topic, message)
                    self._accounts.loaded_retained(kept.topic, kept.position)
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the retained messages is damaged and left out: %s", key, error)
        retained.rows.dirty.clear()

    async def _session_rows(self) -> AsyncIterator[tuple[KeptSession, KeptWill | None]]:
        async for key, value in self._sessions.rows():
            try:
                session, will = decode_session(value)
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the sessions is damaged and left out: %s", key, error)
                continue
            if self._shard.owns(session.client):
                yield session, will

    def _load_sessions(self, replay: Replay, sessions: Sequence[tuple[KeptSession, KeptWill | None]]) -> None:
        wills = self._broker.sessions.wills
        for session, will in sessions:
            replay.session(session)
            self._accounts.loaded(session)
            if will is not None:
                # A row of a former layout. Once the will is in its own, it must not stand here any more.
                self._broker.sessions.by_client[session.client].dirty = True
                wills.keep(will.client, LastWill(will.will, will.delay_s, will.due_ns))

    async def _load_wills(self) -> None:
        """Those of our clients, also from rows of former gateways; no rows older than where the log is read from."""
        wills = self._broker.sessions.wills
        async for key, value in self._wills.rows():
            gateway, _, rest = key.partition("-")
            if f"sessions-{self._family}-{gateway}" not in self._found:
                continue
            try:
                for kept in decode_wills(value):
                    if gateway == self._prefix:
                        wills.rows.loaded(rest, kept.client)
                        self._accounts.wills.note(kept.client, Noted(0))
                    if self._shard.owns(kept.client):
                        wills.keep(kept.client, LastWill(kept.will, kept.delay_s, kept.due_ns, kept.credential))
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the wills is damaged and left out: %s", key, error)
        wills.rows.dirty.clear()

    def _name_of(self, index: int) -> str:
        return f"sessions-{self._family}-{index}of{self._shard.count}"

    async def _begin(self) -> int:
        """The sequence up to which sessions and retained messages were kept.

        The first gateway keeps what is retained. When there were fewer or more gateways the last time, the sessions
        had other owners: then what any of them kept counts, and all is kept again.
        """
        positions = (await self._log.status()).positions
        now = {self._name_of(index) for index in range(self._shard.count)}
        self._kept = positions.get(self._name, 0)
        self._found = [name for name in positions if name.startswith(f"sessions-{self._family}-")]
        self._stale = [name for name in self._found if name not in now]
        if self._stale:
            return min(positions[name] for name in self._found)
        return min(positions.get(self._name, 0), positions.get(self._name_of(0), 0))

    async def _forget_stale(self) -> None:
        """Once all gateways of now have kept everything, those of before do not count any more."""
        positions = (await self._log.status()).positions
        if all(self._name_of(index) in positions for index in range(self._shard.count)):
            now = {f"{index}of{self._shard.count}" for index in range(self._shard.count)}
            async for key, _ in self._wills.rows():
                if key.partition("-")[0] not in now:
                    await self._wills.delete(key)
            for name in self._stale:
                await self._log.forget_position(name)
                self._accounts.forget(name.rpartition("-")[2])
            self._stale = []

    async def _replay_log(self, replay: Replay) -> int:
        """Read what came after sessions were last kept; returns the number of blocks."""
        status = await self._log.status()
        blocks = 0
        after = max(self._replayed, status.first - 1)
        if self._replayed:
            self._missed(self._replayed + 1, after)
        self._replayed = after
        if after >= status.last:
            return 0
        stop = asyncio.Event()
        async for entries in self._log.read(after, stop=stop):
            for entry in entries:
                self._missed(self._replayed + 1, entry.sequence - 1)
                self._replayed = entry.sequence
                replay.block(entry)
                blocks += 1
            self._replayed = entries[-1].sequence
            if self._replayed >= status.last:
                break
        return blocks

    def _missed(self, first: int, last: int) -> None:
        if first <= last:
            why = "sessions do not learn what was in them since they were last kept"
            span = str(first) if first == last else f"{first} to {last}"
            self._broker.lost.add(BLOCKS, span, last - first + 1, why)

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
        # What was followed are all blocks; while nothing of ours is under way, ours among them are settled too. But it
        # may be behind what we have settled: a session must not say that it has seen less than it has.
        settled = broker.collector.sequence
        own = max(settled, broker.followed) if broker.collector.quiet else settled
        sequence = min(own, broker.followed)
        stood = (own, broker.followed)
        broker.retained.settled(block.position(sequence + 1, 0) - 1)
        limit = asyncio.Semaphore(_PUTS_AT_ONCE)

        async def put(table: Table, key: str, value: bytes) -> None:
            async with limit:
                await (table.put(key, value) if value else table.delete(key))

        topics, wills = broker.retained.rows.take_dirty(), broker.sessions.wills.rows.take_dirty()
        if self._shard.index:
            # All gateways have them, the first one keeps them.
            topics = set()
        gone, broker.sessions.gone = broker.sessions.gone, set()
        dirty = [session for session in broker.sessions.by_client.values() if session.dirty and session.durable]
        gone -= {session.client for session in dirty}
        if sequence == self._replayed and not (topics or wills or gone or dirty or self._stale):
            return
        # All as it stands at this moment: nothing may happen before it is encoded.
        rows = [(self._retained, key, value) for key, value in self._retained_rows(topics)]
        rows += [(self._wills, key, value) for key, value in self._will_rows(wills)]
        rows += [(self._sessions, key_of(client), b"") for client in gone]
        for session in dirty:
            session.dirty = False
            rows.append((self._sessions, key_of(session.client), encode_session(session, broker.source, *stood)))
        try:
            await self._accounts.leave(gone, wills, topics)
            async with asyncio.TaskGroup() as tasks:
                for table, key, value in rows:
                    tasks.create_task(put(table, key, value))
            await self._log.save_position(self._name, sequence)
        except* LogUnavailableError as errors:
            broker.retained.rows.dirty |= topics
            broker.sessions.wills.rows.dirty |= wills
            broker.sessions.gone |= gone
            for session in dirty:
                session.dirty = True
            raise errors.exceptions[0] from None
        self._replayed = sequence
        await self._accounts.enter(dirty, own, wills, topics)
        if self._stale and not self._shard.index:
            await self._forget_stale()

    def _retained_rows(self, topics: set[str]) -> list[tuple[str, bytes]]:
        retained = self._broker.retained

        def one(topic: str) -> bytes | None:
            message = retained.get(topic)
            return msgspec.msgpack.encode(KeptRetained(topic, *message)) if message is not None else None

        return retained.rows.encode(topics, one)

    def _will_rows(self, clients: set[str]) -> list[tuple[str, bytes]]:
        wills = self._broker.sessions.wills

        def one(client: str) -> bytes | None:
            will = wills.stored.get(client)
            return msgspec.msgpack.encode(KeptWill(client, *will)) if will is not None else None

        return [(f"{self._prefix}-{key}", value) for key, value in wills.rows.encode(clients, one)]
