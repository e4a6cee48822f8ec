"""One client's session (MQTT 5 section 4.1): its subscriptions, what is on its way to it, and what it is sending.

What is queued stands in memory as far as it is short; beyond that only the positions are kept, and the messages are
read from the log again when their turn comes. So a session that is away for a week costs ten bytes a message.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from allthings.gateway import settings
from allthings.gateway.changes import Claimed, Received, Refused, Released
from allthings.gateway.messages import Delivery, Message, wire_properties
from allthings.gateway.queue import Queue
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.outbox import Flight, Outbox, Stage
from allthings.mqtt.packets import Pubcomp, Pubrel
from allthings.mqtt.reasons import ReasonCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from allthings.gateway.backlog import Waiting
    from allthings.gateway.connection import Connection
    from allthings.gateway.sessions import Sessions
    from allthings.gateway.wills import LastWill


class Subscription(NamedTuple):
    """One filter of one session with its options (MQTT 5 section 3.8.3.1). `identifier` 0 means none."""

    session: Session
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int


class Session:
    """From CONNECT until it expires. `connection` is None while the client is away."""

    __slots__ = (
        *("_sessions", "client", "connection", "delivered", "dirty", "dropped", "ended", "expired", "expiry_s"),
        *("filters", "inbox", "keeper", "left_ns", "noted", "outbox", "owner", "refilling", "seen"),
        *("_queue", "too_large", "will"),
    )

    def __init__(self, client: str, owner: str, expiry_s: int, sessions: Sessions) -> None:
        self.client = client
        #: Who it belongs to (Principal.name); nobody else may go on with it.
        self.owner = owner
        self.expiry_s = expiry_s
        self.connection: Connection | None = None
        self.filters: dict[str, Subscription] = {}
        self.outbox: Outbox[Delivery] = Outbox(settings.IN_FLIGHT_BYTES_MAX)
        #: QoS 2 messages of the client that it has not released yet; False while they are on their way to the disk.
        self.inbox: dict[int, bool] = {}
        self.will: LastWill | None = None
        #: When the client left (Unix time in ns); 0 while it is there.
        self.left_ns = 0
        self.dropped = 0
        self.expired = 0
        self.too_large = 0
        self.delivered = 0
        #: Changed since it was last kept (gateway.keeper).
        self.dirty = True
        #: Whether the log knows it, so that its end must be told.
        self.noted = False
        self.ended = False
        #: What it has seen already when the log is read again: positions in blocks of the gateway that kept it
        #: (`keeper`), and in all others.
        self.seen = (0, 0)
        self.keeper = ""
        self._sessions = sessions
        self._queue: Queue | None = None
        self.refilling = False

    @property
    def durable(self) -> bool:
        """Whether it outlives its connection, and so a crash."""
        return self.expiry_s > 0

    @property
    def queue(self) -> Queue:
        """What waits for the client. It is made when it is asked for: of most clients nothing ever waits."""
        if self._queue is None:
            self._queue = Queue()
        return self._queue

    @property
    def queued(self) -> int:
        return 0 if self._queue is None else len(self._queue)

    def let_go(self) -> None:
        """It has ended. A session and its subscriptions refer to each other, and what waits would stay in memory until
        somebody looks for such rings, which is seldom (allthings.runtime.process)."""
        self.filters = {}
        self._queue = None

    # Messages to the client

    def deliver(
        self, messages: list[Message], qos: int, retain: bool, identifiers: tuple[int, ...], share: str = ""
    ) -> None:
        """Send messages with QoS 1 or 2, or queue them."""
        self.dirty = True
        connection = self.connection
        direct = 0
        if (
            connection is not None
            and not self._queue
            and not connection.congested
            and (qos == 1 or not self.claims(share))
        ):
            direct = max(0, min(self.outbox.room, len(messages)))
            if direct:
                self._send([Delivery(message, qos, retain, identifiers, share) for message in messages[:direct]])
        if direct == len(messages):
            return
        for message in messages[direct:] if direct else messages:
            self.queue.append(Delivery(message, qos, retain, identifiers, share), spill=self.durable)
        self.pump()
        self._bound()

    def claims(self, share: str) -> bool:
        """Whether a QoS 2 message is promised to this session on disk before it goes out.

        That of a shared subscription also if the session does not last: after a crash no other member may get it.
        """
        return self.durable or bool(share)

    def inherit(self, waiting: Waiting, share: str) -> None:
        """Take over messages that another member of a shared subscription did not finish."""
        self.dirty = True
        self.queue.inherit(waiting, share)
        self._bound()
        self.pump()

    def unfinished(self) -> dict[str, Waiting]:
        """What shared subscriptions gave to this session and others can still have, by subscription.

        Not what may have arrived and must not be sent twice.
        """
        flights = self.outbox.flights.values()
        if not flights and not self._queue:
            return {}
        return self.queue.shared([flight.item for flight in flights if flight.item is not None and flight.qos == 1])

    def give_away(self, positions: list[int], share: str) -> None:
        """These messages of a shared subscription have gone to another member."""
        gone = set(positions)
        for packet_id, flight in tuple(self.outbox.flights.items()):
            item = flight.item
            if item is not None and item.qos == 1 and item.share == share and item.message.position in gone:
                self.outbox.drop(packet_id)
        self.queue.give_away(positions, share)

    def admit(self, deliveries: list[Delivery]) -> None:
        """Messages of the queue have been read from the log."""
        may_read = self._may_read()
        self.queue.admit(filter(may_read, deliveries))
        self._leave([delivery for delivery in deliveries if not may_read(delivery)])

    def withdraw(self) -> None:
        """The client comes back, or may do less than before: what it may not read any more does not reach it."""
        may_read = self._may_read()
        left = self.queue.sift(may_read)
        for packet_id, flight in tuple(self.outbox.flights.items()):
            item = flight.item
            if item is None or may_read(item):
                continue
            self.outbox.drop(packet_id)
            if item.qos == 1:
                left.append(item)
            elif self.claims(item.share):
                self._sessions.note(Refused(self.client, packet_id))
            self.dirty = True
        self._leave(left)

    def _may_read(self) -> Callable[[Delivery], bool]:
        """Whether the client may read a message, as far as that is known now."""
        connection = self.connection
        if connection is None or connection.principal.grants.unbound:
            return _anything
        may_subscribe = functools.cache(connection.principal.may_subscribe)
        return lambda delivery: may_subscribe(delivery.message.topic.decode())

    def _leave(self, deliveries: list[Delivery]) -> None:
        """The client does not get these; what shared subscriptions gave to it goes to other members."""
        if not deliveries:
            return
        self.dirty = True
        others = Queue()
        others.admit(deliveries)
        for share, waiting in others.shared(()).items():
            self._sessions.pass_on(share, waiting)

    def _bound(self) -> None:
        """If too much waits, a durable session loses its oldest messages, and counts them; another one ends.

        What other members of a shared subscription left to one that is not durable does not end it.
        """
        queue = self.queue
        if self.durable:
            surplus = len(queue) - settings.SESSION_MESSAGES_MAX
        elif len(queue.waiting) > settings.QUEUE_MESSAGES_MAX or queue.waiting_bytes > settings.QUEUE_BYTES_MAX:
            if self.connection is not None:
                self.connection.refuse(
                    ReasonCode.QUOTA_EXCEEDED,
                    f"{len(queue)} messages wait unacknowledged; the limit is {settings.QUEUE_MESSAGES_MAX}",
                )
            return
        else:
            surplus = len(queue.spilled) - settings.SESSION_MESSAGES_MAX
        if surplus > 0:
            self.dropped += surplus
            self._sessions.dropped(self, surplus)
            queue.drop(surplus)

    def pump(self) -> None:
        """Send as much of what waits as the window allows."""
        if self.connection is None:
            return
        while again := self.outbox.again():
            for packet_id, flight in again:
                self._send_again(packet_id, flight)
        queue = self._queue
        if not queue:
            return
        # What is larger than the client takes makes room for the next one at once.
        while queue.waiting and (due := self._due(self.connection)):
            self.dirty = True
            self._send(due)
        if queue.spilled and len(queue.waiting) < settings.SESSION_MEMORY_MESSAGES_MAX // 2:
            self._sessions.refill(self)

    def _due(self, connection: Connection) -> list[Delivery]:
        """What may go out now."""
        room = 0 if connection.congested else self.outbox.room
        room_bytes = self.outbox.room_bytes
        now_ns = self._sessions.now_ns()
        due: list[Delivery] = []
        while self.queue.waiting and len(due) < room and room_bytes > 0:
            delivery = self.queue.pop()
            if delivery.message.expires_ns and delivery.message.expires_ns <= now_ns:
                self.expired += 1
                continue
            room_bytes -= delivery.message.size
            due.append(delivery)
        return due

    def _send(self, due: list[Delivery]) -> None:
        """Give messages their identifiers and send them; those of QoS 2 only when the claim is on disk."""
        out: list[bytes] = []
        claimed: list[int] = []
        for delivery in due:
            message = delivery.message
            if delivery.qos == 2 and self.claims(delivery.share):
                packet_id = self.outbox.claim(delivery, 2, Stage.CLAIMED, message.size)
                self._sessions.note(Claimed(self.client, packet_id, message.position, delivery.share))
                claimed.append(packet_id)
            else:
                packet_id = self.outbox.claim(delivery, delivery.qos, Stage.SENT, message.size)
                out.append(self._publish(packet_id, delivery, dup=False))
        if out and self.connection is not None:
            self.connection.push(b"".join(out))
        if claimed:
            self._sessions.when_noted(lambda: self._send_claimed(claimed))

    def _send_claimed(self, claimed: list[int]) -> None:
        out = []
        for packet_id in claimed:
            flight = self.outbox.flights.get(packet_id)
            if flight is None or flight.stage is not Stage.CLAIMED or flight.item is None:
                continue
            flight.stage = Stage.SENT
            if self.connection is not None:
                out.append(self._publish(packet_id, flight.item, dup=False))
        if out and self.connection is not None:
            self.connection.push(b"".join(out))
        if self._queue and self.outbox.room > 0:
            self.pump()

    def _send_again(self, packet_id: int, flight: Flight[Delivery]) -> None:
        if self.connection is None:
            return
        if flight.stage is Stage.RELEASED:
            self.connection.send(Pubrel(packet_id))
        elif flight.stage is Stage.SENT and flight.item is not None:
            self.connection.push(self._publish(packet_id, flight.item, dup=True))

    def _publish(self, packet_id: int, delivery: Delivery, dup: bool) -> bytes:
        """The PUBLISH; nothing if it is larger than the client takes (MQTT 5 section 3.1.2.11.4: as if it was sent)."""
        connection = self.connection
        if connection is None:
            return b""
        message = delivery.message
        properties = b""
        if connection.v5 and (message.expires_ns or delivery.identifiers or message.properties):
            properties = wire_properties(message, delivery.identifiers, self._sessions.now_ns())
        data = connection.encode(message, delivery.qos, delivery.retain, dup, packet_id, properties)
        if data:
            self.delivered += 1
        else:
            self.too_large += 1
            self.outbox.drop(packet_id)
        return data

    # What the client answers

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK. This and what follows raise ProtocolError for an answer to another kind of message."""
        if self.outbox.acknowledged(packet_id):
            self.dirty = True
            if self._queue or not self.outbox.room:
                self.pump()
        elif packet_id in self.outbox.flights:
            raise _unexpected("PUBACK", packet_id)

    def received(self, packet_id: int, reason: ReasonCode) -> None:
        """PUBREC: let go of the message, on disk first if the session is durable."""
        connection = self.connection
        if connection is None:
            return
        before = self.outbox.flights.get(packet_id)
        if before is not None and before.qos != 2:
            raise _unexpected("PUBREC", packet_id)
        if reason >= ReasonCode.UNSPECIFIED_ERROR:
            if before is not None:
                self.outbox.drop(packet_id)
                self.dirty = True
                if self.durable:
                    self._sessions.note(Refused(self.client, packet_id))
                self.pump()
            return
        waits = self.durable and before is not None and before.stage < Stage.RECEIVED
        flight = self.outbox.received(packet_id, Stage.RECEIVED if waits else Stage.RELEASED)
        if flight is None:
            connection.send(Pubrel(packet_id, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND))
        elif waits:
            self.dirty = True
            self._sessions.note(Received(self.client, packet_id))
            self._sessions.when_noted(lambda: self._release(packet_id, flight))
        elif flight.stage is Stage.RELEASED:
            connection.send(Pubrel(packet_id))

    def _release(self, packet_id: int, flight: Flight[Delivery]) -> None:
        if self.outbox.flights.get(packet_id) is not flight:
            return
        flight.stage = Stage.RELEASED
        if self.connection is not None:
            self.connection.send(Pubrel(packet_id))

    def completed(self, packet_id: int) -> None:
        """PUBCOMP."""
        flight = self.outbox.flights.get(packet_id)
        if flight is not None:
            if flight.stage is not Stage.RELEASED:
                raise _unexpected("PUBCOMP", packet_id)
            self.outbox.drop(packet_id)
            self.dirty = True
            self.pump()

    # What the client sends with QoS 2

    def released(self, packet_id: int) -> None:
        """PUBREL: the identifier is free again; on disk first if the session is durable."""
        connection = self.connection
        if connection is None:
            return
        known = self.inbox.pop(packet_id, None) is not None
        answer = Pubcomp(packet_id, ReasonCode.SUCCESS if known else ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
        if not self.durable:
            connection.send(answer)
            return
        if known:
            self.dirty = True
            self._sessions.note(Released(self.client, packet_id))

        def complete() -> None:
            if self.connection is connection:
                connection.send(answer)

        # Also if it is not known any more: that may not be on disk yet.
        self._sessions.when_noted(complete)


def _unexpected(packet: str, packet_id: int) -> ProtocolError:
    return ProtocolError(f"{packet} does not answer what was sent as {packet_id}", "MQTT 5 section 4.3")


def _anything(_: Delivery) -> bool:
    return True
