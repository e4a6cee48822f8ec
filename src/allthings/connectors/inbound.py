"""In: from the other broker into our log. It is told to forget a message only when our log has it on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import aiomqtt
import msgspec
import pyarrow as pa
from paho.mqtt.client import MQTTMessage

from allthings.connectors import settings
from allthings.connectors.echoes import Echoes
from allthings.connectors.outbound import source
from allthings.connectors.remote import Remote, properties_of
from allthings.connectors.routes import Routes
from allthings.connectors.state import Incoming
from allthings.connectors.way import client_name, crossed, with_step
from allthings.log import block
from allthings.log.reserve import Reserve
from allthings.log.stream import Log
from allthings.mqtt.properties import Carrier, encode_raw
from allthings.mqtt.wire import control_character
from allthings.registry.bridges import Bridge

_LOGGER = logging.getLogger(__name__)
#: Where brokers tell what they are.
VERSION_TOPIC: Final = "$SYS/broker/version"
_OURS: Final = b"allthings"


class _Row(NamedTuple):
    topic: str
    payload: bytes
    flags: int
    properties: bytes


class Inbound:
    """The part of a bridge that subscribes at the other broker."""

    def __init__(
        self,
        bridge: Bridge,
        log: Log,
        state: Incoming,
        echoes: Echoes,
        now_ns: Callable[[], int],
        reserve: Reserve | None,
        control_characters: bool,
    ) -> None:
        self.routes = Routes(bridge.maps, "in")
        self._bridge = bridge
        self._log = log
        self._state = state
        self._echoes = echoes
        self._control_characters = control_characters
        self._now_ns = now_ns
        self._reserve = reserve
        self._client = client_name(bridge.name)
        self._last_ns = 0
        self._subscribed = False

    async def subscribe(self, remote: Remote, obsolete: Sequence[str]) -> None:
        """Subscribe to what the maps name, and no more to what they named before. Raises aiomqtt.MqttError."""
        if obsolete and remote.session_present:
            await remote.unsubscribe(list(obsolete))
        # Over 3.1.1 each SUBSCRIBE brings all retained messages again: do without where the session remembers.
        if self.routes and (remote.v5 or not (self._subscribed and remote.session_present)):
            await remote.subscribe_maps(self.routes.maps)
            if not remote.v5:
                await remote.subscribe(VERSION_TOPIC, 0)
        self._subscribed = True

    async def run(self, remote: Remote) -> None:
        """Take over what comes until the connection is lost (aiomqtt.MqttError), or for ever."""
        while True:
            messages = await remote.take(settings.BLOCK_MESSAGES_MAX, settings.BLOCK_BYTES_MAX)
            rows = [row for message in messages if (row := self._row(message, remote.v5))]
            if rows:
                if self._reserve is not None:
                    # Until there is room the other broker keeps them.
                    await self._reserve.wait()
                await self._log.append_surely(self._block(rows), source(self._bridge.name), on_trouble=self._say)
                self._state.taken += len(rows)
            for message in messages:
                remote.acknowledge(message)

    def _say(self, trouble: str) -> None:
        _LOGGER.info("bridge %s: %s", self._bridge.name, trouble)

    def _row(self, message: MQTTMessage, v5: bool) -> _Row | None:
        """What is kept of a message; None, and counted, when it is not kept."""
        state = self._state
        topic, payload = message.topic, bytes(message.payload)
        if topic == VERSION_TOPIC:
            _check_version(payload)
            return None
        properties = properties_of(message)
        if not v5 and self._echoes.is_one(topic, payload, asyncio.get_running_loop().time()):
            state.echoes += 1
            return None
        way = crossed(properties.user_property)
        if self._bridge.id in way or len(way) >= settings.HOPS_MAX:
            state.circled += 1
            return None
        route = self.routes.find(topic)
        if route is None:
            state.unmapped += 1
            return None
        step = with_step(properties.user_property, self._bridge.id)
        raw = encode_raw(msgspec.structs.replace(properties, user_property=step), Carrier.PUBLISH)
        size = len(payload) + len(raw)
        if len(route.topic.encode()) > settings.TOPIC_BYTES_MAX or size > settings.PACKET_BYTES_MAX:
            state.unusable += 1
            _LOGGER.warning("bridge %s: a message on %.128s is too large for us", self._bridge.name, topic)
            return None
        if not self._control_characters and (found := control_character(route.topic)):
            state.unusable += 1
            _LOGGER.warning("bridge %s: a topic has the control character %s", self._bridge.name, found)
            return None
        flags = min(message.qos, route.qos) | (block.FLAG_RETAIN if message.retain and route.retain else 0)
        return _Row(route.topic, payload, flags, raw)

    def _block(self, rows: Sequence[_Row]) -> bytes:
        # A receive time is given once, so that readings without a time of their own stay apart.
        first_ns = max(self._now_ns(), self._last_ns + 1)
        self._last_ns = first_ns + len(rows) - 1
        columns = [
            pa.array(range(first_ns, self._last_ns + 1), pa.int64()).cast(block.MESSAGES.field("received").type),
            pa.array([row.topic for row in rows], pa.string()),
            pa.array([row.payload for row in rows], pa.binary()),
            pa.array([self._client] * len(rows), pa.string()).dictionary_encode(),
            pa.array([row.flags for row in rows], pa.uint8()),
            pa.array([row.properties for row in rows], pa.binary()),
        ]
        return block.encode(pa.RecordBatch.from_arrays(columns, schema=block.MESSAGES))


def _check_version(payload: bytes) -> None:
    """Over 3.1.1: raises aiomqtt.MqttError when the other broker is one of ours."""
    if payload.startswith(_OURS):
        raise aiomqtt.MqttError(
            "it is allthings, too: bridge it over MQTT 5, since over 3.1.1 nothing tells which way messages came"
        )
