"""Who gets what: the subscriptions of all sessions, and delivery of messages that are in the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from allthings.gateway import backlog
from allthings.gateway.backlog import Waiting
from allthings.gateway.division import Division
from allthings.gateway.messages import Message, split_expiry, wire_properties
from allthings.gateway.session import Session, Subscription
from allthings.mqtt.filters import SubscriptionTree, split_share
from allthings.mqtt.packets.publish import encode_publish
from allthings.mqtt.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from allthings.gateway.connection import Connection


class Group:
    """A shared subscription (MQTT 5 section 4.8.2): each message goes to one of its members, in turn."""

    __slots__ = ("_turn", "members", "share")

    def __init__(self, share: str) -> None:
        #: The whole filter, `$share/{name}/{filter}`.
        self.share = share
        self.members: dict[Session, Subscription] = {}
        self._turn = 0

    def eligible(self) -> list[Subscription]:
        """Those who are connected, else those whose sessions wait for messages."""
        return [member for member in self.members.values() if member.session.connection is not None] or [
            member for member in self.members.values() if member.session.durable and member.qos
        ]

    def heirs(self) -> list[Subscription]:
        """The same without those who would get it at most once."""
        return [member for member in self.members.values() if member.qos and member.session.connection is not None] or [
            member for member in self.members.values() if member.qos and member.session.durable
        ]

    def turn(self, count: int) -> int:
        """The number of the next of `count` messages, counted for ever."""
        turn, self._turn = self._turn, self._turn + count
        return turn

    def parts(self, count: int) -> list[tuple[Subscription, slice]]:
        """Who gets which of `count` messages."""
        members = self.eligible()
        if not members:
            return []
        turn = self.turn(count)
        size = len(members)
        if count == 1:
            return [(members[turn % size], slice(0, 1))]
        return [(members[(turn + first) % size], slice(first, None, size)) for first in range(min(size, count))]


class Messages:
    """Messages of one topic and kind that follow each other in the log, prepared once for all who get them."""

    def __init__(
        self,
        topic: str,
        payloads: list[bytes],
        qos: int,
        retain: bool,
        properties: bytes | None,
        position: int,
        received_ns: int,
        source: str,
    ) -> None:
        self.qos = qos
        self.retain = retain
        self._topic = topic.encode()
        self._payloads = payloads
        self._properties = properties
        self._position = position
        self._source = source
        #: Delivered although they are older than what members have seen: others should have had them.
        self.again = False
        #: How the block is divided over several gateways, and where in it these messages begin.
        self.division: Division | None = None
        self.row = 0
        self.received_ns = received_ns
        self._messages: list[Message] = []
        self._encoded: dict[tuple[int, bool, tuple[int, ...]], list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._payloads)

    def places(self, share: str) -> Sequence[int] | None:
        """Which of them are for a shared subscription's members here; None for all."""
        return self.division.places(share, self.row, len(self)) if self.division else None

    def seen_by(self, session: Session) -> bool:
        """Whether a session had them before a crash."""
        return self._position <= session.seen[self._source != session.keeper] and not self.again

    @property
    def messages(self) -> list[Message]:
        if not self._messages:
            properties, expires_ns = split_expiry(self._properties, self.received_ns)
            place, topic = self._position, self._topic
            self._messages = [
                Message(topic, payload, properties, expires_ns, place + row if place else 0)
                for row, payload in enumerate(self._payloads)
            ]
        return self._messages

    def encoded(self, version: Version, retain: bool, identifiers: tuple[int, ...]) -> list[bytes]:
        """The PUBLISH packets of QoS 0, which are the same for many."""
        key = (version, retain, identifiers)
        packets = self._encoded.get(key)
        if packets is None:
            properties = b""
            if self._properties or identifiers:
                properties = wire_properties(self.messages[0], identifiers, self.received_ns)
            topic = self._topic
            packets = self._encoded[key] = [
                encode_publish(topic, payload, 0, retain, False, 0, properties, version) for payload in self._payloads
            ]
        return packets


