"""Retained messages: the last one of each topic, for those who subscribe later (MQTT 5 section 3.3.1.3)."""

from __future__ import annotations

from typing import Final, NamedTuple

from allthings.gateway import settings
from allthings.gateway.rows import Rows
from allthings.mqtt.filters import RetainedTree

_ROWS: Final = 1024


class RetainedMessage(NamedTuple):
    """`properties` are those of the PUBLISH as logged. `position` orders messages that came over several gateways."""

    payload: bytes
    qos: int
    properties: bytes | None
    received_ns: int
    position: int


class Retained:
    """The retained messages of all topics."""

    def __init__(self) -> None:
        self._tree: RetainedTree[RetainedMessage] = RetainedTree()
        self.refused = 0
        #: Where topics stood in the log that had their message removed; what is older must not bring one back.
        self._removed: dict[str, int] = {}
        #: Where in their table they are kept (gateway.keeper).
        self.rows = Rows(_ROWS)

    def __len__(self) -> int:
        return len(self._tree)

    def get(self, topic: str) -> RetainedMessage | None:
        return self._tree.get(topic)

    def known(self, topic: str, position: int) -> bool:
        """Whether a topic has the message of this position or a later one, or had it removed lately."""
        message = self._tree.get(topic)
        return topic in self._removed or (message is not None and message.position >= position)

    def keep(self, topic: str, message: RetainedMessage) -> None:
        """Replace a topic's message; an empty payload removes it [MQTT-3.3.1-6]."""
        before = self._tree.get(topic)
        newest = before.position if before is not None else self._removed.get(topic, 0)
        if newest > message.position:
            return
        if not message.payload:
            self.forget(topic)
            self._removed[topic] = message.position
            if len(self._removed) > settings.REMOVED_MAX:
                del self._removed[next(iter(self._removed))]
        elif before is not None or len(self._tree) < settings.RETAINED_MAX:
            self._tree.set(topic, message)
            self.rows.put(topic)
        else:
            self.refused += 1

    def forget(self, topic: str) -> None:
        """Remove one, for example because it has expired."""
        if self._tree.remove(topic) is not None:
            self.rows.remove(topic)

    def settled(self, position: int) -> None:
        """All messages up to this position have been handed on: nothing older comes any more."""
        self._removed = {topic: removed for topic, removed in self._removed.items() if removed > position}

    def match(self, topic_filter: str) -> list[tuple[str, RetainedMessage]]:
        """What a new subscription to a filter (without `$share`) finds."""
        return self._tree.match(topic_filter)
