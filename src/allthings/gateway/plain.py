"""Short PUBLISHes that are like one before them on their connection: they are taken at a glance.

What a device sends again and again differs in its payload and its packet identifier only. So who has seen one of its
messages, and what the access rules say to it, knows where these stand in the next ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from allthings.gateway.gathering import Publisher, Run
from allthings.mqtt.scanner import Run as WireRun

_PUBACK: Final = b"\x40\x02"
#: The remaining length has one byte up to this.
_LENGTH_MAX: Final = 0x7F


class Plain(NamedTuple):
    """What a message looked like. `identifier_at`, `payload_at`: where these stand, from its first byte on."""

    first: int
    identifier_at: int
    payload_at: int
    qos: int
    run: Run


def key(topic: bytes) -> bytes:
    """A topic as it stands in the packet, with its length: what a `Plain` is found by."""
    return len(topic).to_bytes(2) + topic


def like(wire: WireRun, topic: str, publisher: Publisher, *, v5: bool) -> Plain:
    """What further messages of a run look like. `topic` is that of the run as text."""
    qos, retain = wire.first >> 1 & 3, wire.first & 1
    identifier_at = 4 + len(wire.topic)
    payload_at = identifier_at + (2 if qos else 0) + (1 if v5 else 0)
    return Plain(
        wire.first, identifier_at, payload_at, qos, Run(topic, publisher.client, qos | retain << 2, None, 1, publisher)
    )


class Taken(NamedTuple):
    """Messages, each with its run. `end` is where the first other thing begins; `pubacks` are for those of QoS 1."""

    runs: list[Run]
    payloads: list[bytes]
    pubacks: bytes
    end: int


def take(plains: Mapping[bytes, Plain], data: bytes, position: int, *, v5: bool) -> Taken:
    """Whole messages on different topics, each like one before, from `position` on: of who speaks for many things.

    Several on one topic are left where they are: `mqtt.scanner.scan` is made for these.
    """
    available = len(data)
    runs: list[Run] = []
    payloads: list[bytes] = []
    pubacks: list[bytes] = []
    while position + 4 < available:
        start, length = position + 2, data[position + 1]
        end = start + length
        topic = data[start : start + 2 + data[start + 1]]
        plain = plains.get(topic)
        if plain is None or length > _LENGTH_MAX or end > available or data.startswith(topic, end + 2):
            break
        first, identifier_at, payload_at, qos, run = plain
        at = position + payload_at
        # A byte before the payload is the length of the properties.
        if at > end or data[position] != first or (v5 and data[at - 1]):
            break
        if qos:
            identifier = data[position + identifier_at : position + identifier_at + 2]
            if identifier == b"\0\0":
                break
            pubacks += _PUBACK, identifier
        payloads.append(data[at:end])
        runs.append(run)
        position = end
    return Taken(runs, payloads, b"".join(pubacks), position)
