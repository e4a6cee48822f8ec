"""What people see of a gateway and may do to it: answers to the questions of the web application.

Lists are gone through in portions, so that a hundred thousand sessions hold nobody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Final

import msgspec

from allthings.gateway import settings
from allthings.gateway.messages import split_expiry
from allthings.gateway.questions import (
    SUBJECT,
    AskClient,
    AskClients,
    AskRetained,
    AskTopics,
    ClientAnswer,
    ClientsAnswer,
    ClientShown,
    ClientSort,
    Disconnect,
    Done,
    Key,
    Question,
    RetainedAnswer,
    RetainedShown,
    SubscriptionShown,
)
from allthings.mqtt.filters import matches
from allthings.mqtt.reasons import ReasonCode

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.connection import Connection
    from allthings.gateway.retained import RetainedMessage
    from allthings.gateway.session import Session
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_QUESTIONS: Final = msgspec.msgpack.Decoder(Question)


class Rates:
    """Messages a second of each connection, over the last seconds; measured while somebody looks."""

    def __init__(self) -> None:
        self._before: dict[Connection, tuple[int, int]] = {}
        self._latest: dict[Connection, tuple[int, int]] = {}
        self._before_s = self._latest_s = float("-inf")

    async def measure(self, connections: Iterable[Connection], now_s: float) -> None:
        """Remember how much each connection has had until now, unless that was done a moment ago."""
        age_s = now_s - self._latest_s
        if age_s < settings.MEASURED_EVERY_S:
            return
        # What nobody has looked at for long says nothing of the last seconds.
        recent = age_s < 3 * settings.MEASURED_EVERY_S
        self._before, self._before_s = (self._latest, self._latest_s) if recent else ({}, now_s)
        self._latest, self._latest_s = {}, now_s
        for number, connection in enumerate(tuple(connections), 1):
            self._latest[connection] = _counts(connection)
            if not number % settings.GONE_THROUGH_AT_ONCE:
                await asyncio.sleep(0)

    def of(self, connection: Connection, now_s: float) -> tuple[float, float] | None:
        """Received and sent; None for a connection that was not there when it was measured."""
        then = self._before.get(connection)
        passed_s = now_s - self._before_s
        if then is None:
            then = self._latest.get(connection)
            passed_s = now_s - self._latest_s
        if then is None or passed_s < 0.5:
            return None
        received, sent = _counts(connection)
        return max(0.0, (received - then[0]) / passed_s), max(0.0, (sent - then[1]) / passed_s)


def _counts(connection: Connection) -> tuple[int, int]:
    session = connection.session
    return connection.messages_received, connection.sent + (session.delivered if session is not None else 0)


class Control:
    """Answers for one gateway. `run` does until cancelled."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._rates = Rates()
        self._time = asyncio.get_running_loop().time
        self._keys: dict[ClientSort, Callable[[Session], float | str]] = {
            "client": lambda session: session.client,
            "owner": lambda session: session.owner,
            "address": lambda session: session.connection.address if session.connection else "",
            "since": lambda session: float(_since_ns(session)),
            "subscriptions": lambda session: float(len(session.filters)),
            "in_flight": lambda session: float(len(session.outbox.flights)),
            "queued": lambda session: float(session.queued),
            "dropped": lambda session: float(_dropped(session)),
            "received_rate": lambda session: self._rate(session)[0],
            "sent_rate": lambda session: self._rate(session)[1],
        }

    async def run(self, log: Log) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(log.answers(SUBJECT, self.answer))
            tasks.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await self._broker.topics.tick(self._time())
            await asyncio.sleep(1)

    async def answer(self, data: bytes) -> bytes:
        """The answer to a question; empty to one that is none, and when it fails: devices are served all the same."""
        try:
            return msgspec.msgpack.encode(await self._answer(_QUESTIONS.decode(data)))
        except msgspec.DecodeError as error:
            _LOGGER.warning("a question that is none: %s", error)
        except Exception:
            _LOGGER.exception("a question cannot be answered")
        return b""

    async def _answer(self, question: Question) -> msgspec.Struct:
        match question:
            case AskClients():
                return await self._clients(question)
            case AskClient():
                return await self._client(question.client)
            case Disconnect():
                return self._disconnect(question)
            case AskTopics():
                retained = self._broker.retained
                return await self._broker.topics.answer(
                    question, self._time(), lambda topic: retained.get(topic) is not None
                )
            case AskRetained():
                return await self._retained(question)

    # Clients

    async def _clients(self, question: AskClients) -> ClientsAnswer:
        await self._rates.measure(self._broker.clients.values(), self._time())
        key_of, search, after = self._keys[question.sort], question.search.casefold(), question.after
        limit = min(question.limit, settings.ANSWER_ROWS_MAX) + 1
        choose = nlargest if question.descending else nsmallest
        best: list[Key] = []
        total = 0
        sessions = tuple(self._broker.sessions.by_client.values())
        for start in range(0, len(sessions), settings.GONE_THROUGH_AT_ONCE):
            for session in sessions[start : start + settings.GONE_THROUGH_AT_ONCE]:
                if not _matches(session, search, question.state):
                    continue
                total += 1
                key = (key_of(session), session.client)
                if after is None or (key < after if question.descending else key > after):
                    best.append(key)
            best = choose(limit, best)
            await asyncio.sleep(0)
        there = ((key, self._session(key[1])) for key in best)
        return ClientsAnswer([self._shown(key, session) for key, session in there if session is not None], total)

    def _session(self, client: str) -> Session | None:
        return self._broker.sessions.by_client.get(client)

    def _rate(self, session: Session) -> tuple[float, float]:
        if session.connection is None:
            return -1.0, -1.0
        return self._rates.of(session.connection, self._time()) or (0.0, 0.0)

    def _shown(self, key: Key, session: Session) -> ClientShown:
        connection = session.connection
        received, sent = _counts(connection) if connection else (0, session.delivered)
        rates = self._rates.of(connection, self._time()) if connection else None
        return ClientShown(
            key=key,
            client=session.client,
            owner=session.owner,
            connected=connection is not None,
            address=connection.address if connection else "",
            version=int(connection.version) if connection else 0,
            since_ns=_since_ns(session),
            expiry_s=session.expiry_s,
            subscriptions=len(session.filters),
            in_flight=len(session.outbox.flights),
            queued=session.queued,
            dropped=_dropped(session),
            received=received,
            sent=sent,
            received_rate=rates[0] if rates else None,
            sent_rate=rates[1] if rates else None,
        )

    async def _client(self, client: str) -> ClientAnswer:
        await self._rates.measure(self._broker.clients.values(), self._time())
        session = self._session(client)
        if session is None:
            return ClientAnswer(None, [])
        subscriptions = [
            SubscriptionShown(topic_filter, each.qos, each.no_local, each.retain_as_published, each.identifier)
            for topic_filter, each in sorted(session.filters.items())
        ]
        answer = ClientAnswer(
            self._shown(("", client), session), subscriptions, expired=session.expired, too_large=session.too_large
        )
        answer.will = session.will.message.topic if session.will is not None else ""
        connection = session.connection
        if connection is not None:
            answer.tenant = connection.principal.tenant
            answer.certificate = connection.certificate_name
            answer.keep_alive_s = connection.keepalive_s
        return answer

    def _disconnect(self, question: Disconnect) -> Done:
        session = self._session(question.client)
        if session is None:
            return Done(False)
        if session.connection is not None:
            session.connection.refuse(ReasonCode.ADMINISTRATIVE_ACTION, question.why)
        if question.forget:
            self._broker.sessions.end(session)
        return Done(True)

    # Retained messages

    async def _retained(self, question: AskRetained) -> RetainedAnswer:
        retained, limit = self._broker.retained, min(question.limit, settings.ANSWER_ROWS_MAX) + 1
        now_ns = self._broker.sessions.now_ns()
        best: list[str] = []
        total = gone_through = 0
        for row in tuple(retained.rows.names):
            for topic in retained.rows.names[row]:
                message = retained.get(topic)
                if message is None or not matches(question.filter, topic) or _expired(message, now_ns):
                    continue
                total += 1
                if topic > question.after:
                    best.append(topic)
            gone_through += len(retained.rows.names[row])
            if gone_through > settings.GONE_THROUGH_AT_ONCE:
                gone_through, best = 0, nsmallest(limit, best)
                await asyncio.sleep(0)
        shown = [
            _retained_shown(topic, message)
            for topic in nsmallest(limit, best)
            if (message := retained.get(topic)) is not None
        ]
        return RetainedAnswer(shown, total)


def _matches(session: Session, search: str, state: str) -> bool:
    connection = session.connection
    if state != "all" and (connection is not None) != (state == "connected"):
        return False
    return (
        not search
        or search in session.client.casefold()
        or search in session.owner.casefold()
        or (connection is not None and search in connection.address)
    )


def _since_ns(session: Session) -> int:
    return session.connection.since_ns if session.connection is not None else session.left_ns


def _dropped(session: Session) -> int:
    return session.dropped + (session.connection.dropped if session.connection is not None else 0)


def _expired(message: RetainedMessage, now_ns: int) -> bool:
    _, expires_ns = split_expiry(message.properties, message.received_ns)
    return 0 < expires_ns <= now_ns


def _retained_shown(topic: str, message: RetainedMessage) -> RetainedShown:
    _, expires_ns = split_expiry(message.properties, message.received_ns)
    return RetainedShown(
        topic=topic,
        payload=message.payload[: settings.RETAINED_PAYLOAD_BYTES],
        payload_bytes=len(message.payload),
        qos=message.qos,
        received_ns=message.received_ns,
        expires_ns=expires_ns,
        position=message.position,
    )
