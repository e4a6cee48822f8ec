"""Out: from our log to the other broker, with a place of its own in the log: nothing is lost while that one is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from allthings.connectors import settings
from allthings.connectors.echoes import Echoes
from allthings.connectors.remote import Remote
from allthings.connectors.routes import Route, Routes
from allthings.connectors.state import Outgoing
from allthings.connectors.way import came_over_a_bridge, crossed, with_step
from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties, decode_raw
from allthings.registry.bridges import Bridge
from allthings.things.times import NS_PER_S

_LOGGER = logging.getLogger(__name__)


def consumer(name: str) -> str:
    """Under what name a bridge's place in the log is kept."""
    return f"bridge.{name}"


class Letter(NamedTuple):
    """A message of a block that is on a map."""

    route: Route
    payload: bytes
    qos: int
    retain: bool
    client: str
    received_ns: int
    properties: bytes | None


class Outbound:
    """The part of a bridge that reads our log. `finished` is the sequence up to which all has been confirmed."""

    def __init__(
        self,
        bridge: Bridge,
        log: Log,
        state: Outgoing,
        echoes: Echoes,
        now_ns: Callable[[], int],
    ) -> None:
        self.routes = Routes(bridge.maps, "out")
        self._back = Routes(bridge.maps, "in")
        self._bridge = bridge
        self._log = log
        self._state = state
        self._echoes = echoes
        self._now_ns = now_ns
        self.finished = 0
        self._saved = 0

    async def prepare(self) -> None:
        """Find the place in the log; a bridge that never ran begins at the log's end. Raises LogUnavailableError."""
        status = await self._log.status()
        name = consumer(self._bridge.name)
        self.finished = self._saved = status.positions.get(name, -1)
        if self.finished < 0:
            await self._log.save_position(name, status.last)
            self.finished = self._saved = status.last
        missed = status.first - 1 - self.finished
        if missed > 0:
            self._state.missed_blocks += missed
            _LOGGER.warning(
                "bridge %s: %d blocks were dropped from the log before they could be sent", self._bridge.name, missed
            )

    async def run(self, remote: Remote) -> None:
        """Send until the connection is lost (aiomqtt.MqttError), or for ever."""
        # Over a new connection nothing is known of what the old one's messages became: better twice than not at all.
        self._echoes.clear()
        on_their_way = refused = 0
        async for entries in self._log.read(self.finished):
            for entry in entries:
                for letter in await asyncio.to_thread(self._letters, entry):
                    on_their_way += await self._post(remote, letter)
                if on_their_way < settings.CHECK_MESSAGES and entry is not entries[-1]:
                    continue
                await remote.settled()
                self._state.sent += on_their_way - (remote.refused - refused)
                self._state.refused += remote.refused - refused
                on_their_way, refused = 0, remote.refused
                self.finished = entry.sequence

    async def save(self) -> None:
        """Keep the place in the log. Raises LogUnavailableError."""
        if self.finished > self._saved:
            place = self.finished
            await self._log.save_position(consumer(self._bridge.name), place)
            self._saved = place

    async def keep_saving(self) -> None:
        """`save` again and again; a log that does not answer is asked again."""
        while True:
            await asyncio.sleep(settings.SAVE_EVERY_S)
            try:
                await self.save()
            except LogUnavailableError as error:
                _LOGGER.info("bridge %s: %s", self._bridge.name, error.detail)

    async def _post(self, remote: Remote, letter: Letter) -> bool:
        """Put a message on its way, if it may go; whether it did."""
        properties = self._admitted(letter, remote.v5)
        if properties is None:
            return False
        await remote.room()
        route = letter.route
        qos = min(letter.qos, route.qos)
        if not remote.send(route.topic, letter.payload, qos, letter.retain and route.retain, properties):
            self._state.refused += 1
            return False
        if not remote.v5 and self._back.find(route.topic) is not None:
            self._echoes.expect(route.topic, letter.payload, asyncio.get_running_loop().time())
        return True

    def _admitted(self, letter: Letter, v5: bool) -> Properties | None:
        """The properties that a message crosses with; None when it stays here."""
        properties = decode_raw(letter.properties, Carrier.PUBLISH) if letter.properties else NO_PROPERTIES
        way = crossed(properties.user_property)
        circled = self._bridge.id in way or len(way) >= settings.HOPS_MAX
        if circled or (not v5 and (way or came_over_a_bridge(letter.client))):
            self._state.circled += 1
            return None
        left_s = properties.message_expiry_interval
        if left_s is not None:
            left_s -= max(0, self._now_ns() - letter.received_ns) // NS_PER_S
            if left_s <= 0:
                self._state.expired += 1
                return None
        return msgspec.structs.replace(
            properties,
            message_expiry_interval=left_s,
            user_property=with_step(properties.user_property, self._bridge.id),
        )

    def _letters(self, entry: Entry) -> list[Letter]:
        """The messages of a block that are on a map, in order."""
        try:
            batch = entry.batch
        except pa.ArrowInvalid as error:
            _LOGGER.warning("bridge %s: block %d is damaged: %s", self._bridge.name, entry.sequence, error)
            return []
        return [] if block.is_readings(batch) else list(self._mapped(batch))

    def _mapped(self, batch: pa.RecordBatch) -> Iterator[Letter]:
        topics = batch.column("topic").dictionary_encode()
        routes = [self.routes.find(topic) for topic in topics.dictionary.to_pylist()]
        mapped = np.array([route is not None for route in routes], dtype=bool)
        if not mapped.any():
            return
        indices = topics.indices.to_numpy(zero_copy_only=False)
        flags = batch.column("flags").to_numpy(zero_copy_only=False)
        # A reject that was appended again has been sent when it first came.
        rows = np.flatnonzero(mapped[indices] & (flags & block.FLAG_REPLAYED == 0))
        some = batch.take(pa.array(rows))
        columns = [some.column(name).to_pylist() for name in ("payload", "client", "properties")]
        received = some.column("received").cast(pa.int64()).to_pylist()
        for row, *values, received_ns in zip(rows.tolist(), *columns, received, strict=True):
            payload, client, properties = values
            route = routes[indices[row]]
            assert route is not None
            flag = int(flags[row])
            yield Letter(
                *(route, payload, flag & block.FLAG_QOS, bool(flag & block.FLAG_RETAIN)),
                *(client, received_ns, properties),
            )
