"""From a stream of bytes to packets: where each begins and ends (MQTT 5 section 2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from allthings.mqtt.errors import MalformedPacketError, ProtocolError, RemoteError
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V5, Version
from allthings.mqtt.wire import VARINT_MAX

#: The largest packet that the standard can express: first byte, four bytes of length, body.
PACKET_BYTES_MAX: Final = 5 + VARINT_MAX


class FrameReader:
    """Cuts what a connection receives into packets.

    It holds at most one packet that has not arrived whole (never more than `packet_bytes_max`) and what the last
    `feed` brought. A packet over the limit is refused by its header, before its body is kept. After an error the
    stream has no more packet boundaries: every further `feed` raises the same error.

    `version` may be set once CONNECT told it: only MQTT 5 demands the shortest form of the length [MQTT-1.5.5-1].
    `packet_bytes_max` counts the whole packet (section 2.1.4) and may be changed at any time.
    """

    def __init__(self, packet_bytes_max: int = PACKET_BYTES_MAX, version: Version | None = None) -> None:
        self.packet_bytes_max = packet_bytes_max
        self.version = version
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self._needed = 2  # bytes from _position on, without which no packet is complete
        self._error: RemoteError | None = None

    @property
    def buffered(self) -> int:
        """Bytes received and not yet given out."""
        return len(self._buffer) - self._position

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take `data`; give the first byte and the body of each packet that is complete now.

        The packets before a broken one are given out, then the iterator raises MalformedPacketError (0x81) or
        ProtocolError (0x95, larger than `packet_bytes_max`). Packets left in an iterator come with the next one.
        """
        if self._error is None:
            self._keep(data)
        return self._packets()

    def _keep(self, data: bytes) -> None:
        if not self.buffered:
            self._buffer = bytes(data)  # the usual case: nothing to join, no copy
        elif isinstance(self._buffer, bytearray):
            if self._position:
                del self._buffer[: self._position]
            self._buffer += data
        else:
            self._buffer = bytearray(memoryview(self._buffer)[self._position :])
            self._buffer += data
        self._position = 0

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        while self._error is None and len(self._buffer) - self._position >= self._needed:
            try:
                packet = self._next()
            except RemoteError as error:
                self._error = error
                self._buffer, self._position = b"", 0
            else:
                if packet is not None:
                    yield packet
        if self._error is not None:
            raise self._error

    def _next(self) -> tuple[int, bytes] | None:
        """The next packet; None while it is not complete (`_needed` has then grown)."""
        buffer, start = self._buffer, self._position
        length = 0
        for index in range(1, 5):
            if start + index == len(buffer):
                self._needed = index + 1
                return None
            digit = buffer[start + index]
            length |= (digit & 0x7F) << 7 * (index - 1)
            if digit < 0x80:
                break
        else:
            raise MalformedPacketError("the remaining length has more than four bytes", "1.5.5")
        if index > 1 and not digit and self.version == V5:
            raise MalformedPacketError("the remaining length is not in its shortest form", "MQTT-1.5.5-1")
        size = 1 + index + length
        if size > self.packet_bytes_max:
            raise ProtocolError(
                f"a packet of {size} bytes is over the limit of {self.packet_bytes_max}",
                "3.1.2.11.4, 3.2.2.3.6",
                ReasonCode.PACKET_TOO_LARGE,
            )
        if start + size > len(buffer):
            self._needed = size
            return None
        self._needed = 2
        self._position = start + size
        return buffer[start], bytes(memoryview(buffer)[start + 1 + index : start + size])
