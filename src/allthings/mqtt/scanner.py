"""The hot path of a server: runs of PUBLISH packets out of a receive buffer, without an object per message.

A device sends the same topic again and again, so most packets begin with the same bytes as the one before. `scan`
takes such packets apart with slices alone and leaves everything that is unusual (other packets, QoS 2, properties,
whatever is malformed) to the codec, which gives the exact verdict.
"""

from __future__ import annotations

from typing import NamedTuple

#: MQTT 5 section 1.5.5: a variable byte integer of at most four bytes.
_REMAINING_LENGTH_BYTES_MAX = 4


class Run(NamedTuple):
    """Consecutive PUBLISH packets of one topic: QoS 0 or 1, no properties, all with the same first byte.

    `identifiers` are two bytes each as on the wire, and empty for QoS 0.
    """

    first: int
    topic: bytes
    payloads: list[bytes]
    identifiers: list[bytes]


class Frame(NamedTuple):
    """Where a packet's body stands in the buffer. `end` may lie behind what has arrived."""

    first: int
    start: int
    end: int


def frame(buffer: bytes, position: int) -> Frame | None:
    """The packet that begins at `position`; None while its length has not arrived whole.

    A length of more than four bytes gives `end` = -1 (malformed, MQTT 5 section 1.5.5).
    """
    available = len(buffer)
    length = shift = 0
    at = position + 1
    while at < available:
        byte = buffer[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return Frame(buffer[position], at, at + length)
        shift += 7
        if shift == 7 * _REMAINING_LENGTH_BYTES_MAX:
            return Frame(buffer[position], at, -1)
    return None


def scan(buffer: bytes, position: int, v5: bool, runs: list[Run]) -> int:
    """Append the plain PUBLISH packets from `position` on to `runs`; return where the first other thing begins.

    That is the end of the buffer, a packet that has not arrived whole, or one for the codec.
    """
    available = len(buffer)
    while position < available:
        first = buffer[position]
        # PUBLISH, QoS 0 or 1, RETAIN either way; DUP and QoS 2 are rare and take the long way.
        if first & 0xFC != 0x30:
            return position
        head = frame(buffer, position)
        if head is None or head.end > available or head.start + 2 > head.end:
            return position
        start, end = head.start, head.end
        topic_bytes = buffer[start] << 8 | buffer[start + 1]
        topic_end = start + 2 + topic_bytes
        qos1 = first & 2
        overhead = (2 if qos1 else 0) + (1 if v5 else 0)
        if not topic_bytes or topic_end + overhead > end:
            return position
        # All following packets of the run agree in these bytes, and in the first one; their lengths may differ.
        topic = buffer[start:topic_end]
        to_payload = 2 + topic_bytes + overhead
        payloads: list[bytes] = []
        identifiers: list[bytes] = []
        while True:
            payload = start + to_payload
            if v5 and buffer[payload - 1]:
                break
            if qos1:
                identifier = buffer[payload - overhead : payload - overhead + 2]
                if identifier == b"\0\0":
                    break
                identifiers.append(identifier)
            payloads.append(buffer[payload:end])
            position = end
            start = end + 2
            if start > available or buffer[end] != first:
                break
            length = buffer[end + 1]
            if length > 0x7F:
                head = frame(buffer, end)
                if head is None:
                    break
                start, end = head.start, head.end
            else:
                end = start + length
            if end > available or start + to_payload > end or not buffer.startswith(topic, start):
                break
        if not payloads:
            return position
        runs.append(Run(first, topic[2:], payloads, identifiers))
    return position
