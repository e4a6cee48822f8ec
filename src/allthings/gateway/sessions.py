"""All sessions of this gateway: how they begin, go on, and end, and when their wills are published."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from allthings.gateway import settings
from allthings.gateway.backlog import Waiting
from allthings.gateway.changes import Change, Ended, Forwarded, Opened
from allthings.gateway.session import Session
from allthings.gateway.wills import Wills

if TYPE_CHECKING:
    from allthings.gateway.collector import Collector
    from allthings.gateway.connection import Connection
    from allthings.gateway.deadlines import Deadlines
    from allthings.gateway.routing import Routing
    from allthings.gateway.shares import Shares
    from allthings.mqtt.packets import Publish

_LOGGER = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000
#: MQTT 5 section 3.1.2.11.2: this session does not expire. It is bounded by settings.SESSION_EXPIRY_S_MAX.
NEVER_S = 0xFFFF_FFFF
#: Wills and expiries come at most about this late.
_LOOK_EVERY_S = 0.1
#: Positions in one change.
_FORWARDED_AT_ONCE = 10_000


class Sessions:
    """By client id. `publish_will` appends a will; `refill` fetches what a session keeps in the log only.

    `shares` is given where there are several gateways.
    """

    def __init__(
        self,
        collector: Collector,
        routing: Routing,
        deadlines: Deadlines,
        now_ns: Callable[[], int],
        publish_will: Callable[[str, Publish], None],
        refill: Callable[[Session], None],
        shares: Shares | None,
    ) -> None:
        self._collector = collector
        self._routing = routing
        self._deadlines = deadlines
        self._shares = shares
        self.now_ns = now_ns
        self.refill = refill
        self.wills = Wills(collector, publish_will)
        self.by_client: dict[str, Session] = {}
        #: Clients whose sessions have ended since they were last kept (gateway.keeper).
        self.gone: set[str] = set()
        self.dropped_messages = 0
        #: Sessions whose time was over before their client came back.
        self.expired = 0
        #: Unix times in ns at which something may be due, with the client that it concerns.
        self._dues: list[tuple[int, str]] = []
        self._looking = False

    def note(self, change: Change) -> None:
        """Store a change of a durable session."""
        self._collector.change(change)

    def when_noted(self, call: Callable[[], None]) -> None:
        """Call it when all changes until now are on disk."""
        self._collector.then(call)

    def dropped(self, session: Session, messages: int) -> None:
        """A durable session lost its oldest messages."""
        if session.dropped == messages:
            _LOGGER.warning(
                "the session of client %r holds %d messages; from now on its oldest ones are dropped, and counted",
                session.client,
                settings.SESSION_MESSAGES_MAX,
            )
        self.dropped_messages += messages

    def hold_will(self, session: Session, message: Publish, delay_s: int, credential: str) -> None:
        """Whoever connects now, having shown `credential`, has a will."""
        session.will = self.wills.hold(session.client, message, delay_s, credential)

    # Begin

    def open(self, client: str, owner: str, clean: bool, expiry_s: int) -> tuple[Session, bool]:
        """The session of a client that connects, and whether it was there before (session present)."""
        session = self.by_client.get(client)
        if session is not None and not clean:
            self.set_expiry(session, expiry_s)
            self.drop_will(session)
            return session, True
        if session is not None:
            self.end(session)
        session = self.by_client[client] = Session(client, owner, expiry_s, self)
        if expiry_s:
            self.set_expiry(session, expiry_s, new=True)
        return session, False

    def set_expiry(self, session: Session, expiry_s: int, *, new: bool = False) -> None:
        """How long it outlives its connection, from now on."""
        session.expiry_s = min(expiry_s, settings.SESSION_EXPIRY_S_MAX)
        session.dirty = True
        if session.durable:
            session.noted = True
        if session.noted:
            self.note(Opened(session.client, session.owner, session.expiry_s, new))
            # What is kept of it says otherwise.
            (self.gone.discard if session.durable else self.gone.add)(session.client)

    def attach(self, session: Session, connection: Connection, window: int) -> None:
        """The client is there, and has been told so: send what waits."""
        session.connection = connection
        session.left_ns = 0
        session.dirty = True
        something = bool(session.outbox.flights or session.queued)
        if something:
            session.withdraw()
        session.outbox.connect(min(window, settings.IN_FLIGHT_MAX))
        if something:
            session.pump()

    # End

    def detach(self, session: Session) -> None:
        """The connection is gone: the will is published, now or later, and the session ends, now or later."""
        session.connection = None
        session.outbox.disconnect()
        now_ns = self.now_ns()
        session.left_ns = now_ns
        session.dirty = True
        self.lose(session)
        if not session.durable:
            self.end(session)
        else:
            self.watch(session)

    def abandon(self, session: Session) -> None:
        """The client was not let in after all."""
        self.drop_will(session)
        self.detach(session)

    def lose(self, session: Session) -> None:
        """Its client is lost: the will waits as long as the session lasts, or is said at once."""
        will = session.will
        if will is None or will.due_ns:
            return
        delay_s = min(will.delay_s, session.expiry_s)
        if delay_s:
            session.will = self.wills.wait(session.client, will, self.now_ns() + delay_s * _NS_PER_S)
        else:
            self._say_will(session)

    def watch(self, session: Session) -> None:
        """Look after an absent session's will and expiry when they are due."""
        for due_ns in _dues(session):
            heapq.heappush(self._dues, (due_ns, session.client))
        if len(self._dues) > 1000 + 4 * len(self.by_client):
            # Clients that come and go leave dues behind that mean nothing any more.
            self._dues = [(due_ns, each.client) for each in self.by_client.values() for due_ns in _dues(each)]
            heapq.heapify(self._dues)
        self._look_again()

    def _look_again(self) -> None:
        if self._dues and not self._looking:
            self._looking = True
            self._deadlines.at(self._deadlines.now() + _LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self._looking = False
        now_ns = self.now_ns()
        while self._dues and self._dues[0][0] <= now_ns:
            session = self.by_client.get(heapq.heappop(self._dues)[1])
            if session is None or session.connection is not None:
                continue
            if session.will is not None and session.will.due_ns <= now_ns:
                self._say_will(session)
            if session.left_ns and session.left_ns + session.expiry_s * _NS_PER_S <= now_ns:
                self.expired += 1
                self.end(session)
        self._look_again()

    def _say_will(self, session: Session) -> None:
        will, session.will = session.will, None
        if will is not None:
            self.wills.say(session.client, will)

    def drop_will(self, session: Session) -> None:
        """It is not to be said any more: the client says goodbye, comes back, or must not say it."""
        if session.will is not None:
            session.will = None
            self.wills.drop(session.client)

    def end(self, session: Session) -> None:
        """Forget a session, and all that waits in it [MQTT-3.1.4-4]; a will that waits is due [MQTT-3.1.3-9]."""
        if session.ended:
            return
        session.ended = True
        if self.by_client.get(session.client) is session:
            del self.by_client[session.client]
        if session.will is not None and session.will.due_ns:
            self._say_will(session)
        # That of a connection which was never let in.
        self.drop_will(session)
        for topic_filter in session.filters:
            self._routing.remove(topic_filter, session)
        for share, waiting in session.unfinished().items():
            # Before its end: whoever reads of that knows what became of these.
            self.pass_on(share, waiting)
        session.let_go()
        if session.noted:
            self.note(Ended(session.client))
            self.gone.add(session.client)

    def pass_on(self, share: str, waiting: Waiting) -> None:
        """What a member of a shared subscription did not finish goes to others (section 4.8.2)."""
        owners = self._shares.owners(share, len(waiting.positions)) if self._shares is not None else None
        if owners is not None and self._shares is not None:
            for index in np.unique(owners).tolist():
                if index != self._shares.here:
                    self._forward(share, index, waiting.positions[owners == index].tolist())
            here = owners == self._shares.here
            waiting = Waiting(waiting.positions[here], waiting.options[here])
        self._routing.take_over(share, waiting)

    def _forward(self, share: str, index: int, positions: list[int]) -> None:
        for at in range(0, len(positions), _FORWARDED_AT_ONCE):
            self.note(Forwarded(share, index, positions[at : at + _FORWARDED_AT_ONCE]))


def _dues(session: Session) -> list[int]:
    if session.connection is not None or not session.left_ns:
        return []
    expires_ns = session.left_ns + session.expiry_s * _NS_PER_S
    return [session.will.due_ns, expires_ns] if session.will is not None else [expires_ns]
