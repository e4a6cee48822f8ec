"""Bytes as what one read of a socket brings to the lane: for the fuzzer, and for a short form of it in the tests.

The first byte of an input chooses what the connection's last PUBLISH was, the rest is what its client sends now. The
lane must take it if the codec says that it is one whole, short PUBLISH like that one; anything else it must give back
as it came.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from allthings.gateway.gathering import Run
from allthings.gateway.lane import PACKET_BYTES_END, ROW_BYTES, Lane
from allthings.gateway.ring import Ring
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import RemoteError
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import Publish
from allthings.mqtt.properties import NO_PROPERTIES
from allthings.mqtt.versions import V3, V5, Sender, Version

_TOPICS = ("a", "things/lamp/properties", "x" * 110)


class Last(NamedTuple):
    """What a connection sent before: the head of it is what the lane expects."""

    topic: str
    qos: int
    retain: bool
    version: Version

    def packet(self, payload: bytes = b"", identifier: int = 7) -> bytes:
        return encode(
            Publish(self.topic, payload, self.qos, self.retain, packet_id=identifier if self.qos else 0), self.version
        )


LASTS = [
    Last(topic, qos, retain, version)
    for topic in _TOPICS
    for qos in (0, 1)
    for retain in (False, True)
    for version in (V3, V5)
]


def publish_like(last: Last, arrived: bytes) -> Publish | None:
    """What the codec says: one whole short PUBLISH like the last one, or anything else."""
    try:
        frames = FrameReader(version=last.version).feed(arrived)
        packets = [decode(first, body, last.version, Sender.CLIENT) for first, body in frames]
    except RemoteError:
        return None
    if len(packets) != 1 or not isinstance(packet := packets[0], Publish):
        return None
    alike = (packet.topic, packet.qos, packet.retain) == last[:3] and packet.properties is NO_PROPERTIES
    whole = len(arrived) < PACKET_BYTES_END and arrived[1] == len(arrived) - 2
    return packet if alike and whole and not packet.dup else None


class Gate:
    """A lane with a connection for each of LASTS; keeps what it takes."""

    client = "client"

    def __init__(self, ring: Ring) -> None:
        self._taken: list[tuple[Run, bytes]] = []
        self._acknowledge: Callable[[], None] | None = None
        self.lane = Lane(ring, self, lambda: 0.0, lambda: None)  # type: ignore[arg-type]
        self._pairs = [socket.socketpair() for _ in LASTS]
        for last, (ours, theirs) in zip(LASTS, self._pairs, strict=True):
            ours.setblocking(False)
            theirs.setblocking(False)
            head = last.packet(identifier=0xFFFF)
            at = head.find(b"\xff\xff") if last.qos else 0
            run = Run(last.topic, self.client, last.qos | last.retain << 2, None, 1, self)
            self.lane.join(ours.fileno(), head.replace(b"\xff\xff", b"\0\0"), at, run, busy=False)

    def add_many(self, runs: list[Run], payloads: list[bytes], size: int, acknowledge: Any) -> None:
        self._taken, self._acknowledge = list(zip(runs, payloads, strict=True)), acknowledge

    def acknowledge(self, pubacks: bytes) -> None:
        raise AssertionError("its socket has room")

    def abort(self) -> None:
        raise AssertionError("the kernel goes on")

    def look(self, data: bytes) -> bool:
        """Whether it was taken. Raises AssertionError when that is wrong."""
        if len(data) < 2:
            return False
        number, arrived = data[0] % len(LASTS), data[1 : 1 + ROW_BYTES]
        last, (ours, theirs) = LASTS[number], self._pairs[number]
        packet = publish_like(last, arrived)
        theirs.send(arrived)
        self._taken, self._acknowledge = [], None
        rest = self.lane.take(np.array([ours.fileno()], np.int32))
        if packet is None:
            assert not self._taken
            assert [each.data for each in rest] == [arrived]
            return False
        assert not rest
        ((run, payload),) = self._taken
        assert (run.topic, payload) == (packet.topic, packet.payload)
        if last.qos:
            assert self._acknowledge is not None
            self._acknowledge()
            assert theirs.recv(100) == b"\x40\x02" + packet.packet_id.to_bytes(2)
        else:
            assert self._acknowledge is None
        return True

    def close(self) -> None:
        self.lane.close()
        for pair in self._pairs:
            for each in pair:
                each.close()
