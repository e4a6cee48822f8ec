"""What the packets of all clients mean together: who is connected, subscribed, retained, and what a will says."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from allthings.gateway import settings
from allthings.gateway.access import Credentials, Principal
from allthings.gateway.admission import Admission, Refusal
from allthings.gateway.audit import AuditTrail
from allthings.gateway.collector import Collector, Run
from allthings.gateway.connection import Connection
from allthings.gateway.deadlines import Deadlines
from allthings.gateway.retained import Retained
from allthings.gateway.statistics import Statistics
from allthings.gateway.subscriptions import Subscription, Subscriptions
from allthings.log.block import FLAG_RETAIN
from allthings.log.stream import Log
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.filters import check_topic_filter, decode_topic_name
from allthings.mqtt.packets import Connect, Puback, Publish, Suback, Subscribe, Unsuback, Unsubscribe
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties, encode_raw
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.scanner import Run as WireRun
from allthings.registry.attempts import Attempts

_LOGGER = logging.getLogger(__name__)
#: How long a connection that is being closed may take to write its last bytes.
_CLOSE_WITHIN_S = 5.0


class Broker:
    """The gateway's state. All methods run on the event loop; `collector` does the appending."""

    def __init__(
        self, log: Log, source: str, now_ns: Callable[[], int], credentials: Credentials, audit: AuditTrail
    ) -> None:
        self.credentials = credentials
        self.audit = audit
        self.admission = Admission(credentials, Attempts(), now_ns, self._decided)
        self._loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.clients: dict[str, Connection] = {}
        self.subscriptions = Subscriptions()
        self.retained = Retained()
        self.statistics = Statistics()
        self.deadlines = Deadlines(self._loop)
        self._holds: set[str] = set()
        self.collector = Collector(
            log, source, now_ns, self._stored, lambda on: self.hold("waiting for the log", on), self._trouble
        )

    # Connections come and go

    def opened(self, connection: Connection) -> bool:
        """A socket was accepted. False when there are too many."""
        if len(self.connections) >= settings.CONNECTIONS_MAX:
            return False
        self.connections.add(connection)
        self.deadlines.at(self._loop.time() + settings.CONNECT_WITHIN_S, lambda: self._connect_overdue(connection))
        return True

    def _connect_overdue(self, connection: Connection) -> None:
        if not connection.client and connection in self.connections:
            connection.abort()

    def closed(self, connection: Connection) -> None:
        """A socket is gone: forget it, and publish its will if it did not say goodbye."""
        self.connections.discard(connection)
        if self.clients.get(connection.client) is connection:
            del self.clients[connection.client]
        for topic_filter in connection.filters:
            self.subscriptions.remove(topic_filter, connection)
        connection.filters.clear()
        self._publish_will(connection)

    def _publish_will(self, connection: Connection) -> None:
        will, connection.will = connection.will, None
        if will is None:
            return
        flags = will.qos | (FLAG_RETAIN if will.retain else 0)
        properties = encode_raw(will.properties, Carrier.PUBLISH) or None
        self.collector.add(will.topic, will.payload, flags, connection.client, properties)

    def check(self, connection: Connection, packet: Connect) -> None:
        """Find out who connects, then accept or refuse."""
        self.admission.add(connection, packet)

    def _decided(self, connection: Connection, packet: Connect, found: Principal | Refusal) -> None:
        if isinstance(found, Refusal):
            who = packet.user_name or connection.certificate_name
            self.audit.refused(connection, "login-refused", "connection", found.why, who=who, client=packet.client_id)
            connection.refuse(*found)
            return
        client = packet.client_id or f"auto-{secrets.token_hex(8)}"
        if not self.credentials.open:
            found.bind(self.credentials.rules, client)
        connection.principal = principal = found
        will = packet.will
        if will is not None:
            if will.qos > 1:
                connection.refuse(ReasonCode.QOS_NOT_SUPPORTED, "a will of QoS 2; at most QoS 1 is offered")
                return
            if not principal.may_publish(will.topic):
                why = f"{principal.name or 'anyone'} may not publish its will to {will.topic}"
                self.audit.refused(connection, "publish-refused", will.topic, why, client=client)
                connection.refuse(ReasonCode.NOT_AUTHORIZED, why)
                return
            connection.will = Publish(
                topic=will.topic,
                payload=will.payload,
                qos=will.qos,
                retain=will.retain,
                properties=_forwarded(will.properties),
            )
        self._accept(connection, packet, client)

    def _accept(self, connection: Connection, packet: Connect, client: str) -> None:
        other = self.clients.get(client)
        if other is not None:
            other.refuse(ReasonCode.SESSION_TAKEN_OVER, "another connection uses this client id")
        self.clients[client] = connection
        keepalive_s = packet.keep_alive_s
        answer = NO_PROPERTIES
        if connection.v5:
            if keepalive_s == 0 or keepalive_s > settings.KEEPALIVE_S_MAX:
                keepalive_s = settings.KEEPALIVE_S_MAX
            answer = Properties(
                # Sessions end with their connection (section 3.2.2.3.2).
                session_expiry_interval=0 if packet.properties.session_expiry_interval else None,
                receive_maximum=settings.RECEIVE_MAXIMUM,
                maximum_qos=1,
                maximum_packet_size=settings.PACKET_BYTES_MAX,
                assigned_client_identifier=None if packet.client_id else client,
                server_keep_alive=None if keepalive_s == packet.keep_alive_s else keepalive_s,
                subscription_identifier_available=False,
                shared_subscription_available=False,
            )
        connection.keepalive_s = keepalive_s
        self.statistics.connects += 1
        if keepalive_s:
            self._watch(connection)
        connection.accepted(packet, client, answer, session_present=False)
        connection.hold_reading(bool(self._holds))

    def _watch(self, connection: Connection) -> None:
        """Close the connection when nothing is heard for one and a half times its keep-alive [MQTT-3.1.2-22]."""
        due = connection.heard + 1.5 * connection.keepalive_s

        def check() -> None:
            if connection not in self.connections:
                return
            if self._holds:
                # Its bytes may wait in the socket because we do not read.
                connection.heard = self._loop.time()
            if connection.heard + 1.5 * connection.keepalive_s <= self._loop.time():
                connection.refuse(
                    ReasonCode.KEEP_ALIVE_TIMEOUT, f"nothing heard for {1.5 * connection.keepalive_s:g} s"
                )
            else:
                self._watch(connection)

        self.deadlines.at(due, check)

    def refused(self, connection: Connection, reason: ReasonCode, why: str) -> None:
        """A connection is being closed with a reason: count and log it, and see that it does close."""
        self.statistics.refusals += 1
        _LOGGER.info("client %r at %s: %s (0x%02x)", connection.client, connection.address, why, reason)
        self.deadlines.at(self._loop.time() + _CLOSE_WITHIN_S, connection.abort)
        if reason == ReasonCode.SESSION_TAKEN_OVER:
            # The newcomer has the name now; the old connection's subscriptions end at once.
            self.closed(connection)

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
        if not connection.principal.may_publish(topic):
            return None
        if len(connection.topics) >= settings.TOPICS_REMEMBERED:
            connection.topics.clear()
        connection.topics[raw] = topic
        return topic

    def refuse_publish(self, connection: Connection, run: WireRun) -> None:
        """The client may not publish there: 0x87 for each (MQTT 5), else the connection ends [MQTT-3.3.5-2]."""
        topic = run.topic.decode()
        why = f"{connection.principal.name or 'anyone'} may not publish to {topic}"
        self.statistics.refused_messages += len(run.payloads)
        self.audit.refused(connection, "publish-refused", topic, why)
        if not connection.v5 or not run.identifiers:
            connection.refuse(ReasonCode.NOT_AUTHORIZED, why)
            return
        for identifier in run.identifiers:
            connection.send(
                Puback(
                    packet_id=int.from_bytes(identifier),
                    reason_code=ReasonCode.NOT_AUTHORIZED,
                    properties=Properties(reason_string=why[:1024]),
                )
            )

    def publish(self, connection: Connection, packet: Publish) -> None:
        """A PUBLISH that took the long way: with properties, DUP or QoS 2."""
        if packet.qos > 1:
            raise ProtocolError("QoS 2; at most QoS 1 is offered", "MQTT-3.2.2-11", ReasonCode.QOS_NOT_SUPPORTED)
        if packet.properties.topic_alias is not None:
            raise ProtocolError("a topic alias; none are offered", "MQTT-3.2.2-18", ReasonCode.TOPIC_ALIAS_INVALID)
        raw = packet.topic.encode()
        topic = connection.topics.get(raw) or self.learn_topic(connection, raw)
        identifier = packet.packet_id.to_bytes(2) if packet.qos else None
        if topic is None:
            identifiers = [identifier] if identifier else []
            self.refuse_publish(connection, WireRun(0x30 | packet.qos << 1, raw, [packet.payload], identifiers))
            return
        connection.received += 1
        flags = packet.qos | (FLAG_RETAIN if packet.retain else 0)
        properties = encode_raw(_forwarded(packet.properties), Carrier.PUBLISH) or None
        self.collector.add(topic, packet.payload, flags, connection.client, properties, connection, identifier)

    def _stored(self, runs: list[Run], payloads: list[bytes]) -> None:
        """A block is in the log: now its messages go to subscribers, and retained ones are kept."""
        listening = bool(self.subscriptions)
        at = 0
        for topic, _, flags, properties, count, publisher in runs:
            if listening or flags & FLAG_RETAIN:
                some = payloads[at : at + count]
                retain = bool(flags & FLAG_RETAIN)
                if retain:
                    self.retained.keep(topic, some[-1], flags & 3, properties)
                self.statistics.delivered += self.subscriptions.deliver(
                    topic, some, flags & 3, retain, properties, publisher
                )
            at += count

    # Subscribing

    def subscribe(self, connection: Connection, packet: Subscribe) -> None:
        """SUBSCRIBE: take what is allowed, answer each filter, send what is retained."""
        if packet.properties.subscription_identifier:
            raise ProtocolError(
                "a subscription identifier; none are offered",
                "MQTT 5 section 3.2.2.3.12",
                ReasonCode.SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
            )
        reasons: list[ReasonCode] = []
        retained: list[tuple[str, int]] = []
        for request in packet.subscriptions:
            topic_filter = request.topic_filter
            reason = self._check_filter(connection, topic_filter)
            if reason is None:
                qos = min(request.qos, 1)
                reason = ReasonCode(qos)
                new = self.subscriptions.add(
                    topic_filter, Subscription(connection, qos, request.no_local, request.retain_as_published)
                )
                connection.filters[topic_filter] = qos
                if request.retain_handling == 0 or (request.retain_handling == 1 and new):
                    retained.append((topic_filter, qos))
            reasons.append(reason)
        connection.send(Suback(packet_id=packet.packet_id, reason_codes=tuple(reasons)))
        for topic_filter, qos in retained:
            self.retained.send(connection, topic_filter, qos)

    def _check_filter(self, connection: Connection, topic_filter: str) -> ReasonCode | None:
        if topic_filter.startswith("$share/"):
            return ReasonCode.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
        try:
            check_topic_filter(topic_filter)
        except ProtocolError as error:
            return error.reason
        if not connection.principal.may_subscribe(topic_filter):
            why = f"{connection.principal.name or 'anyone'} may not subscribe to all of {topic_filter}"
            self.audit.refused(connection, "subscribe-refused", topic_filter, why)
            return ReasonCode.NOT_AUTHORIZED
        if len(connection.filters) >= settings.SUBSCRIPTIONS_MAX and topic_filter not in connection.filters:
            return ReasonCode.QUOTA_EXCEEDED
        return None

    def drop_subscription(self, connection: Connection, topic_filter: str) -> None:
        """The rules no longer allow it. MQTT has no packet that says so to the client."""
        if connection.filters.pop(topic_filter, None) is not None:
            self.subscriptions.remove(topic_filter, connection)

    def unsubscribe(self, connection: Connection, packet: Unsubscribe) -> None:
        """UNSUBSCRIBE: messages that are on their way may still come [MQTT-3.10.4-2]."""
        reasons = []
        for topic_filter in packet.topic_filters:
            there = connection.filters.pop(topic_filter, None) is not None
            if there:
                self.subscriptions.remove(topic_filter, connection)
            reasons.append(ReasonCode.SUCCESS if there else ReasonCode.NO_SUBSCRIPTION_EXISTED)
        connection.send(Unsuback(packet_id=packet.packet_id, reason_codes=tuple(reasons)))

    # Flow

    def hold(self, why: str, on: bool) -> None:
        """Stop reading from all devices for a reason, or drop the reason; they are read when no reason is left."""
        before = bool(self._holds)
        (self._holds.add if on else self._holds.discard)(why)
        self.statistics.holding = sorted(self._holds)
        if bool(self._holds) != before:
            for connection in self.connections:
                connection.hold_reading(bool(self._holds))

    def _trouble(self, detail: str) -> None:
        if self.statistics.trouble != detail:
            _LOGGER.warning("the log does not take blocks, devices wait: %s", detail)
        self.statistics.trouble = detail

    def shut_down(self) -> None:
        """Tell all clients that the server stops. Wills are kept: the devices are not gone, we are."""
        for connection in tuple(self.connections):
            connection.will = None
            # A CONNACK has no "shutting down" (MQTT 5 section 3.2.2.2).
            reason = ReasonCode.SERVER_SHUTTING_DOWN if connection.up else ReasonCode.SERVER_UNAVAILABLE
            connection.refuse(reason, "the gateway stops")


def _forwarded(properties: Properties) -> Properties:
    """The properties of a PUBLISH or will that go on to subscribers unaltered (MQTT 5 section 3.3.2.3)."""
    if properties is NO_PROPERTIES:
        return properties
    return Properties(
        payload_format_indicator=properties.payload_format_indicator,
        message_expiry_interval=properties.message_expiry_interval,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        user_property=properties.user_property,
    )
