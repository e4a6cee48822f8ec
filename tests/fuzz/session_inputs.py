"""Bytes as what several connections send to a gateway: for the fuzzer, and for a short form of it in the tests.

An input is a list of steps; each names a connection and sends it a packet that a client could send, or bytes as they
are. The gateway is real but for its sockets and its log, which is in memory and answers at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from allthings.gateway.access import Credentials
from allthings.gateway.audit import AuditTrail
from allthings.gateway.broker import Broker
from allthings.log.appender import Appending
from allthings.log.entry import Entry
from allthings.mqtt.packets import Disconnect, Packet, Pingreq, Puback, Pubcomp, Publish, Pubrec, Pubrel, Will
from allthings.mqtt.properties import Properties
from allthings.mqtt.versions import V3, V5
from tests.gateway.station import Clock, Peer, connect, subscribe, unsubscribe

CONNECTIONS = 3
STEPS_MAX = 200
_TOPICS = ("a", "a/b", "c", "$SYS/broker/uptime")
_FILTERS = ("a", "a/#", "+/b", "#", "$share/g/a/#", "c", "$share/g/c")


class MemoryLog:
    """As much of a log as a broker needs, and its appender."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    def appender(self, _source: str) -> Self:
        return self

    def begin(self, data: bytes, **_: Any) -> Appending:
        self.blocks.append(data)
        return Appending("", asyncio.create_task(self._stored(len(self.blocks))))

    async def _stored(self, sequence: int) -> int:
        await asyncio.sleep(0)
        return sequence

    async def get(self, sequence: int) -> Entry | None:
        return Entry(sequence, self.blocks[sequence - 1], 0) if 0 < sequence <= len(self.blocks) else None


def packet(kind: int, argument: int) -> Packet:
    """One that a client could send."""
    packet_id, choice = argument % 5 + 1, argument // 5
    qos = choice % 3
    makers: list[Callable[[], Packet]] = [
        lambda: Publish(
            _TOPICS[choice % 4],
            bytes(choice % 7),
            qos,
            bool(choice & 8),
            bool(choice & 16 and qos),
            packet_id if qos else 0,
            Properties(message_expiry_interval=choice % 3) if choice & 32 else Properties(),
        ),
        lambda: subscribe(_FILTERS[choice % 7], qos, packet_id, choice % 3, retain_handling=choice % 3),
        lambda: unsubscribe(_FILTERS[choice % 7], packet_id),
        lambda: Puback(packet_id),
        lambda: Pubrec(packet_id),
        lambda: Pubrel(packet_id),
        lambda: Pubcomp(packet_id),
        Pingreq,
        lambda: Disconnect(properties=Properties(session_expiry_interval=choice) if choice % 2 else Properties()),
    ]
    return makers[kind % len(makers)]()


class _Stranger(Peer):
    """It began with bytes of any kind, so what it is told may have the form of either version."""

    def _take(self, data: bytes) -> None:
        self.bytes_received += len(data)


class Sitting:
    """One input against one gateway."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog()
        self.broker = Broker(
            self.log,  # type: ignore[arg-type]
            "fuzz",
            self.clock,
            Credentials(None),
            AuditTrail(None, self.clock),
        )
        self.peers: list[Peer | None] = [None] * CONNECTIONS
        self._everybody: list[Peer] = []
        self._tasks = [
            asyncio.create_task(self.broker.collector.run()),
            asyncio.create_task(self.broker.entrance.admission.run()),
        ]

    async def run(self, data: bytes) -> None:
        """Raises whatever the gateway raises; and AssertionError when it does not come to rest."""
        at = steps = 0
        while at + 2 < len(data) and steps < STEPS_MAX:
            steps += 1
            head, argument = data[at], data[at + 1]
            at += 2
            where, kind = head % CONNECTIONS, head // CONNECTIONS
            if kind % 16 == 15:
                raw = data[at : at + argument]
                at += argument
                self._send_raw(where, raw)
            else:
                self._step(where, kind % 16, argument)
            if argument & 1:
                await self._rest()
        await self._end()

    def _step(self, where: int, kind: int, argument: int) -> None:
        peer = self.peers[where]
        if peer is None or peer.closed:
            self.peers[where] = self._connect(where, argument)
        elif kind < 9:
            if not (kind == 0 and argument // 5 & 32 and peer.version == V3):
                peer.send(packet(kind, argument))
        elif kind == 9:
            peer.vanish()
        elif kind == 10:
            self.clock.forward(argument)
            self.broker.sessions._look()
        elif kind == 11:
            self.peers[where] = self._connect(where, argument)
        elif kind == 12:
            peer.reading = not peer.reading
            if peer.reading:
                peer.read_again()
        else:
            peer.send_bytes(bytes((argument,)))

    def _connect(self, where: int, argument: int) -> Peer:
        version = V5 if argument & 1 else V3
        will = Will("a/will", b"", argument % 3, properties=Properties(will_delay_interval=argument % 4 or None))
        if version == V3:
            will = Will("a/will", b"", argument % 3)
        peer = Peer(self.broker, version)
        self._everybody.append(peer)
        peer.send(
            connect(
                f"c{where if argument & 2 else 0}",
                version,
                clean=bool(argument & 4),
                expiry_s=argument & 8,
                receive_maximum=1 if argument & 16 else None,
                packet_max=20 if argument & 32 else None,
                aliases=2 if argument & 64 else None,
                will=will if argument & 128 else None,
            )
        )
        return peer

    def _send_raw(self, where: int, raw: bytes) -> None:
        peer = self.peers[where]
        if peer is None or peer.closed:
            peer = self.peers[where] = _Stranger(self.broker, V5)
            self._everybody.append(peer)
        if raw:
            peer.send_bytes(raw)

    async def _rest(self) -> None:
        noted = asyncio.Event()
        self.broker.collector.then(noted.set)
        async with asyncio.timeout(10):
            while not noted.is_set():
                self._look_after()
                await asyncio.sleep(0)
        self._look_after()

    def _look_after(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError("a part of the gateway has ended")

    async def _end(self) -> None:
        for peer in self._everybody:
            peer.vanish()
        try:
            for _ in range(3):
                await self._rest()
            self.clock.forward(10**8)
            self.broker.sessions._look()
            await self._rest()
            assert not self.broker.connections
            assert not self.broker.sessions.by_client, "sessions are left that have expired"
            assert not self.broker.routing, "subscriptions are left that nobody has"
            assert not self.broker.routing.groups
            assert not self.broker.clients
        finally:
            self.broker.deadlines.close()
            self.broker.refill.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def sit(data: bytes) -> None:
    """One input."""
    await Sitting().run(data)
