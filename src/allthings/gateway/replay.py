"""Sessions after a crash: as they were kept, then block after block of the log what happened since."""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from allthings.gateway import backlog
from allthings.gateway.backlog import Backlog, Waiting
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
    WillChange,
)
from allthings.gateway.division import Division
from allthings.gateway.messages import Delivery, Message, split_expiry
from allthings.gateway.session import Session, Subscription
from allthings.gateway.shard import is_gateway
from allthings.log import block
from allthings.log.losses import BLOCKS
from allthings.mqtt.filters import split_share
from allthings.mqtt.outbox import Stage

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.kept import KeptSession
    from allthings.log.entry import Entry

_LOGGER = logging.getLogger(__name__)


class Replay:
    """Brings a broker's sessions back: `session` for each that was kept, `block` for each block after `after`, then
    `fetch_claims` and `settle`. `family` names the gateways of this machine. `kept`: up to which block this one kept
    its sessions, if that is more than `after`.
    """

    def __init__(self, broker: Broker, family: str, after: int, kept: int) -> None:
        self._broker = broker
        self._family = family
        self._after = after
        self._kept = kept
        #: Flights whose messages still have to be read from the log, by position.
        self._claims: dict[int, list[tuple[Session, int]]] = defaultdict(list)
        #: By shared subscription, which messages members of it were promised with QoS 2.
        self._promised: dict[str, set[int]] = defaultdict(set)
        #: What members that are gone, here or at other gateways, did not finish.
        self._left: list[tuple[str, Waiting]] = []
        self._forwarded: list[Forwarded] = []
        broker.routing.held = defaultdict(list)

    def session(self, kept: KeptSession) -> None:
        """One that was kept."""
        session = Session(kept.client, kept.owner, kept.expiry_s, self._broker.sessions)
        session.keeper = kept.keeper
        session.seen = (block.position(kept.sequence + 1, 0) - 1, block.position(kept.followed + 1, 0) - 1)
        session.left_ns = kept.left_ns
        session.dropped, session.expired = kept.dropped, kept.expired
        session.dirty, session.noted = False, True
        for topic_filter, qos, no_local, as_published, identifier in kept.subscriptions:
            self._subscribe(session, topic_filter, qos, no_local, as_published, identifier)
        session.inbox = dict.fromkeys(kept.inbox, True)
        for flight in kept.flights:
            delivery = Delivery(Message(b"", b"", b"", 0, flight.position), flight.qos, flight.retain, (), flight.share)
            self._claim(session, flight.packet_id, delivery, Stage(flight.stage))
            if flight.share:
                self._hold(session, flight.position, flight.share)
        queue = session.queue
        queue.spilled, queue.shares = Backlog(kept.positions, kept.options), kept.shares
        for position, options in queue.spilled.head(len(queue)) if queue.shares else ():
            if share := queue.share_of(options):
                self._hold(session, position, share)
        for each in kept.elsewhere:
            message = Message(each.topic, each.payload, each.properties, each.expires_ns, 0)
            queue.append(Delivery(message, each.qos, each.retain), spill=True)
        self._broker.sessions.by_client[kept.client] = session

    def _subscribe(
        self, session: Session, topic_filter: str, qos: int, no_local: bool, as_published: bool, identifier: int
    ) -> None:
        subscription = Subscription(session, qos, no_local, as_published, identifier)
        session.filters[topic_filter] = subscription
        self._broker.routing.add(topic_filter, subscription)

    def _hold(self, session: Session, position: int, share: str) -> None:
        held = self._broker.routing.held
        if held is not None and block.sequence(position) > self._after:
            held[position].append((session, share))

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
            session.queue.spilled.prepend(before.message.position, session.queue.options_of(before))
        if stage >= Stage.RECEIVED:
            session.outbox.received(packet_id, Stage.RELEASED)
        elif not position:
            session.outbox.drop(packet_id)
        else:
            self._claims[position].append((session, packet_id))

    def block(self, entry: Entry) -> None:
        """The next block of the log: its messages, then its changes if it is this gateway's."""
        try:
            batch = entry.batch
        except pa.ArrowInvalid as error:
            self._broker.lost.add(BLOCKS, str(entry.sequence), 1, f"no session learns what was in it: {error}")
            return
        if block.is_readings(batch):
            return
        ours = is_gateway(self._family, entry.source)
        changes = changes_of(entry.sequence, batch, ours=ours)
        division = None
        if self._broker.shares is not None and not ours:
            # The first gateway divides what no gateway took, and says which messages it gives away.
            division = Division({}, here=self._broker.shard.index > 0)
        route_block(self._broker, batch, entry.sequence, entry.source, changes, division)
        if not ours:
            return
        position = block.position(entry.sequence, 0)
        for change in changes:
            # Those of others too: there may have been fewer or more gateways, and clients belonged to others.
            if isinstance(change, Forwarded):
                self._forward(change, entry)
                continue
            if isinstance(change, Given) or not self._broker.shard.owns(change.client):
                continue
            if isinstance(change, WillChange):
                self._broker.sessions.wills.apply(change)
            else:
                self._apply(change, position, entry.source)

    def _apply(self, change: SessionChange, position: int, source: str) -> None:
        sessions = self._broker.sessions
        session = sessions.by_client.get(change.client)
        if isinstance(change, Claimed) and change.share:
            self._promised[change.share].add(change.position)
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
            session.expiry_s, session.left_ns = change.expiry_s, 0
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
                retain = session.queue.take(change.position, change.share)
                message = Message(b"", b"", b"", 0, change.position)
                delivery = Delivery(message, 2, bool(retain), (), change.share)
                self._claim(session, change.packet_id, delivery, Stage.SENT)
            case Received():
                session.outbox.received(change.packet_id, Stage.RELEASED)
            case Refused():
                session.outbox.drop(change.packet_id)

    def _chosen(self, change: Claimed) -> None:
        """A shared subscription chose this client, perhaps another one than when the log was read again."""
        group = self._broker.routing.groups.get(change.share)
        for member in group.members if group is not None else ():
            if member.client != change.client and member.queue.take(change.position, change.share) is not None:
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

    def _forward(self, change: Forwarded, entry: Entry) -> None:
        """What a gateway has given to another one: it is not for members at the first any more."""
        if change.index == self._broker.shard.index and entry.sequence > self._kept:
            self._forwarded.append(change)
        if entry.source == self._broker.source:
            group = self._broker.routing.groups.get(change.share)
            for member in group.members if group is not None else ():
                member.give_away(change.positions, change.share)

    def _forget(self, session: Session) -> None:
        session.ended = True
        self._left += session.unfinished().items()
        del self._broker.sessions.by_client[session.client]
        self._broker.sessions.gone.add(session.client)
        for topic_filter in session.filters:
            self._broker.routing.remove(topic_filter, session)
        session.let_go()

    async def fetch_claims(self) -> None:
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
                    session.outbox.drop(packet_id)
                    await self._broker.refill.miss(session, [position])
                else:
                    session.outbox.fill(packet_id, item._replace(message=message), message.size)
        self._claims.clear()

    async def fetch_forwarded(self) -> None:
        """Read with which QoS messages were published that other gateways have given to members here."""
        for change in self._forwarded:
            found = Backlog()
            for sequence, positions in itertools.groupby(change.positions, block.sequence):
                entry = await self._broker.refill.block(sequence)
                flags = _flags(entry)
                if not flags:
                    _LOGGER.error("block %d cannot be read; what it gave to others is lost", sequence)
                    continue
                for position in positions:
                    options = flags[position - block.position(sequence, 0)] & (backlog.QOS | backlog.RETAIN)
                    found.append(position, options)
            self._left.append((change.share, found.all()))

    def settle(self) -> None:
        """All clients are away; sessions that were there until the crash are away from now on."""
        self._broker.routing.held = None
        sessions = self._broker.sessions
        for session in tuple(sessions.by_client.values()):
            if not session.durable:
                self._forget(session)
        for share, waiting in self._left:
            self._pass_on(share, waiting)
        for session in sessions.by_client.values():
            if not session.left_ns:
                session.left_ns = sessions.now_ns()
                session.dirty = True
            sessions.watch(session)
        self._settle_wills()

    def _pass_on(self, share: str, waiting: Waiting) -> None:
        """As it was done before the crash, unless somebody has got it since."""
        routing = self._broker.routing
        group = routing.groups.get(share)
        taken = set(self._promised[share])
        for member in group.members if group is not None else ():
            taken.update(_holding(member, share))
        left = ~np.isin(waiting.positions, np.array(list(taken), np.uint64))
        routing.take_over(share, Waiting(waiting.positions[left], waiting.options[left]))

    def _settle_wills(self) -> None:
        """Who was there until the crash is lost from now on; who had a session that did not last has none."""
        sessions = self._broker.sessions
        for client, will in tuple(sessions.wills.stored.items()):
            session = sessions.by_client.get(client)
            if session is None:
                sessions.wills.say(client, will)
            else:
                session.will = will
                sessions.lose(session)
                sessions.watch(session)


def _flags(entry: Entry | None) -> list[int]:
    """Those of a block's messages, none if it cannot be read."""
    if entry is None:
        return []
    try:
        return list(entry.batch.column("flags").to_pylist())
    except pa.ArrowInvalid:
        return []


def _holding(session: Session, share: str) -> set[int]:
    """Where the messages stand that a shared subscription gave to a session and that it has not finished."""
    flying = {
        flight.item.message.position
        for flight in session.outbox.flights.values()
        if flight.item is not None and flight.item.share == share
    }
    waiting = session.unfinished().get(share)
    return flying | set(waiting.positions.tolist()) if waiting is not None else flying