class Routing:
    """A tree of filters. Overlapping filters of one client give it a message once, with the highest QoS of them."""

    def __init__(self) -> None:
        self._tree: SubscriptionTree[Subscription | Group] = SubscriptionTree()
        self._groups: dict[str, Group] = {}
        self._count = 0
        #: Only while the log is read again: by position, messages that were still in sessions when these were kept,
        #: and by which shared subscription. One that chose a session for it must not choose again.
        self.held: dict[int, list[tuple[Session, str]]] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def groups(self) -> dict[str, Group]:
        """The shared subscriptions by their whole filter."""
        return self._groups

    def add(self, topic_filter: str, subscription: Subscription) -> bool:
        """Returns whether it is new (else its options were replaced)."""
        share, matched = split_share(topic_filter)
        if not share:
            new = self._tree.add(matched, subscription.session, subscription)
        else:
            group = self._groups.get(topic_filter)
            if group is None:
                group = self._groups[topic_filter] = Group(topic_filter)
                self._tree.add(matched, topic_filter, group)
            new = subscription.session not in group.members
            group.members[subscription.session] = subscription
        self._count += new
        return new

    def remove(self, topic_filter: str, session: Session) -> bool:
        """Returns whether it was there."""
        share, matched = split_share(topic_filter)
        if not share:
            there = self._tree.remove(matched, session)
        else:
            group = self._groups.get(topic_filter)
            there = group is not None and group.members.pop(session, None) is not None
            if group is not None and not group.members:
                del self._groups[topic_filter]
                self._tree.remove(matched, topic_filter)
        self._count -= there
        return there

    def deliver(self, topic: str, publisher: str, make: Callable[[], Messages]) -> int:
        """Send messages of one topic to all who subscribed; returns how many deliveries that made.

        `make` is called only when somebody did. `publisher` is the client id that No Local looks at.
        """
        matching = self._tree.match(topic)
        if not matching:
            return 0
        messages = make()
        if len(matching) == 1 and isinstance(matching[0], Subscription):
            only = matching[0]
            if only.no_local and only.session.client == publisher:
                return 0
            return _send(messages, only.session, only.qos, only.retain_as_published, _identifiers(only))
        own: dict[Session, list[Subscription]] = {}
        count = 0
        for found in matching:
            if isinstance(found, Group):
                count += _share_out(messages, found) if self.held is None else self._share_again(messages, found)
            elif not (found.no_local and found.session.client == publisher):
                own.setdefault(found.session, []).append(found)
        for session, several in own.items():
            if len(several) == 1:
                only = several[0]
                count += _send(messages, session, only.qos, only.retain_as_published, _identifiers(only))
            else:
                count += _send(
                    messages,
                    session,
                    max(each.qos for each in several),
                    any(each.retain_as_published for each in several),
                    tuple(sorted({each.identifier for each in several if each.identifier})),
                )
        return count

    def _share_again(self, messages: Messages, group: Group) -> int:
        """After a crash: all members are away, and some have had the messages before it."""
        count = 0
        here = messages.places(group.share)
        for message in messages.messages if here is None else [messages.messages[place] for place in here]:
            holders = (self.held or {}).get(message.position, [])
            holder = next((each for each in holders if each[1] == group.share), None)
            if holder is not None:
                holders.remove(holder)
                continue
            members = [member for member in group.eligible() if not messages.seen_by(member.session)]
            if not members:
                continue
            member = members[group.turn(1) % len(members)]
            if qos := min(messages.qos, member.qos):
                retain = messages.retain and member.retain_as_published
                member.session.deliver([message], qos, retain, _identifiers(member), group.share)
                count += 1
        return count

    def deliver_given(self, share: str, messages: list[Messages]) -> bool:
        """Deliver messages to a shared subscription's members here. False when there is none (any more)."""
        group = self._groups.get(share)
        if group is None or not group.eligible():
            return False
        for each in messages:
            _share_out(each, group)
        return True

    def take_over(self, share: str, waiting: Waiting) -> None:
        """Give what a member that has gone did not finish to others who take it at least once, if there are any."""
        group = self._groups.get(share)
        members = group.heirs() if group is not None else []
        if group is None or not members:
            return
        positions, options = waiting
        size, count = len(members), len(positions)
        turn = group.turn(count)
        for first in range(min(size, count)):
            member = members[(turn + first) % size]
            some = options[first::size]
            qos = np.minimum(some & np.uint16(backlog.QOS), np.uint16(member.qos))
            retain = some & np.uint16(backlog.RETAIN if member.retain_as_published else 0)
            member.session.inherit(Waiting(positions[first::size], qos | retain), share)


def _identifiers(subscription: Subscription) -> tuple[int, ...]:
    return (subscription.identifier,) if subscription.identifier else ()


def _send(messages: Messages, session: Session, qos_max: int, as_published: bool, identifiers: tuple[int, ...]) -> int:
    retain = messages.retain and as_published
    qos = min(messages.qos, qos_max)
    if messages.seen_by(session):
        return 0
    if qos:
        session.deliver(messages.messages, qos, retain, identifiers)
    elif session.connection is not None:
        _send_once(messages, session.connection, retain, identifiers, None)
    else:
        return 0
    return len(messages)


def _send_once(
    messages: Messages,
    connection: Connection,
    retain: bool,
    identifiers: tuple[int, ...],
    places: Sequence[int] | None,
) -> None:
    """QoS 0. `places`: which of them; None for all."""
    if connection.aliases is not None:
        some = messages.messages if places is None else [messages.messages[place] for place in places]
        connection.deliver_aliased(some, retain, identifiers, messages.received_ns)
        return
    packets = messages.encoded(connection.version, retain, identifiers)
    connection.deliver_once(packets if places is None else [packets[place] for place in places])


def _share_out(messages: Messages, group: Group) -> int:
    here = messages.places(group.share)
    places = range(len(messages)) if here is None else here
    count = 0
    for member, part in group.parts(len(places)):
        retain = messages.retain and member.retain_as_published
        qos = min(messages.qos, member.qos)
        chosen = places[part]
        if messages.seen_by(member.session):
            continue
        if qos:
            some = [messages.messages[place] for place in chosen]
            member.session.deliver(some, qos, retain, _identifiers(member), group.share)
        elif member.session.connection is not None:
            _send_once(messages, member.session.connection, retain, _identifiers(member), chosen)
        else:
            continue
        count += len(chosen)
    return count
