"""A small MQTT 3.1.1 publisher that keeps many messages in flight, for `allthings bench`.

It writes whole bursts and counts acknowledgements by their bytes, so that it costs a fraction of what the platform
spends on the same messages.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

CONNECT_S_MAX: Final = 10.0
_PUBACK: Final = 0x40
_CONNACK: Final = 0x20


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _remaining_length(length: int) -> bytes:
    """Variable byte integer (MQTT 3.1.1, section 2.2.3)."""
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)


def connect_packet(client_id: str, user: str = "", password: str = "", keep_alive_s: int = 60) -> bytes:
    """CONNECT with a clean session (section 3.1)."""
    flags = 0x02 | (0xC0 if user else 0)
    body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", keep_alive_s) + _text(client_id)
    if user:
        body += _text(user) + _text(password)
    return bytes([0x10]) + _remaining_length(len(body)) + body


def publish_packet(topic: str, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH at QoS 1 (section 3.3)."""
    body = _text(topic) + struct.pack(">H", packet_id) + payload
    return bytes([0x32]) + _remaining_length(len(body)) + body


class Publisher(asyncio.Protocol):
    """One connection: keeps `in_flight` messages unacknowledged until `stop`, then waits for the rest.

    `sent` and `acknowledged` count messages. `payload` is called for each burst of messages.
    """

    def __init__(self, client_id: str, topic: str, in_flight: int, user: str, password: str) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.latencies_s: list[float] = []
        loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[None] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._hello = connect_packet(client_id, user, password)
        self._topic = topic
        self._in_flight = in_flight
        self._stopping = False
        self._buffer = bytearray()
        self._sent_at: dict[int, float] = {}
        self._next_id = 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._hello)

    def connection_lost(self, exc: Exception | None) -> None:
        error = exc or ConnectionResetError("the platform closed the connection")
        for future in (self.connected, self.finished):
            if not future.done():
                future.set_exception(error)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        acknowledged = 0
        now = self._loop.time()
        while len(self._buffer) >= 4:
            kind, length = self._buffer[0] & 0xF0, self._buffer[1]
            if length > 127 or kind not in (_PUBACK, _CONNACK):
                self._transport.abort()
                return
            if len(self._buffer) < 2 + length:
                break
            if kind == _CONNACK:
                self._answered(self._buffer[3])
            else:
                acknowledged += 1
                sent_at = self._sent_at.pop(int.from_bytes(self._buffer[2:4], "big"), None)
                if sent_at is not None:
                    self.latencies_s.append(now - sent_at)
            del self._buffer[: 2 + length]
        if acknowledged:
            self.acknowledged += acknowledged
            self._go_on(acknowledged)

    def _answered(self, code: int) -> None:
        if self.connected.done():
            return
        if code:
            self.connected.set_exception(ConnectionRefusedError(f"the platform refused the connection, code {code}"))
        else:
            self.connected.set_result(None)

    def start(self) -> None:
        """Fill the window."""
        self._go_on(self._in_flight)

    def stop(self) -> None:
        """Send nothing more; `finished` is set when all is acknowledged."""
        self._stopping = True
        self._go_on(0)

    def _go_on(self, room: int) -> None:
        if self._stopping:
            if self.acknowledged >= self.sent and not self.finished.done():
                self.finished.set_result(None)
            return
        burst = bytearray()
        self._sent_at[self._next_id] = self._loop.time()
        for _ in range(room):
            number = self.sent
            payload = b'{"a":%d.25,"b":%d,"c":%s}' % (number % 1000, number, b"true" if number & 1 else b"false")
            burst += publish_packet(self._topic, self._next_id, payload)
            self._next_id = self._next_id % 65_535 + 1
            self.sent += 1
        self._transport.write(bytes(burst))

    def close(self) -> None:
        if not self.finished.done():
            self.finished.cancel()
        if not self.connected.done():
            self.connected.cancel()
        self._transport.close()
