"""SUBSCRIBE and UNSUBSCRIBE: which filters a session may have, and what is retained for a new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from allthings.gateway import settings
from allthings.gateway.changes import Subscribed, Unsubscribed
from allthings.gateway.messages import Message, split_expiry, wire_properties
from allthings.gateway.session import Session, Subscription
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.filters import check_topic_filter, split_share
from allthings.mqtt.packets import Suback, Subscribe, Unsuback, Unsubscribe
from allthings.mqtt.packets import Subscription as Request
from allthings.mqtt.packets.publish import encode_publish
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.wire import control_character

if TYPE_CHECKING:
    from allthings.gateway.audit import AuditTrail
    from allthings.gateway.collector import Collector
    from allthings.gateway.connection import Connection
    from allthings.gateway.retained import Retained, RetainedMessage
    from allthings.gateway.routing import Routing


class Subscriptions:
    """Those of all sessions of a gateway. `system` are the `$SYS` topics."""

    def __init__(
        self,
        routing: Routing,
        retained: Retained,
        system: Retained,
        collector: Collector,
        audit: AuditTrail,
        now_ns: Callable[[], int],
    ) -> None:
        self._routing = routing
        self._retained = retained
        self._system = system
        self._collector = collector
        self._audit = audit
        self._now_ns = now_ns
        #: Whether filters may have control characters.
        self.control_characters = False

    def subscribe(self, connection: Connection, session: Session, packet: Subscribe) -> None:
        """SUBSCRIBE: take what is allowed, answer each filter, send what is retained.

        It has its turn among the messages: what came before, from whomever, is not new to the subscriber but may be
        retained, what comes after is new. So who publishes and then subscribes sees what it would expect.
        """
        identifier = packet.properties.subscription_identifier[0] if packet.properties.subscription_identifier else 0
        durable = session.durable
        reasons: list[ReasonCode] = []
        begun: list[tuple[Request, Subscription]] = []
        retained: list[Request] = []
        for request in packet.subscriptions:
            topic_filter = request.topic_filter
            reason = self._check_filter(connection, session, topic_filter)
            if reason is None:
                reason = ReasonCode(request.qos)
                subscription = Subscription(
                    session, request.qos, request.no_local, request.retain_as_published, identifier
                )
                new = topic_filter not in session.filters
                session.filters[topic_filter] = subscription
                begun.append((request, subscription))
                session.dirty = True
                wanted = request.retain_handling == 0 or (request.retain_handling == 1 and new)
                if durable:
                    self._collector.change(
                        Subscribed(
                            *(session.client, topic_filter, request.qos, request.no_local),
                            *(request.retain_as_published, identifier, wanted),
                        )
                    )
                if wanted:
                    retained.append(request)
            reasons.append(reason)

        found: list[tuple[Request, list[tuple[str, RetainedMessage]]]] = []

        def begin() -> None:
            for request, subscription in begun:
                # Unless it was unsubscribed, or the session ended, meanwhile.
                if session.filters.get(request.topic_filter) is subscription and not session.ended:
                    self._routing.add(request.topic_filter, subscription)
            found.extend((request, self._find_retained(request)) for request in retained)
            if not durable:
                answer()

        def answer() -> None:
            if session.connection is connection:
                connection.send(Suback(packet_id=packet.packet_id, reason_codes=tuple(reasons)))
                for request, messages in found:
                    self._send_retained(connection, session, request, identifier, messages)

        self._collector.in_turn(begin)
        if durable:
            self._collector.then(answer)

    def _check_filter(self, connection: Connection, session: Session, topic_filter: str) -> ReasonCode | None:
        try:
            check_topic_filter(topic_filter)
        except ProtocolError as error:
            return error.reason
        if not self.control_characters and control_character(topic_filter):
            return ReasonCode.TOPIC_FILTER_INVALID
        if len(topic_filter.encode()) > settings.TOPIC_BYTES_MAX:
            return ReasonCode.TOPIC_FILTER_INVALID
        if not connection.principal.may_subscribe(split_share(topic_filter)[1]):
            why = f"{connection.principal.name or 'anyone'} may not subscribe to all of {topic_filter}"
            self._audit.refused(connection, "subscribe-refused", topic_filter, why)
            return ReasonCode.NOT_AUTHORIZED
        if len(session.filters) >= settings.SUBSCRIPTIONS_MAX and topic_filter not in session.filters:
            return ReasonCode.QUOTA_EXCEEDED
        return None

    def _find_retained(self, request: Request) -> list[tuple[str, RetainedMessage]]:
        """What is retained for a filter; nothing for shared subscriptions (section 4.8.2)."""
        share, topic_filter = split_share(request.topic_filter)
        return [] if share else self._retained.match(topic_filter) + self._system.match(topic_filter)

    def _send_retained(
        self,
        connection: Connection,
        session: Session,
        request: Request,
        identifier: int,
        messages: list[tuple[str, RetainedMessage]],
    ) -> None:
        """Marked as retained [MQTT-3.3.1-8]."""
        now_ns = self._now_ns()
        identifiers = (identifier,) if identifier else ()
        for topic, kept in messages:
            properties, expires_ns = split_expiry(kept.properties, kept.received_ns)
            if expires_ns and expires_ns <= now_ns:
                self._retained.forget(topic)
                continue
            message = Message(topic.encode(), kept.payload, properties, expires_ns, kept.position)
            qos = min(kept.qos, request.qos)
            if qos:
                session.deliver([message], qos, True, identifiers)
            else:
                wire = wire_properties(message, identifiers, now_ns)
                packet = encode_publish(message.topic, kept.payload, 0, True, False, 0, wire, connection.version)
                connection.deliver_once([packet])

    def drop(self, session: Session, topic_filter: str) -> None:
        """The rules no longer allow it. MQTT has no packet that says so to the client."""
        if session.filters.pop(topic_filter, None) is not None:
            self._routing.remove(topic_filter, session)
            session.dirty = True
            if session.durable:
                self._collector.change(Unsubscribed(session.client, topic_filter))

    def withdraw(self, connection: Connection, session: Session) -> None:
        """Drop the filters that the client may not read any more."""
        for topic_filter in tuple(session.filters):
            if not connection.principal.may_subscribe(topic_filter):
                self.drop(session, topic_filter)
                self._audit.refused(connection, "subscription-removed", topic_filter, "the rules have changed")

    def unsubscribe(self, connection: Connection, session: Session, packet: Unsubscribe) -> None:
        """UNSUBSCRIBE: messages that are on their way may still come [MQTT-3.10.4-2]."""
        reasons = []
        for topic_filter in packet.topic_filters:
            there = topic_filter in session.filters
            self.drop(session, topic_filter)
            reasons.append(ReasonCode.SUCCESS if there else ReasonCode.NO_SUBSCRIPTION_EXISTED)
        answer = Unsuback(packet_id=packet.packet_id, reason_codes=tuple(reasons))
        call = partial(connection.send, answer)
        if session.durable:
            self._collector.then(call)
        else:
            self._collector.in_turn(call)
