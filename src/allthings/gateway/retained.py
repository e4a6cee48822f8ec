"""Retained messages: the last one of each topic, for those who subscribe later (MQTT 5 section 3.3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from allthings.gateway import settings
from allthings.mqtt.filters import RetainedTree
from allthings.mqtt.packets.publish import encode_publish

if TYPE_CHECKING:
    from allthings.gateway.connection import Connection


class RetainedMessage(NamedTuple):
    payload: bytes
    qos: int
    properties: bytes | None


class Retained:
    """The retained messages of all topics."""

    def __init__(self) -> None:
        self._tree: RetainedTree[RetainedMessage] = RetainedTree()

    def __len__(self) -> int:
        return len(self._tree)

    def keep(self, topic: str, payload: bytes, qos: int, properties: bytes | None) -> None:
        """Replace a topic's message; an empty payload removes it [MQTT-3.3.1-6]."""
        if not payload:
            self._tree.remove(topic)
        elif len(self._tree) < settings.RETAINED_MAX or self._tree.get(topic) is not None:
            self._tree.set(topic, RetainedMessage(payload, qos, properties))

    def send(self, connection: Connection, topic_filter: str, qos: int) -> None:
        """Send what matches a new subscription, marked as retained [MQTT-3.3.1-8]."""
        if connection.outgoing is None:
            return
        for topic, message in self._tree.match(topic_filter):
            raw = topic.encode()
            if min(qos, message.qos):
                connection.outgoing.send(raw, [message.payload], True, message.properties)
            else:
                data = encode_publish(raw, message.payload, 0, True, False, 0, message.properties, connection.version)
                connection.deliver_once(data, 1)
