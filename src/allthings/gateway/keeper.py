"""What survives a crash of the gateway: durable sessions and retained messages.

The log has everything: each message, and beside the messages each change of a session that a client was told of. A
start reads it again from the position up to which sessions and retained messages were last kept in their tables, so
it is short. Until that is done no client is let in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec
import pyarrow as pa

from allthings.gateway import settings
from allthings.gateway.backlog import SHARED, Backlog
from allthings.gateway.blocks import changes_of, route_block
from allthings.gateway.changes import (
    Claimed,
    Ended,
    Forwarded,
    Given,
    Opened,
    Received,
    Refused,
    Released,
    SessionChange,
    Subscribed,
    Taken,
    Unsubscribed,
    WillDone,
    WillWaits,
)
from allthings.gateway.messages import Delivery, Message, split_expiry
from allthings.gateway.retained import RetainedMessage, row_of
from allthings.gateway.session import Session, Subscription, options_of
from allthings.gateway.shard import is_gateway
from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.log.table import key_of
from allthings.mqtt.filters import split_share
from allthings.mqtt.outbox import Stage
from allthings.mqtt.packets import Publish

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.log.entry import Entry
    from allthings.log.stream import Log
    from allthings.log.table import Table

_LOGGER = logging.getLogger(__name__)
#: A retained message as large as this has a row of its own.
_OWN_ROW_BYTES: Final = 16 * 1024
_PUTS_AT_ONCE: Final = 16


class KeptFlight(msgspec.Struct, frozen=True, array_like=True):
    packet_id: int
    qos: int
    stage: int
    position: int
    retain: bool
    share: str


class KeptDelivery(msgspec.Struct, frozen=True, array_like=True):
    """A message that waits and has no place in the log."""

    topic: bytes
    payload: bytes
    properties: bytes
    expires_ns: int
    qos: int
    retain: bool


class KeptSession(msgspec.Struct, frozen=True, array_like=True):
    """A session as it stood when these blocks of this gateway and of others had been handed on."""

    client: str
    owner: str
    keeper: str
    sequence: int
    followed: int
    expiry_s: int
    left_ns: int
    subscriptions: list[tuple[str, int, bool, bool, int]]
    flights: list[KeptFlight]
    inbox: list[int]
    positions: bytes
    options: bytes
    elsewhere: list[KeptDelivery]
    will: Publish | None
    will_due_ns: int
    dropped: int
    expired: int


class KeptRetained(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    payload: bytes
    qos: int
    properties: bytes | None
    received_ns: int
    position: int


_SESSION = msgspec.msgpack.Decoder(KeptSession)
_RETAINED = msgspec.msgpack.Decoder(list[KeptRetained])


class Keeper:
    """Loads at the start, then keeps what changes every few seconds. `family` names the gateways of this machine."""

    def __init__(self, log: Log, broker: Broker, family: str) -> None:
        self._log = log
        self._broker = broker
        self._family = family
        self._shard = broker.shard
        self._name = f"sessions-{family}-{self._shard.index}of{self._shard.count}"
        #: Positions of gateways that there were when they were fewer or more.
        self._stale: list[str] = []
        self._sessions: Table
        self._retained: Table
        self._replayed = 0
        #: Topics of retained messages that have a row of their own.
        self._own_rows: set[str] = set()
        #: Flights whose messages still have to be read from the log, by position.
        self._claims: dict[int, list[tuple[Session, int]]] = defaultdict(list)
        self._keeping = asyncio.Lock()

    # Load

    async def load(self) -> None:
        """Bring everything to where the log ends. Raises LogUnavailableError."""
        started = time.monotonic()
        self._sessions = await self._log.table(f"sessions-{self._family}")
        self._retained = await self._log.table("retained")
        async for key, value in self._retained.rows():
            try:
                for kept in _RETAINED.decode(value):
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
        self._broker.routing.held = defaultdict(list)
        async for key, value in self._sessions.rows():
            try:
                session = _SESSION.decode(value)
                if self._shard.owns(session.client):
                    self._restore(session)
            except msgspec.DecodeError as error:
                _LOGGER.error("row %s of the sessions is damaged and left out: %s", key, error)
        blocks = await self._replay_log()
        self._broker.routing.held = None
        self._broker.collector.sequence = self._broker.followed = self._replayed
        await self._fetch_claims()
        self._settle()
        sessions = self._broker.sessions.by_client
        if sessions or blocks or self._broker.retained:
            _LOGGER.info(
                "%d sessions and %d retained messages are there again; %d blocks were read again in %.1f s",
                *(len(sessions), len(self._broker.retained), blocks, time.monotonic() - started),
            )

    async def _begin(self) -> int:
        """The sequence up to which sessions and retained messages were kept.

        The first gateway keeps what is retained. When there were fewer or more gateways the last time, the sessions
        had other owners: then what any of them kept counts, and all is kept again.
        """
        prefix, mine = f"sessions-{self._family}-", f"of{self._shard.count}"
        positions = (await self._log.status()).positions
        found = {name: place for name, place in positions.items() if name.startswith(prefix)}
        self._stale = [name for name in found if not name.endswith(mine)]
        if self._stale:
            return min(found.values())
        return min(found.get(self._name, 0), found.get(f"{prefix}0{mine}", 0))

    async def _forget_stale(self) -> None:
        """Once all gateways of now have kept everything, those of before do not count any more."""
        names = (await self._log.status()).positions
        prefix = self._name.removesuffix(f"{self._shard.index}of{self._shard.count}")
        if all(f"{prefix}{index}of{self._shard.count}" in names for index in range(self._shard.count)):
            for name in self._stale:
                await self._log.forget_position(name)
            self._stale = []

    def _restore(self, kept: KeptSession) -> None:
        session = Session(kept.client, kept.owner, kept.expiry_s, self._broker.sessions)
        session.seen = (block.position(kept.sequence + 1, 0) - 1, block.position(kept.followed + 1, 0) - 1)
        session.keeper = kept.keeper
        session.left_ns, session.will, session.will_due_ns = kept.left_ns, kept.will, kept.will_due_ns
        session.dropped, session.expired = kept.dropped, kept.expired
        session.dirty, session.noted = False, True
        for topic_filter, qos, no_local, as_published, identifier in kept.subscriptions:
            self._subscribe(session, topic_filter, qos, no_local, as_published, identifier)
        session.inbox = dict.fromkeys(kept.inbox, True)
        for flight in kept.flights:
            delivery = Delivery(Message(b"", b"", b"", 0, flight.position), flight.qos, flight.retain, (), flight.share)
            self._claim(session, flight.packet_id, delivery, Stage(flight.stage))
            if flight.share:
                self._hold(session, flight.position)
        session.spilled = Backlog(kept.positions, kept.options)
        for position, options in session.spilled.head(len(session.spilled)):
            if options & SHARED:
                self._hold(session, position)
        for each in kept.elsewhere:
            message = Message(each.topic, each.payload, each.properties, each.expires_ns, 0)
            session.queue(Delivery(message, each.qos, each.retain))
        self._broker.sessions.by_client[kept.client] = session

    def _subscribe(
        self, session: Session, topic_filter: str, qos: int, no_local: bool, as_published: bool, identifier: int
    ) -> None:
        subscription = Subscription(session, qos, no_local, as_published, identifier)
        session.filters[topic_filter] = subscription
        self._broker.routing.add(topic_filter, subscription)

    def _hold(self, session: Session, position: int) -> None:
        held = self._broker.routing.held
        if held is not None and block.sequence(position) > self._replayed:
            held[position].append(session)

    def _claim(self, session: Session, packet_id: int, delivery: Delivery, stage: Stage) -> None:
        """A flight whose message is read later; until then an empty one stands for it."""
        position = delivery.message.position
        flight = session.outbox.flights.get(packet_id)
        if flight is not None and flight.item is not None and flight.item.message.position == position:
            # It was kept while its claim was on its way to the disk.
            return
        before = session.outbox.restore(packet_id, delivery, delivery.qos, stage)
        if before is not None and before.message.position and before.qos == 1:
            # A message that may or may not have arrived had this identifier: it waits again.
            session.spilled.prepend(before.message.position, options_of(before))
        if stage >= Stage.RECEIVED:
            session.outbox.received(packet_id, Stage.RELEASED)
        elif not position:
            session.outbox.drop(packet_id)
        else:
            self._claims[position].append((session, packet_id))

    # Replay

    async def _replay_log(self) -> int:
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
                self._replay(entry)
                blocks += 1
            self._replayed = entries[-1].sequence
            if self._replayed >= status.last:
                break
        return blocks

    def _replay(self, entry: Entry) -> None:
        try:
            batch = entry.batch
        except pa.ArrowInvalid as error:
            _LOGGER.error("block %d is damaged; its messages reach no session: %s", entry.sequence, error)
            return
        if block.is_readings(batch):
            return
        changes = changes_of(entry.sequence, batch)
        route_block(self._broker, batch, entry.sequence, entry.source, changes)
        if not is_gateway(self._family, entry.source):
            return
        position = block.position(entry.sequence, 0)
        for change in changes:
            if not isinstance(change, Given | Forwarded) and self._shard.owns(change.client):
                self._apply(change, position, entry.source)

    def _apply(self, change: SessionChange, position: int, source: str) -> None:
        sessions = self._broker.sessions
        session = sessions.by_client.get(change.client)
        if isinstance(change, Claimed) and change.share:
            self._chosen(change)
        if session is not None and session.seen[source != session.keeper] >= position:
            return
        if isinstance(change, Opened):
            if session is None or change.clean:
                if session is not None:
                    self._forget(session)
                session = sessions.by_client[change.client] = Session(
                    change.client, change.owner, change.expiry_s, sessions
                )
            session.expiry_s, session.will_due_ns, session.will = change.expiry_s, 0, None
            session.left_ns = 0
            session.noted = True
        if session is None:
            return
        session.dirty = True
        match change:
            case Ended():
                self._forget(session)
            case Subscribed():
                self._subscribe(
                    *(session, change.topic_filter, change.qos, change.no_local),
                    *(change.retain_as_published, change.identifier),
                )
                if change.retained:
                    self._send_retained(session, change, position)
            case Unsubscribed():
                session.filters.pop(change.topic_filter, None)
                self._broker.routing.remove(change.topic_filter, session)
            case Taken():
                session.inbox[change.packet_id] = True
            case Released():
                session.inbox.pop(change.packet_id, None)
            case Claimed():
                retain = session.unqueue(change.position, shared=bool(change.share))
                message = Message(b"", b"", b"", 0, change.position)
                delivery = Delivery(message, 2, bool(retain), (), change.share)
                self._claim(session, change.packet_id, delivery, Stage.SENT)
            case Received():
                session.outbox.received(change.packet_id, Stage.RELEASED)
            case Refused():
                session.outbox.drop(change.packet_id)
            case WillWaits():
                session.will, session.will_due_ns = change.will, change.due_ns
            case WillDone():
                session.will, session.will_due_ns = None, 0

    def _chosen(self, change: Claimed) -> None:
        """A shared subscription chose this client, perhaps another one than when the log was read again."""
        group = self._broker.routing.groups.get(change.share)
        for member in group.members if group is not None else ():
            if member.client != change.client and member.unqueue(change.position, shared=True) is not None:
                member.dirty = True
                return

    def _send_retained(self, session: Session, change: Subscribed, position: int) -> None:
        """What was retained when the client subscribed, and is still; what came since it gets anyway."""
        share, topic_filter = split_share(change.topic_filter)
        if share:
            return
        end = block.position(block.sequence(position) + 1, 0)
        for topic, kept in self._broker.retained.match(topic_filter):
            if kept.position < end and (qos := min(kept.qos, change.qos)):
                properties, expires_ns = split_expiry(kept.properties, kept.received_ns)
                message = Message(topic.encode(), kept.payload, properties, expires_ns, kept.position)
                session.deliver([message], qos, True, (change.identifier,) if change.identifier else ())

    def _forget(self, session: Session) -> None:
        session.ended = True
        del self._broker.sessions.by_client[session.client]
        self._broker.sessions.gone.add(session.client)
        for topic_filter in session.filters:
            self._broker.routing.remove(topic_filter, session)

    async def _fetch_claims(self) -> None:
        """Read the messages that were in flight."""
        claims = {
            position: [
                (session, packet_id)
                for session, packet_id in dict.fromkeys(claimed)
                # The identifier may have gone on to another message since.
                if not session.ended
                and (flight := session.outbox.flights.get(packet_id))
                and flight.item
                and flight.item.message.position == position
            ]
            for position, claimed in sorted(self._claims.items())
        }
        found, _ = await self._broker.refill.fetch([position for position, claimed in claims.items() if claimed])
        for position, claimed in claims.items():
            message = found.get(position)
            for session, packet_id in claimed:
                item = session.outbox.flights[packet_id].item
                if message is None or item is None:
                    # Older than what the log keeps.
                    session.outbox.drop(packet_id)
                    session.expired += 1
                else:
                    session.outbox.fill(packet_id, item._replace(message=message), message.size)
        self._claims.clear()

    def _settle(self) -> None:
        """All clients are away; sessions that were there until the crash are away from now on."""
        sessions = self._broker.sessions
        for session in tuple(sessions.by_client.values()):
            if not session.durable:
                self._forget(session)
                continue
            if not session.left_ns:
                session.left_ns = sessions.now_ns()
                session.dirty = True
            if self._stale:
                session.dirty = True
            sessions.watch(session)

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
        sequence = min(broker.collector.sequence, broker.followed)
        limit = asyncio.Semaphore(_PUTS_AT_ONCE)

        async def put(table: Table, key: str, value: bytes) -> None:
            async with limit:
                await (table.put(key, value) if value else table.delete(key))

        topics, broker.retained.dirty = broker.retained.dirty, set()
        if self._shard.index:
            # The first gateway keeps them; all have them.
            topics = set()
        gone, broker.sessions.gone = broker.sessions.gone, set()
        dirty = [session for session in broker.sessions.by_client.values() if session.dirty and session.durable]
        gone -= {session.client for session in dirty}
        if sequence == self._replayed and not (topics or gone or dirty):
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for key, value in self._retained_rows(topics):
                    tasks.create_task(put(self._retained, key, value))
                for client in gone:
                    tasks.create_task(put(self._sessions, key_of(client), b""))
                for session in dirty:
                    session.dirty = False
                    tasks.create_task(put(self._sessions, key_of(session.client), self._kept(session)))
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

    def _kept(self, session: Session) -> bytes:
        waiting, elsewhere = Backlog(), []
        for delivery in session.waiting:
            message = delivery.message
            if message.position:
                waiting.append(message.position, options_of(delivery))
            else:
                elsewhere.append(
                    KeptDelivery(
                        *(message.topic, message.payload, message.properties, message.expires_ns),
                        *(delivery.qos, delivery.retain),
                    )
                )
        positions, options = (first + rest for first, rest in zip(waiting.dump(), session.spilled.dump(), strict=True))
        flights = []
        for packet_id, flight in session.outbox.flights.items():
            item = flight.item
            stage = max(flight.stage, Stage.SENT) if flight.stage < Stage.RECEIVED else Stage.RELEASED
            flights.append(
                KeptFlight(
                    *(packet_id, flight.qos, stage, item.message.position if item else 0),
                    *(item.retain if item else False, item.share if item else ""),
                )
            )
        kept = KeptSession(
            client=session.client,
            owner=session.owner,
            keeper=self._broker.source,
            sequence=self._broker.collector.sequence,
            followed=self._broker.followed,
            expiry_s=session.expiry_s,
            left_ns=session.left_ns,
            subscriptions=[
                (topic_filter, each.qos, each.no_local, each.retain_as_published, each.identifier)
                for topic_filter, each in session.filters.items()
            ],
            flights=flights,
            inbox=[packet_id for packet_id, stored in session.inbox.items() if stored],
            positions=positions,
            options=options,
            elsewhere=elsewhere,
            will=session.will if session.will_due_ns else None,
            will_due_ns=session.will_due_ns,
            dropped=session.dropped,
            expired=session.expired,
        )
        return msgspec.msgpack.encode(kept)

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
