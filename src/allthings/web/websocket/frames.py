"""WebSocket frames as a server sees them (RFC 6455 section 5): bytes in, what they say out; no I/O.

Payloads are handed on piece by piece as they arrive: MQTT has its own packets and does not care how they are cut
(MQTT 5 section 6.0), so no frame is ever held in memory as a whole.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from allthings.web import settings


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection is closed (section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    TOO_BIG = 1009
    TRY_AGAIN_LATER = 1013


class FrameError(Exception):
    """The client broke the rules; `code` tells it which."""

    def __init__(self, code: CloseCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class Event(NamedTuple):
    """BINARY: a piece of data. PING, CLOSE: a whole control frame's payload."""

    opcode: Opcode
    data: bytes


_CONTROL: Final = 0x8
_CONTROL_BYTES_MAX: Final = 125
_CLOSE_CODES: Final = (*range(1000, 1004), *range(1007, 1015))


class Frames:
    """Takes a client's bytes apart. `feed` raises FrameError; after that the connection is over."""

    def __init__(self) -> None:
        self._head = b""
        self._opcode = Opcode.BINARY
        self._mask = b"\0\0\0\0"
        #: Of the frame's payload: what is still to come; of a control frame: what has come.
        self._left = 0
        self._control = b""
        #: A message of several frames is under way.
        self._fragmented = False

    def feed(self, data: bytes) -> list[Event]:
        """What these bytes say."""
        if self._head:
            data, self._head = self._head + data, b""
        events: list[Event] = []
        position, end = 0, len(data)
        while position < end:
            if not self._left:
                start = self._begin(data, position)
                if not start:
                    self._head = data[position:]
                    break
                position = start
                if not self._left:
                    self._take(b"", events)
                continue
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            plain = unmask(piece, self._mask)
            turn = len(piece) & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
            self._take(plain, events)
        return events

    def _begin(self, data: bytes, position: int) -> int:
        """Read a frame's head; where its payload starts, 0 when more of the head must come."""
        if len(data) - position < 2:
            return 0
        first, second = data[position], data[position + 1]
        opcode, final, length = first & 0x0F, first & 0x80, second & 0x7F
        if first & 0x70:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits are set, and no extension was agreed")
        if not second & 0x80:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a client's frame must be masked")
        if opcode & _CONTROL and (not final or length > _CONTROL_BYTES_MAX):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a control frame in parts, or longer than 125 bytes")
        more = {126: 2, 127: 8}.get(length, 0)
        start = position + 2 + more + 4
        if len(data) < start:
            return 0
        if more:
            length = int.from_bytes(data[position + 2 : position + 2 + more])
        if length > settings.FRAME_BYTES_MAX:
            raise FrameError(
                CloseCode.TOO_BIG, f"a frame of {length} bytes; at most {settings.FRAME_BYTES_MAX} are accepted"
            )
        self._opcode = self._checked(opcode, bool(final))
        self._mask = data[start - 4 : start]
        self._left = length
        self._control = b""
        return start

    def _checked(self, opcode: int, final: bool) -> Opcode:
        if opcode == Opcode.TEXT:
            raise FrameError(CloseCode.UNSUPPORTED_DATA, "a text frame; MQTT comes in binary frames [MQTT-6.0.0-1]")
        if opcode in (Opcode.BINARY, Opcode.CONTINUATION):
            if (opcode == Opcode.CONTINUATION) != self._fragmented:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a frame that does not follow from the one before it")
            self._fragmented = not final
            return Opcode.BINARY
        if opcode not in (Opcode.CLOSE, Opcode.PING, Opcode.PONG):
            raise FrameError(CloseCode.PROTOCOL_ERROR, f"an unknown opcode 0x{opcode:x}")
        return Opcode(opcode)

    def _take(self, plain: bytes, events: list[Event]) -> None:
        if self._opcode == Opcode.BINARY:
            if plain:
                events.append(Event(Opcode.BINARY, plain))
            return
        self._control += plain
        if self._left:
            return
        if self._opcode == Opcode.CLOSE:
            _check_close(self._control)
        if self._opcode != Opcode.PONG:
            events.append(Event(self._opcode, self._control))


def _check_close(payload: bytes) -> None:
    """Section 7.4: no code, or one that may be sent, and a reason in UTF-8."""
    if not payload:
        return
    code = int.from_bytes(payload[:2])
    if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code < 5000):
        raise FrameError(CloseCode.PROTOCOL_ERROR, "a close frame without a valid code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "a close frame whose reason is no UTF-8") from None


def unmask(data: bytes, mask: bytes) -> bytes:
    """Section 5.3, on one long integer instead of byte by byte."""
    length = len(data)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """A whole frame of a server: unmasked, in one piece."""
    length = len(payload)
    if length < 126:
        return bytes((0x80 | opcode, length)) + payload
    if length < 0x10000:
        return bytes((0x80 | opcode, 126)) + length.to_bytes(2) + payload
    return bytes((0x80 | opcode, 127)) + length.to_bytes(8) + payload


def encode_close(code: CloseCode, why: str = "") -> bytes:
    """A CLOSE frame; the reason is cut to what fits."""
    return encode(Opcode.CLOSE, code.to_bytes(2) + why.encode()[:120].decode(errors="ignore").encode())
