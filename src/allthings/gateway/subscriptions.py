"""Who gets what: subscriptions of all clients, and delivery of what is in the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from allthings.mqtt.filters import SubscriptionTree
from allthings.mqtt.packets.publish import encode_publish

if TYPE_CHECKING:
    from allthings.gateway.collector import Publisher
    from allthings.gateway.connection import Connection


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of one client with its options (MQTT 5 section 3.8.3.1)."""

    connection: Connection
    qos: int
    no_local: bool
    retain_as_published: bool


class Subscriptions:
    """A tree of filters. Overlapping filters of one client give it a message once, with the highest QoS of them."""

    def __init__(self) -> None:
        self._tree: SubscriptionTree[Subscription] = SubscriptionTree()

    def __len__(self) -> int:
        return len(self._tree)

    def add(self, topic_filter: str, subscription: Subscription) -> bool:
        """Returns whether it is new (else its options were replaced)."""
        return self._tree.add(topic_filter, subscription.connection, subscription)

    def remove(self, topic_filter: str, connection: Connection) -> bool:
        return self._tree.remove(topic_filter, connection)

    def deliver(
        self,
        topic: str,
        payloads: list[bytes],
        qos: int,
        retain: bool,
        properties: bytes | None,
        publisher: Publisher | None,
    ) -> int:
        """Send messages of one topic to all who subscribed; returns how many deliveries that made."""
        matching = self._tree.match(topic)
        if not matching:
            return 0
        raw_topic = topic.encode()
        encoded: dict[tuple[int, bool], bytes] = {}
        count = 0
        for subscription in matching if len(matching) == 1 else _one_each(matching):
            connection = subscription.connection
            if (subscription.no_local and connection is publisher) or connection.outgoing is None:
                continue
            kept = retain and subscription.retain_as_published
            count += len(payloads)
            if min(qos, subscription.qos):
                connection.outgoing.send(raw_topic, payloads, kept, properties)
                continue
            key = (connection.version, kept)
            data = encoded.get(key)
            if data is None:
                version = connection.version
                data = encoded[key] = b"".join(
                    [encode_publish(raw_topic, payload, 0, kept, False, 0, properties, version) for payload in payloads]
                )
            connection.deliver_once(data, len(payloads))
        return count


def _one_each(matching: tuple[Subscription, ...]) -> list[Subscription]:
    best: dict[Connection, Subscription] = {}
    for subscription in matching:
        other = best.get(subscription.connection)
        if other is None or subscription.qos > other.qos:
            best[subscription.connection] = subscription
    return list(best.values())
