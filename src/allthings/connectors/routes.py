"""Topics on their way over a bridge: which cross, and what they are called on the other side."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from allthings.connectors.settings import ROUTES_REMEMBERED
from allthings.mqtt.filters import matches
from allthings.registry.bridges import Direction, TopicMap


class Route(NamedTuple):
    """What becomes of a message: its topic there, the highest QoS, whether it may stay retained."""

    topic: str
    qos: int
    retain: bool


class Routes:
    """The maps of one direction. The first one that matches says what becomes of a message."""

    def __init__(self, maps: Iterable[TopicMap], direction: Direction) -> None:
        self.maps = tuple(each for each in maps if each.direction == direction)
        self._known: dict[str, Route | None] = {}

    def __bool__(self) -> bool:
        return bool(self.maps)

    def find(self, topic: str) -> Route | None:
        """None: a message of this topic does not cross."""
        try:
            return self._known[topic]
        except KeyError:
            pass
        if len(self._known) >= ROUTES_REMEMBERED:
            self._known.clear()
        found = self._known[topic] = self._find(topic)
        return found

    def _find(self, topic: str) -> Route | None:
        for each in self.maps:
            # A filter that ends in /# also matches the topic above it, which may be shorter than what is taken away.
            if topic.startswith(each.strip) and matches(each.filter, topic):
                name = each.prefix + topic[len(each.strip) :]
                if name and not name.startswith("$"):
                    return Route(name, each.qos, each.retain)
        return None
