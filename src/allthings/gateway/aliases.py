"""Topic aliases: numbers that stand for topics on one connection (MQTT 5 section 3.3.2.3.4)."""

from __future__ import annotations

from typing import Final

import msgspec

from allthings.gateway import settings
from allthings.mqtt.errors import ProtocolError
from allthings.mqtt.packets import Publish
from allthings.mqtt.reasons import ReasonCode

#: What a new alias adds to a packet, with the byte that its properties' length may grow by.
ALIAS_BYTES: Final = 4


class TakenAliases:
    """Those that the client gives to the topics it publishes to."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        self._topics: dict[int, str] = {}

    def resolve(self, packet: Publish) -> Publish:
        """The packet with its topic, also if only its alias stands for it. Raises ProtocolError."""
        alias = packet.properties.topic_alias
        assert alias is not None
        if alias > settings.TOPIC_ALIASES_MAX:
            raise ProtocolError(
                f"topic alias {alias}; at most {settings.TOPIC_ALIASES_MAX} are accepted",
                "MQTT-3.3.2-9",
                ReasonCode.TOPIC_ALIAS_INVALID,
            )
        if packet.topic:
            self._topics[alias] = packet.topic
            return packet
        topic = self._topics.get(alias)
        if topic is None:
            raise ProtocolError(f"topic alias {alias} stands for no topic yet", "MQTT 5 section 3.3.2.3.4")
        return msgspec.structs.replace(packet, topic=topic)


class GivenAliases:
    """Those that we give to topics that the client subscribes to, for as many as it takes."""

    __slots__ = ("_aliases", "_most")

    def __init__(self, most: int) -> None:
        self._most = min(most, settings.TOPIC_ALIASES_MAX)
        self._aliases: dict[bytes, int] = {}

    def of(self, topic: bytes, *, room: bool) -> tuple[bytes, bytes]:
        """The topic as it is sent now, and the property behind the others; both as for a client without aliases if it
        gets none. `room`: whether the packet may grow by that property, as it must when the alias is new."""
        alias = self._aliases.get(topic)
        if alias is not None:
            topic = b""
        elif room and len(self._aliases) < self._most:
            alias = self._aliases[topic] = len(self._aliases) + 1
        else:
            return topic, b""
        return topic, b"\x23" + alias.to_bytes(2)
