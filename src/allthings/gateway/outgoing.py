"""What goes out to one subscriber: QoS 0 straight into its socket, QoS 1 through a window of in-flight messages.

A subscriber that does not read is cut off when its bounds are reached, so that it can hurt nobody else; it sees why
(MQTT 5: DISCONNECT with 0x97) and its count stands in the gateway's statistics.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from allthings.gateway import settings
from allthings.mqtt.packets.publish import encode_publish
from allthings.mqtt.versions import Version


class _Queued(NamedTuple):
    topic: bytes
    payload: bytes
    retain: bool
    properties: bytes | None


class Outgoing:
    """The sending side of a connection. `write` takes bytes for its socket; `overrun` is called when it must go."""

    def __init__(
        self,
        version: Version,
        window: int,
        packet_bytes_max: int,
        write: Callable[[bytes], None],
        overrun: Callable[[str], None],
    ) -> None:
        self._version = version
        self._window = min(window, settings.IN_FLIGHT_MAX)
        self._packet_bytes_max = packet_bytes_max
        self._write = write
        self._overrun = overrun
        self._next_identifier = 1
        self._in_flight: set[int] = set()
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self.delivered = 0
        self.too_large = 0

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def send_encoded(self, data: bytes, messages: int) -> None:
        """QoS 0 messages that are encoded already (they are the same for all subscribers of a version)."""
        self.delivered += messages
        self._write(data)

    def send(self, topic: bytes, payloads: list[bytes], retain: bool, properties: bytes | None) -> None:
        """QoS 1 messages: sent as far as the window allows, the rest queued."""
        free = self._window - len(self._in_flight)
        now = payloads[:free] if free > 0 and not self._queue else []
        if now:
            self._write(b"".join([self._encode(_Queued(topic, payload, retain, properties)) for payload in now]))
        for payload in payloads[len(now) :]:
            self._queue.append(_Queued(topic, payload, retain, properties))
            self._queued_bytes += len(payload) + len(topic)
        if len(self._queue) > settings.QUEUE_MESSAGES_MAX or self._queued_bytes > settings.QUEUE_BYTES_MAX:
            self._overrun(
                f"{len(self._queue)} messages wait unacknowledged; the limit is {settings.QUEUE_MESSAGES_MAX}"
            )

    def acknowledged(self, identifier: int) -> bool:
        """A PUBACK came. False when nothing of that identifier is in flight."""
        if identifier not in self._in_flight:
            return False
        self._in_flight.discard(identifier)
        while self._queue and len(self._in_flight) < self._window:
            message = self._queue.popleft()
            self._queued_bytes -= len(message.payload) + len(message.topic)
            self._write(self._encode(message))
        return True

    def _encode(self, message: _Queued) -> bytes:
        identifier = self._identifier()
        data = encode_publish(
            message.topic, message.payload, 1, message.retain, False, identifier, message.properties, self._version
        )
        if len(data) > self._packet_bytes_max:
            # MQTT 5 section 3.1.2.11.4: act as if it had been sent; the count tells.
            self.too_large += 1
            return b""
        self._in_flight.add(identifier)
        self.delivered += 1
        return data

    def _identifier(self) -> int:
        identifier = self._next_identifier
        while identifier in self._in_flight:
            identifier = identifier % 65535 + 1
        self._next_identifier = identifier % 65535 + 1
        return identifier
