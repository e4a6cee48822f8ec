"""Out: from our log to the other broker, with a place of its own in the log: nothing is lost while that one is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, cast

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
from allthings.mqtt.properties import Carrier, Properties, decode_raw
from allthings.registry.bridges import Bridge
from allthings.things.times import NS_PER_S

_LOGGER = logging.getLogger(__name__)


def source(name: str) -> str:
    """By what word our log knows the blocks that came over a bridge."""
    return f"bridge-{name}"


def consumer(name: str) -> str:
    """Under what name a bridge's place in the log is kept."""
    return f"bridge.{name}"


class Letter(NamedTuple):
    """A message that is to cross."""

    route: Route
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


class Selected(NamedTuple):
    """What a block has for the other broker, in order, and how much stays here although a map names it."""

    letters: list[Letter]
    circled: int = 0
    expired: int = 0


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
        self._v5 = bridge.version == "5"
        # Shared by all messages that came without properties.
        self._plain = Properties(user_property=with_step((), bridge.id))
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
                # In a thread: blocks are large, and nobody else shall wait for them.
                selected = await asyncio.to_thread(self.select, entry)
                self._state.circled += selected.circled
                self._state.expired += selected.expired
                for number, letter in enumerate(selected.letters):
                    on_their_way += await self._post(remote, letter)
                    if number % settings.YIELD_EVERY == 0:
                        await asyncio.sleep(0)
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
        """Put a message on its way; False when it is too large for the other broker."""
        await remote.room()
        topic = letter.route.topic
        if not remote.send(topic, letter.payload, letter.qos, letter.retain, letter.properties):
            self._state.refused += 1
            return False
        if not remote.v5 and self._back.find(topic) is not None:
            self._echoes.expect(topic, letter.payload, asyncio.get_running_loop().time())
        return True

    def select(self, entry: Entry) -> Selected:
        """What a block has for the other broker. Blocks."""
        if entry.source == source(self._bridge.name):
            return Selected([])
        try:
            batch = entry.batch
        except pa.ArrowInvalid as error:
            _LOGGER.warning("bridge %s: block %d is damaged: %s", self._bridge.name, entry.sequence, error)
            return Selected([])
        return Selected([]) if block.is_readings(batch) else self._mapped(batch)

    def _mapped(self, batch: pa.RecordBatch) -> Selected:
        topics = batch.column("topic").dictionary_encode()
        routes = [self.routes.find(topic) for topic in topics.dictionary.to_pylist()]
        mapped = np.array([route is not None for route in routes], dtype=bool)
        if not mapped.any():
            return Selected([])
        indices = topics.indices.to_numpy(zero_copy_only=False)
        flags = batch.column("flags").to_numpy(zero_copy_only=False)
        # A reject that was appended again has been sent when it first came.
        rows = np.flatnonzero(mapped[indices] & (flags & block.FLAG_REPLAYED == 0))
        some = batch.take(pa.array(rows))
        columns = [some.column(name).to_pylist() for name in ("payload", "client", "properties")]
        received = some.column("received").cast(pa.int64()).to_pylist()
        chosen = [cast(Route, routes[index]) for index in indices[rows].tolist()]
        letters: list[Letter] = []
        expired = 0
        now_ns = self._now_ns()
        for route, flag, payload, client, raw, received_ns in zip(
            chosen, flags[rows].tolist(), *columns, received, strict=True
        ):
            properties = self._admitted(client, raw)
            if properties is None:
                continue
            left_s = properties.message_expiry_interval
            if left_s is not None:
                left_s -= max(0, now_ns - received_ns) // NS_PER_S
                if left_s <= 0:
                    expired += 1
                    continue
                properties = msgspec.structs.replace(properties, message_expiry_interval=left_s)
            qos = min(flag & block.FLAG_QOS, route.qos)
            letters.append(Letter(route, payload, qos, route.retain and bool(flag & block.FLAG_RETAIN), properties))
        return Selected(letters, len(rows) - len(letters) - expired, expired)

    def _admitted(self, client: str, raw: bytes | None) -> Properties | None:
        """The properties that a message crosses with; None when it went in a circle and stays here."""
        if not self._v5 and came_over_a_bridge(client):
            return None
        if raw is None:
            return self._plain
        properties = decode_raw(raw, Carrier.PUBLISH)
        way = crossed(properties.user_property)
        if self._bridge.id in way or len(way) >= settings.HOPS_MAX or (way and not self._v5):
            return None
        return msgspec.structs.replace(properties, user_property=with_step(properties.user_property, self._bridge.id))
