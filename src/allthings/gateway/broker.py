"""What the packets of all clients mean together: who is connected, subscribed, retained, and what a will says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from allthings.gateway import settings
from allthings.gateway.access import Credentials
from allthings.gateway.audit import AuditTrail
from allthings.gateway.changes import Given, Taken
from allthings.gateway.collector import Collector
from allthings.gateway.connection import Connection
from allthings.gateway.deadlines import Deadlines
from allthings.gateway.division import Division
from allthings.gateway.entrance import Entrance
from allthings.gateway.gathering import Run
from allthings.gateway.lane import Lane
from allthings.gateway.lost import Lost
from allthings.gateway.messages import forwarded
from allthings.gateway.quota import Quotas
from allthings.gateway.refill import Refill
from allthings.gateway.retained import Retained, RetainedMessage
from allthings.gateway.routing import Messages, Routing
from allthings.gateway.session import Session
from allthings.gateway.sessions import Sessions
from allthings.gateway.shard import ALONE, Shard
from allthings.gateway.shares import Shares
from allthings.gateway.statistics import DISK, Statistics
from allthings.gateway.strict import Strict
from allthings.gateway.subscriptions import Subscriptions
from allthings.gateway.topics import Topics
from allthings.log.block import FLAG_RETAIN
from allthings.log.stream import Log
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.filters import decode_topic_name
from allthings.mqtt.packets import Disconnect, Puback, Publish, Pubrec
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, encode_raw
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.scanner import Run as WireRun
from allthings.mqtt.wire import control_character

if TYPE_CHECKING:
    from allthings.gateway.handover import Handover

_LOGGER = logging.getLogger(__name__)
_FLAGS_OF = itemgetter(Run._fields.index("flags"))
#: How long a refused client may take to read why: it may have thousands of answers before that.
_CLOSE_WITHIN_S = 20.0


class Broker:
    """The gateway's state. All methods run on the event loop; `collector` does the appending."""

    def __init__(
        self,
        log: Log,
        source: str,
        now_ns: Callable[[], int],
        credentials: Credentials,
        audit: AuditTrail,
        shard: Shard = ALONE,
        data: Path | None = None,
    ) -> None:
        self.source = source
        self.shard = shard
        #: Set where there are several gateways.
        self.handover: Handover | None = None
        self.shares: Shares | None = None
        self.credentials = credentials
        self.audit = audit
        self._loop = asyncio.get_running_loop()
        self.deadlines = Deadlines(self._loop)
        self.entrance = Entrance(self, now_ns)
        self.quotas = Quotas(1 / shard.count)
        self.strict = Strict(now_ns)
        #: The event loop's clock.
        self.time = self._loop.time
        self._pushed: list[Connection] = []
        self.connections: set[Connection] = set()
        self.clients: dict[str, Connection] = {}
        self.routing = Routing()
        self.retained = Retained()
        #: The `$SYS` topics (gateway.system).
        self.system = Retained()
        self.statistics = Statistics()
        #: For people who look on (gateway.control).
        self.topics = Topics()
        self._holds: set[str] = set()
        #: Whether published messages wait for room on the disk, and whether so does what sessions need.
        self.withholding = self.full = False
        #: The sequence up to which blocks of others have been handed on.
        self.followed = 0
        self.collector = Collector(
            log,
            source,
            now_ns,
            self._stored,
            lambda on: self.hold("waiting for the log", on),
            self._trouble,
            self._divide if shard.count > 1 else None,
        )
        #: Bound once for all connections (gateway.connection).
        self.add_one = self.collector.add_one
        #: Set where the kernel reads and writes many sockets at once.
        self.lane: Lane | None = None
        if shard.count > 1:
            self.shares = Shares(shard, self.routing)
        self.lost = Lost(data, now_ns)
        self.refill = Refill(log, self.lost)
        self.sessions = Sessions(
            self.collector, self.routing, self.deadlines, now_ns, self._publish_will, self.refill.begin, self.shares
        )
        self.subscriptions = Subscriptions(self.routing, self.retained, self.system, self.collector, audit, now_ns)

    def let_control_characters_through(self) -> None:
        """In topics, filters, client ids and user names; by default they are refused."""
        self.entrance.control_characters = self.subscriptions.control_characters = True

    # Connections come and go

    def opened(self, connection: Connection) -> bool:
        """A socket was accepted. False when there are too many."""
        if len(self.connections) >= settings.CONNECTIONS_MAX:
            return False
        self.statistics.sockets += 1
        self.connections.add(connection)
        self.entrance.expect(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """A socket is gone: its session may stay, its will is due if it did not say goodbye."""
        self.connections.discard(connection)
        self.entrance.forget(connection)
        self._leave(connection)

    def _leave(self, connection: Connection) -> None:
        if connection.quota is not None:
            connection.quota.close()
        if self.clients.get(connection.client) is connection:
            del self.clients[connection.client]
        session = connection.session
        if session is not None and session.connection is connection:
            self.sessions.detach(session)

    def _publish_will(self, client: str, will: Publish) -> None:
        flags = will.qos | (FLAG_RETAIN if will.retain else 0)
        properties = encode_raw(will.properties, Carrier.PUBLISH) or None
        self.collector.add(will.topic, will.payload, flags, client, properties)

    def given_away(self, connection: Connection, client: str, data: bytes) -> bool:
        """Hand a connection to the gateway that its client belongs to, if that is another one.

        `data` is what it has sent, beginning with its CONNECT.
        """
        if self.handover is None or not client or self.shard.owns(client):
            return False
        if self.handover.give(connection.transport, client, data):
            self.connections.discard(connection)
            self.entrance.forget(connection)
        else:
            connection.refuse(ReasonCode.SERVER_BUSY, "the gateway of this client cannot take it now; try again")
        return True

    def refused(self, connection: Connection, reason: ReasonCode, why: str) -> None:
        """A connection is being closed with a reason: count and log it, and see that it does close."""
        self.statistics.refusals += 1
        _LOGGER.info("client %r at %s: %s (0x%02x)", connection.client, connection.address, why, reason)
        self.deadlines.at(self.time() + _CLOSE_WITHIN_S, connection.abort)
        # What it had ends at once: another connection may have its name now, and what comes for it must not pile up
        # while it is slow to close.
        self._leave(connection)

    def left(self, connection: Connection, packet: Disconnect) -> None:
        """DISCONNECT: without a will unless it asks for it, and perhaps with another expiry."""
        session = connection.session
        if session is None:
            return
        expiry_s = packet.properties.session_expiry_interval
        if expiry_s is not None and expiry_s != session.expiry_s:
            if not session.expiry_s:
                raise ProtocolError("DISCONNECT gives a session an expiry that had none", "MQTT 5 section 3.14.2.2.2")
            self.sessions.set_expiry(session, expiry_s)
        if packet.reason_code == ReasonCode.NORMAL_DISCONNECTION:
            self.sessions.drop_will(session)

    # Publishing

    def learn_topic(self, connection: Connection, raw: bytes) -> str | None:
        """The topic as text if the client may publish to it, and remember that; None if it may not.

        Raises MqttError when it is no topic.
        """
        topic = decode_topic_name(raw)
        if len(raw) > settings.TOPIC_BYTES_MAX:
            raise ProtocolError(
                f"a topic of {len(raw)} bytes; at most {settings.TOPIC_BYTES_MAX} are accepted",
                "MQTT 5 section 4.7.3",
                ReasonCode.TOPIC_NAME_INVALID,
            )
        if not self.entrance.control_characters and (found := control_character(topic)):
            raise ProtocolError(
                f"the topic name has the control character {found}",
                "MQTT 5 section 1.5.4",
                ReasonCode.TOPIC_NAME_INVALID,
            )
        if not connection.principal.may_publish(topic):
            return None
        if self.strict.concerns(topic) or (connection.quota is not None and connection.quota.refuses):
            # Its messages are looked at one by one, so the verdict is not remembered.
            return topic
        if len(connection.topics) >= settings.TOPICS_REMEMBERED:
            connection.topics.clear()
        connection.topics[raw] = topic
        return topic

    def examine(self, connection: Connection, run: WireRun) -> tuple[str, WireRun] | None:
        """The messages of a run on a topic without a remembered verdict that may go on; the others are answered."""
        topic = self.learn_topic(connection, run.topic)
        if topic is None:
            self._refuse_publish(connection, run)
            return None
        if run.topic not in connection.topics:
            if connection.quota is not None and connection.quota.refuses:
                run = connection.quota.admit(self, connection, topic, run)
            run = self.strict.admit(self, connection, topic, run)
        return (topic, run) if run.payloads else None

    def refuse_message(
        self, connection: Connection, topic: str, qos: int, identifier: bytes, reason: ReasonCode, why: str
    ) -> None:
        """Answer one message of an MQTT 5 client with a reason code; it goes no further."""
        self.statistics.refused_messages += 1
        self.audit.refused(connection, "message-refused", topic, why)
        answer = Puback if qos == 1 else Pubrec
        number = int.from_bytes(identifier)
        connection.send(answer(packet_id=number, reason_code=reason, properties=connection.explained(why)))

    def _refuse_publish(self, connection: Connection, run: WireRun) -> None:
        """The client may not publish there: 0x87 for each (MQTT 5), else the connection ends [MQTT-3.3.5-2]."""
        topic = run.topic.decode()
        why = f"{connection.principal.name or 'anyone'} may not publish to {topic}"
        if not connection.v5 or not run.identifiers:
            self.statistics.refused_messages += len(run.payloads)
            self.audit.refused(connection, "message-refused", topic, why)
            connection.refuse(ReasonCode.NOT_AUTHORIZED, why)
            return
        for identifier in run.identifiers:
            self.refuse_message(connection, topic, run.first >> 1 & 3, identifier, ReasonCode.NOT_AUTHORIZED, why)

    def publish(self, connection: Connection, session: Session, packet: Publish) -> None:
        """A PUBLISH that took the long way: with properties, DUP or QoS 2."""
        packet = connection.resolve_alias(packet)
        if packet.qos == 2 and (stored := session.inbox.get(packet.packet_id)) is not None:
            # The same message again [MQTT-4.3.3-10]; if it is not on disk yet, its PUBREC is still to come.
            if stored:
                connection.send(Pubrec(packet.packet_id))
            return
        raw = packet.topic.encode()
        topic = connection.topics.get(raw)
        identifier = packet.packet_id.to_bytes(2) if packet.qos else None
        if topic is None:
            identifiers = [identifier] if identifier else []
            first = 0x30 | packet.qos << 1 | packet.retain
            examined = self.examine(connection, WireRun(first, raw, [packet.payload], identifiers))
            if examined is None:
                return
            topic = examined[0]
        connection.received += 1
        flags = packet.qos | (FLAG_RETAIN if packet.retain else 0)
        properties = None
        if packet.properties is not NO_PROPERTIES:
            properties = encode_raw(forwarded(packet.properties), Carrier.PUBLISH) or None
        if packet.qos == 2:
            self._take_once(connection, session, packet.packet_id)
            identifier = None
        elif packet.qos:
            connection.count_unacknowledged(1)
        self.collector.add(topic, packet.payload, flags, connection.client, properties, connection, identifier)
        if packet.qos == 2 and session.durable:
            self.collector.change(Taken(session.client, packet.packet_id))

    def _take_once(self, connection: Connection, session: Session, packet_id: int) -> None:
        if connection.v5 and len(session.inbox) >= settings.RECEIVE_MAXIMUM:
            raise ProtocolError(
                f"more than {settings.RECEIVE_MAXIMUM} messages of QoS 2 that are not completed",
                "MQTT 5 section 3.3.4",
                ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
            )
        session.inbox[packet_id] = False

        def stored() -> None:
            if session.inbox.get(packet_id) is False:
                session.inbox[packet_id] = True
                session.dirty = True
                if session.connection is not None:
                    session.connection.send(Pubrec(packet_id))

        self.collector.then(stored)

    def _divide(self, runs: list[Run]) -> list[Given]:
        """Which messages of a block shared subscriptions give to members at other gateways."""
        if not self.shares:
            return []
        given: list[Given] = []
        at = 0
        for run in runs:
            given += self.shares.assign(run.topic, range(at, at + run.messages))
            at += run.messages
        return given

    def _stored(
        self,
        runs: list[Run],
        payloads: list[bytes],
        position: int,
        first_ns: int,
        division: Division | None,
        turns: list[tuple[int, Callable[[], None]]],
    ) -> None:
        """A block is in the log: now its messages go to subscribers, and retained ones are kept."""
        if self.statistics.trouble:
            self.statistics.trouble = ""
            _LOGGER.info("the log takes blocks again")
        self.topics.take(runs, payloads, first_ns)
        begin = row = 0
        for turn, call in turns:
            end, before = begin, row
            while row < turn:
                row += runs[end].messages
                end += 1
            self._hand_on(runs[begin:end], payloads, before, position, first_ns, division)
            call()
            begin = end
        self._hand_on(runs[begin:] if begin else runs, payloads, row, position, first_ns, division)
        self.flush()

    def _hand_on(
        self,
        runs: list[Run],
        payloads: list[bytes],
        at: int,
        position: int,
        first_ns: int,
        division: Division | None,
    ) -> None:
        """Some runs of a block, whose messages begin at the row `at`."""
        listening = bool(self.routing)
        if not listening and not any(flags & FLAG_RETAIN for flags in set(map(_FLAGS_OF, runs))):
            return
        for topic, client, flags, properties, count, _ in runs:
            if listening or flags & FLAG_RETAIN:
                some = payloads[at : at + count]
                self.route(
                    topic, client, some, flags, properties, position + at, first_ns + at, division=division, row=at
                )
            at += count

    def route(
        self,
        topic: str,
        client: str,
        payloads: list[bytes],
        flags: int,
        properties: bytes | None,
        position: int,
        received_ns: int,
        *,
        source: str = "",
        division: Division | None = None,
        row: int = 0,
    ) -> None:
        """Hand on messages of one topic that follow each other in the log, the first one at `position`.

        `source` is who appended them if that was not this gateway. `division` is how shared subscriptions divide
        their block, in which they begin at `row`.
        """
        retain = bool(flags & FLAG_RETAIN)
        if retain:
            last = len(payloads) - 1
            self.retained.keep(
                topic, RetainedMessage(payloads[last], flags & 3, properties, received_ns + last, position + last)
            )

        def make() -> Messages:
            made = Messages(
                topic, payloads, flags & 3, retain, properties, position, received_ns, source or self.source
            )
            made.division, made.row = division, row
            return made

        deliveries = self.routing.deliver(topic, client, make)
        if deliveries:
            each = len(topic) + sum(map(len, payloads)) // len(payloads)
            self.statistics.delivered += deliveries
            self.statistics.delivered_bytes += deliveries * each

    def pushed(self, connection: Connection) -> None:
        """A connection has something to write: it is written at the end of this turn of the loop, all at once."""
        if not self._pushed:
            self._loop.call_soon(self.flush)
        self._pushed.append(connection)

    def flush(self) -> None:
        """Write what was pushed."""
        pushed, self._pushed = self._pushed, []
        for connection in pushed:
            connection.flush()

    # Flow

    @property
    def holding(self) -> bool:
        """Whether devices are made to wait."""
        return bool(self._holds)

    def hold(self, why: str, on: bool) -> None:
        """Stop reading from all devices for a reason, or drop the reason; they are read when no reason is left."""
        before = bool(self._holds)
        (self._holds.add if on else self._holds.discard)(why)
        self._tell_holding()
        if bool(self._holds) != before:
            for connection in self.connections:
                connection.hold_reading(bool(self._holds))

    def withhold(self, *, messages: bool, notes: bool) -> None:
        """Whether room on the disk is waited for: by published messages, and by what is noted of sessions.

        A message waits where it came from, unacknowledged; everything else of its client is served.
        """
        self.full = notes
        self.collector.hold(notes)
        if messages != self.withholding:
            self.withholding = messages
            self._tell_holding()
            for connection in tuple(self.connections):
                # From now on each message is looked at, or has been waiting.
                (connection.forget_verdicts if messages else connection.take_parked)()

    def _tell_holding(self) -> None:
        self.statistics.holding = sorted(self._holds | ({DISK} if self.withholding else set()))

    def _trouble(self, detail: str) -> None:
        if self.statistics.trouble != detail:
            _LOGGER.warning("the log does not take blocks, devices wait: %s", detail)
        self.statistics.trouble = detail

    def shut_down(self) -> None:
        """Tell all clients that the server stops.

        Their wills stay as the log has them: the next start says them, of those who do not come back in time (MQTT 5
        section 3.1.2.5 allows to defer them).
        """
        for connection in tuple(self.connections):
            if connection.session is not None:
                connection.session.will = None
            # A CONNACK has no "shutting down" (MQTT 5 section 3.2.2.2).
            reason = ReasonCode.SERVER_SHUTTING_DOWN if connection.up else ReasonCode.SERVER_UNAVAILABLE
            connection.refuse(reason, "the gateway stops")
