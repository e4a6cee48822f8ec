"""How a client is let in, from its CONNECT to its CONNACK, and how long it may be silent then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from allthings.gateway import settings
from allthings.gateway.admission import Admission, Refusal
from allthings.gateway.attempts import SharedAttempts
from allthings.gateway.messages import forwarded
from allthings.gateway.sessions import NEVER_S
from allthings.gateway.vigil import Vigil
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.packets import Connect, Publish, Will
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.wire import control_character

if TYPE_CHECKING:
    from allthings.gateway.access import Principal
    from allthings.gateway.broker import Broker
    from allthings.gateway.certificates import ServerCertificate
    from allthings.gateway.connection import Connection
    from allthings.gateway.session import Session

#: What a client is told that comes while the disk is nearly full (MQTT 5).
_WAITS = "the disk is nearly full: what you publish is not acknowledged until there is room again"


class Entrance:
    """The door of a broker. `admission` finds out who connects."""

    def __init__(self, broker: Broker, now_ns: Callable[[], int]) -> None:
        self._broker = broker
        self._now_ns = now_ns
        self._vigil = Vigil(broker.deadlines, self._due)
        self.attempts = SharedAttempts()
        self.admission = Admission(broker.credentials, self.attempts, now_ns, self._decided)
        #: The longest keep-alive, and that of who has none, so that a dead peer is noticed (MQTT 5 section 3.2.2.3.14).
        self.keepalive_s_max = settings.KEEPALIVE_S_MAX
        #: Whether control characters are let through in topics, filters, client ids and user names.
        self.control_characters = False

    def expect(self, connection: Connection) -> None:
        """A socket was accepted: its CONNECT must come soon."""
        self._vigil.look(connection, connection.heard + settings.CONNECT_WITHIN_S)

    def ask(self, connection: Connection, packet: Connect) -> None:
        """CONNECT came: find out who that is, and decide. Raises ProtocolError for names that are refused."""
        if not self.control_characters:
            _check_names(packet)
        self.admission.add(connection, packet)

    def forget(self, connection: Connection) -> None:
        """Nothing is expected of it any more."""
        self._vigil.forget(connection)

    def look_at_certificates(self, server: ServerCertificate) -> None:
        """Turn out whose certificate is not good any more, whichever gateway shook hands with it."""
        broker = self._broker
        shown = [each for each in broker.connections if each.certificate.identity]
        for connection in shown:
            why = server.objection(connection.certificate)
            if why and not connection.closing:
                # What may not be said any more is not said after death either.
                if connection.session is not None:
                    broker.sessions.drop_will(connection.session)
                broker.audit.refused(connection, "disconnected", "connection", why, who=connection.certificate_name)
                connection.refuse(ReasonCode.NOT_AUTHORIZED, why)

    def _due(self, connection: Connection) -> None:
        """Its CONNECT should be here, or something else of it, by now."""
        if not connection.client:
            connection.abort()
        elif connection.checking:
            # Its session is not on disk yet, which is not its fault.
            self._vigil.look(connection, self._broker.time() + settings.CONNECT_WITHIN_S)
        else:
            self._keepalive_due(connection)

    def _decided(self, connection: Connection, packet: Connect, found: Principal | Refusal) -> None:
        broker = self._broker
        if isinstance(found, Refusal):
            who = packet.user_name or connection.certificate_name
            broker.audit.refused(connection, "login-refused", "connection", found.why, who=who, client=packet.client_id)
            connection.refuse(*found)
            return
        client = packet.client_id or broker.shard.new_client()
        if len(client.encode()) > settings.CLIENT_BYTES_MAX:
            why = f"a client id of more than {settings.CLIENT_BYTES_MAX} bytes"
            connection.refuse(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, why)
            return
        if not broker.credentials.open:
            found.bind(broker.credentials.rules, client)
        connection.principal = principal = found
        will = packet.will
        if will is not None and not principal.may_publish(will.topic):
            why = f"{principal.name or 'anyone'} may not publish its will to {will.topic}"
            broker.audit.refused(connection, "message-refused", will.topic, why, client=client)
            connection.refuse(ReasonCode.NOT_AUTHORIZED, why)
            return
        self._accept(connection, packet, client)

    def _accept(self, connection: Connection, packet: Connect, client: str) -> None:
        broker = self._broker
        owner = connection.principal.owner
        there = broker.sessions.by_client.get(client)
        if there is not None and there.owner != owner:
            why = "a session with this client id belongs to another user"
            broker.audit.refused(connection, "login-refused", "connection", why, client=client)
            connection.refuse(ReasonCode.CLIENT_IDENTIFIER_NOT_VALID, why)
            return
        expiry_s = 0 if packet.clean_start else NEVER_S
        if connection.v5:
            expiry_s = packet.properties.session_expiry_interval or 0
        if broker.full and (expiry_s or there is not None or packet.will is not None):
            why = "the disk is full: no session or will can be kept; come without either, or when there is room again"
            connection.refuse(ReasonCode.QUOTA_EXCEEDED, why)
            return
        other = broker.clients.get(client)
        if other is not None:
            # A CONNACK has no "session taken over" (MQTT 5 section 3.2.2.2).
            reason = ReasonCode.SESSION_TAKEN_OVER if other.up else ReasonCode.SERVER_BUSY
            other.refuse(reason, "another connection uses this client id")
        broker.clients[client] = connection
        connection.client = client
        session, present = broker.sessions.open(client, owner, packet.clean_start, expiry_s)
        if packet.will is not None:
            delay_s = packet.will.properties.will_delay_interval or 0
            credential = connection.principal.credential
            broker.sessions.hold_will(session, _message_of(packet.will), delay_s, credential)
        if present:
            # The rules may have changed while the client was away.
            broker.subscriptions.withdraw(connection, session)
        if session.durable or present or packet.will is not None:
            broker.sessions.when_noted(partial(self._noted, connection, packet, session, present))
        else:
            self._welcome(connection, packet, session, present)

    def _noted(self, connection: Connection, packet: Connect, session: Session, present: bool) -> None:
        """That the session goes on with this connection, and with which will, is on disk."""
        broker = self._broker
        client = connection.client
        if connection in broker.connections and broker.clients.get(client) is connection:
            self._welcome(connection, packet, session, present)
        elif client not in broker.clients and session.connection is None:
            broker.sessions.abandon(session)

    def _welcome(self, connection: Connection, packet: Connect, session: Session, present: bool) -> None:
        broker = self._broker
        asked = packet.properties
        keepalive_s = packet.keep_alive_s
        answer = NO_PROPERTIES
        if connection.v5:
            if keepalive_s == 0 or keepalive_s > self.keepalive_s_max:
                keepalive_s = self.keepalive_s_max
            answer = Properties(
                session_expiry_interval=None
                if session.expiry_s == (asked.session_expiry_interval or 0)
                else session.expiry_s,
                receive_maximum=settings.RECEIVE_MAXIMUM,
                maximum_packet_size=settings.PACKET_BYTES_MAX,
                topic_alias_maximum=settings.TOPIC_ALIASES_MAX,
                assigned_client_identifier=None if packet.client_id else connection.client,
                server_keep_alive=None if keepalive_s == packet.keep_alive_s else keepalive_s,
                reason_string=connection.explained(_WAITS).reason_string if broker.withholding else None,
            )
        connection.keepalive_s = keepalive_s
        connection.since_ns = self._now_ns()
        broker.statistics.connects += 1
        if _within_connect(keepalive_s):
            self._watch(connection)
        broker.quotas.attach(broker, connection)
        connection.accepted(packet, session, answer, present)
        if not connection.up:
            broker.sessions.abandon(session)
            return
        broker.sessions.attach(session, connection, asked.receive_maximum or 65535)
        connection.go_on()
        if broker.holding:
            connection.hold_reading(True)

    def _watch(self, connection: Connection) -> None:
        """Close the connection when nothing is heard for one and a half times its keep-alive [MQTT-3.1.2-22]."""
        if connection.keepalive_s:
            self._vigil.look(connection, connection.last_heard + 1.5 * connection.keepalive_s)

    def _keepalive_due(self, connection: Connection) -> None:
        broker = self._broker
        if broker.holding or connection.unheard:
            # Its bytes may wait in the socket because we do not read.
            connection.heard = broker.time()
        if connection.keepalive_s and connection.last_heard + 1.5 * connection.keepalive_s <= broker.time():
            connection.refuse(ReasonCode.KEEP_ALIVE_TIMEOUT, f"nothing heard for {1.5 * connection.keepalive_s:g} s")
        else:
            self._watch(connection)


def _check_names(packet: Connect) -> None:
    """Control characters in names would reach terminals, logs and lists of people."""
    found = control_character(packet.client_id)
    if found:
        raise _control("the client identifier", found, ReasonCode.CLIENT_IDENTIFIER_NOT_VALID)
    if packet.user_name is not None and (found := control_character(packet.user_name)):
        raise _control("the user name", found, ReasonCode.BAD_USER_NAME_OR_PASSWORD)
    if packet.will is not None and (found := control_character(packet.will.topic)):
        raise _control("the will topic", found, ReasonCode.TOPIC_NAME_INVALID)


def _control(what: str, found: str, reason: ReasonCode) -> ProtocolError:
    return ProtocolError(f"{what} has the control character {found}", "MQTT 5 section 1.5.4", reason)


def _within_connect(keepalive_s: int) -> bool:
    """Whether a keep-alive may be over before the deadline for CONNECT; else that one looks after it."""
    return 0 < 1.5 * keepalive_s < settings.CONNECT_WITHIN_S


def _message_of(will: Will) -> Publish:
    return Publish(
        topic=will.topic,
        payload=will.payload,
        qos=will.qos,
        retain=will.retain,
        # It has no packet identifier until it goes to somebody.
        packet_id=0,
        properties=forwarded(will.properties),
    )
