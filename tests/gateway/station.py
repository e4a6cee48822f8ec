"""A gateway without sockets: real broker, keeper, collector and log; clients are bytes over a transport in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from allthings.gateway.access import Credentials
from allthings.gateway.audit import AuditTrail
from allthings.gateway.broker import Broker
from allthings.gateway.connection import Connection
from allthings.gateway.elsewhere import follow_others
from allthings.gateway.keeper import Keeper
from allthings.gateway.shard import ALONE, Shard
from allthings.log.stream import Log
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
)
from allthings.mqtt.properties import Properties
from allthings.mqtt.versions import V3, V5, Sender, Version

NS_PER_S = 1_000_000_000


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now_ns: int = 1_700_000_000 * NS_PER_S) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def forward(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS_PER_S)


class Peer:
    """The client's end of one connection, and the transport of the gateway's end."""

    def __init__(self, broker: Broker, version: Version = V5) -> None:
        self.version = version
        self.received: list[Packet] = []
        self.bytes_received = 0
        self.closed = False
        #: While it does not read, what it is sent stays in the gateway's buffer.
        self.reading = True
        self.buffered = bytearray()
        self.reading_paused = False
        self._frames = FrameReader(version=version)
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self.connection = Connection(broker)
        self.connection.connection_made(self)

    # The gateway's end: what asyncio.Transport has

    def write(self, data: bytes) -> None:
        if self.closed:
            return
        if self.reading:
            self._take(data)
            return
        self.buffered += data
        if len(self.buffered) > 65536 and not self._paused:
            self._paused = True
            self.connection.pause_writing()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return len(self.buffered)

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def close(self) -> None:
        self.vanish()

    close_gently = abort = close

    # The client's end

    def _take(self, data: bytes) -> None:
        self.bytes_received += len(data)
        for first, body in self._frames.feed(data):
            self.received.append(decode(first, body, self.version, Sender.SERVER))

    def read_again(self) -> None:
        """Read what waits, and from now on at once."""
        self.reading = True
        data, self.buffered = bytes(self.buffered), bytearray()
        self._take(data)
        if self._paused:
            self._paused = False
            self.connection.resume_writing()

    def send(self, *packets: Packet) -> None:
        self.send_bytes(b"".join(encode(packet, self.version) for packet in packets))

    def send_bytes(self, data: bytes) -> None:
        if not self.closed:
            self.connection.data_received(data)

    def vanish(self) -> None:
        """The connection is gone, without a word."""
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self.connection.connection_lost, None)

    def take(self) -> list[Packet]:
        """What has arrived since the last time."""
        packets, self.received = self.received, []
        return packets

    def publishes(self) -> list[Publish]:
        """The PUBLISH packets of `take`."""
        return [packet for packet in self.take() if isinstance(packet, Publish)]


class Station:
    """The gateway's parts as they run together, on a log of the caller's. `family` names it in the log."""

    def __init__(
        self, log: Log, family: str, clock: Callable[[], int], shard: Shard = ALONE, data: Path | None = None
    ) -> None:
        self.data = data
        self.log = log
        self.family = family
        self.source = shard.source(family)
        self.clock = clock
        self.shard = shard
        self.broker: Broker
        self.keeper: Keeper
        self.peers: list[Peer] = []
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self, *, fresh: bool = False) -> Self:
        """`fresh`: nothing that is in the log concerns it."""
        if fresh:
            name = f"sessions-{self.family}-{self.shard.index}of{self.shard.count}"
            await self.log.save_position(name, (await self.log.status()).last)
        audit = AuditTrail(None, self.clock)
        self.broker = Broker(self.log, self.source, self.clock, Credentials(None), audit, self.shard, self.data)
        self.keeper = Keeper(self.log, self.broker, self.family, self.data)
        async with asyncio.timeout(20):
            await self.keeper.load()
        self._tasks = [
            asyncio.create_task(self.broker.collector.run()),
            asyncio.create_task(self.broker.entrance.admission.run()),
            asyncio.create_task(follow_others(self.log, self.broker, self.family)),
        ]
        return self

    def peer(self, version: Version = V5) -> Peer:
        peer = Peer(self.broker, version)
        self.peers.append(peer)
        return peer

    async def connect(self, client: str, version: Version = V5, **more: Any) -> Peer:
        """A client that is connected; CONNACK is the first packet in `received`."""
        peer = self.peer(version)
        peer.send(connect(client, version, **more))
        await self.settle()
        return peer

    async def session(self, client: str, *filters: str, qos: int = 1, version: Version = V5, **more: Any) -> Peer:
        """A client with a session that lasts, and subscriptions."""
        peer = await self.connect(client, version, expiry_s=1000, clean=False, **more)
        for topic_filter in filters:
            peer.send(subscribe(topic_filter, qos))
        await self.settle()
        peer.take()
        return peer

    async def settle(self, *, others: int = 0) -> None:
        """Until everything that was sent has had its consequences; `others`: a sequence to have been handed on."""
        async with asyncio.timeout(20):
            quiet = 0
            while quiet < 2:
                for task in self._tasks:
                    if task.done():
                        await task
                before = self._progress()
                noted = asyncio.Event()
                self.broker.collector.then(noted.set)
                await noted.wait()
                for _ in range(3):
                    await asyncio.sleep(0)
                while self.broker.refill._tasks or len(self.broker.entrance.admission) or self.broker.followed < others:
                    await asyncio.sleep(0.001)
                    for task in self._tasks:
                        if task.done():
                            await task
                quiet = quiet + 1 if before == self._progress() else 0

    def _progress(self) -> tuple[int, ...]:
        connections = len(self.broker.connections)
        return (self.broker.collector.sequence, connections, *(peer.bytes_received for peer in self.peers))

    async def take_all(self, peer: Peer) -> list[bytes]:
        """The payloads that a client gets which acknowledges everything."""
        got: list[bytes] = []
        while packets := peer.take():
            for packet in packets:
                if isinstance(packet, Publish):
                    got.append(packet.payload)
                    peer.send(Puback(packet.packet_id) if packet.qos == 1 else Pubrec(packet.packet_id))
                elif isinstance(packet, Pubrel):
                    peer.send(Pubcomp(packet.packet_id))
            await self.settle()
        return got

    async def look(self) -> None:
        """Let wills and expiries that are due happen."""
        self.broker.sessions._look()
        await self.settle()

    async def _end(self) -> None:
        for peer in self.peers:
            peer.closed = True
        self.broker.deadlines.close()
        self.broker.refill.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.peers = []

    async def stop(self) -> None:
        """As a gateway that is told to stop."""
        self.broker.shut_down()
        self.broker.collector.stop()
        await self._tasks[0]
        await self.keeper.keep()
        await self._end()

    async def crash(self) -> None:
        """As a gateway that is killed: nothing is kept, what was on its way to the log may be stored or not."""
        under_way = [task for task in asyncio.all_tasks() if task.get_name() == "append"]
        await self._end()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def restart(self) -> None:
        """Killed, and there again."""
        await self.crash()
        await self.start()


def connect(
    client: str,
    version: Version = V5,
    *,
    clean: bool = True,
    expiry_s: int = 0,
    receive_maximum: int | None = None,
    packet_max: int | None = None,
    aliases: int | None = None,
    will: Any = None,
) -> Connect:
    properties = Properties()
    if version == V5:
        properties = Properties(
            session_expiry_interval=expiry_s or None,
            receive_maximum=receive_maximum,
            maximum_packet_size=packet_max,
            topic_alias_maximum=aliases,
        )
    return Connect(client, version, clean_start=clean, will=will, properties=properties)


def subscribe(topic_filter: str, qos: int = 1, packet_id: int = 1, identifier: int = 0, **options: Any) -> Subscribe:
    properties = Properties(subscription_identifier=(identifier,)) if identifier else Properties()
    return Subscribe(packet_id, (Subscription(topic_filter, qos, **options),), properties)


def unsubscribe(topic_filter: str, packet_id: int = 1) -> Unsubscribe:
    return Unsubscribe(packet_id, (topic_filter,))


def kinds(packets: list[Packet]) -> list[str]:
    return [type(packet).__name__ for packet in packets]


__all__ = [
    "V3",
    "V5",
    "Clock",
    "Connack",
    "Disconnect",
    "Peer",
    "Puback",
    "Pubcomp",
    "Publish",
    "Pubrec",
    "Pubrel",
    "Station",
    "Suback",
    "connect",
    "kinds",
    "subscribe",
    "unsubscribe",
]
