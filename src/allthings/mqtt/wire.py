"""The data types of the wire (MQTT 5 section 1.5): integers, variable byte integers, strings, binary data."""

from __future__ import annotations

import re
from typing import Final

from allthings.mqtt.errors import EncodeError, MalformedPacketError
from allthings.mqtt.reasons import ReasonCode

#: The largest variable byte integer, hence the largest remaining length (section 1.5.5, table 1-1).
VARINT_MAX: Final = 268_435_455
#: The most bytes that a string or binary data has (section 1.5.4, 1.5.6).
BINARY_BYTES_MAX: Final = 65_535
_CONTROL: Final = re.compile("[\x01-\x1f\x7f-\x9f]")


class Reader:
    """Takes fields off the body of one packet, in order. Each method raises MalformedPacketError when it cannot.

    `packet` and the `field` arguments are names for the error's hint.
    """

    __slots__ = ("_data", "_end", "_position", "packet")

    def __init__(self, data: bytes, packet: str, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end
        self.packet = packet

    def __bool__(self) -> bool:
        """Whether bytes are left."""
        return self._position < self._end

    def _take(self, size: int, field: str) -> int:
        at = self._position
        if at + size > self._end:
            raise MalformedPacketError(
                f"{self.packet} ends within {field}: {size} bytes needed at offset {at}, {self._end - at} there",
                "2.1.4",
            )
        self._position = at + size
        return at

    def byte(self, field: str) -> int:
        """One byte (section 1.5.1)."""
        at = self._position
        if at >= self._end:
            self._take(1, field)
        self._position = at + 1
        return self._data[at]

    def integer(self, size: int, field: str) -> int:
        """A big-endian integer of two or four bytes (sections 1.5.2, 1.5.3)."""
        at = self._position
        if at + size > self._end:
            self._take(size, field)
        self._position = end = at + size
        return int.from_bytes(self._data[at:end], "big")

    def varint(self, field: str) -> int:
        """A variable byte integer (section 1.5.5), in its shortest form."""
        number = 0
        for shift in (0, 7, 14, 21):
            digit = self.byte(field)
            number |= (digit & 0x7F) << shift
            if digit < 0x80:
                if shift and not digit:
                    raise MalformedPacketError(f"{field} of {self.packet} is not in its shortest form", "MQTT-1.5.5-1")
                return number
        raise MalformedPacketError(f"{field} of {self.packet} is longer than four bytes", "1.5.5")

    def binary(self, field: str) -> bytes:
        """Binary data after its two-byte length (section 1.5.6)."""
        at, data = self._position + 2, self._data
        if at > self._end:
            self._take(2, field)
        self._position = at
        size = data[at - 2] << 8 | data[at - 1]
        end = at + size
        if end > self._end:
            self._take(size, field)
        self._position = end
        return data[at:end]

    def string(self, field: str) -> str:
        """A UTF-8 string after its two-byte length (section 1.5.4)."""
        data = self.binary(field)
        if data.isascii() and 0 not in data:
            return data.decode("ascii")
        return decode_string(data, f"{field} of {self.packet}")

    def part(self, size: int, field: str) -> Reader:
        """A reader of the next `size` bytes, which this one skips."""
        at = self._take(size, field)
        return Reader(self._data, self.packet, at, at + size)

    def rest(self) -> bytes:
        """All that is left."""
        at, self._position = self._position, self._end
        return self._data[at : self._end]

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._position < self._end:
            size = self._end - self._position
            raise MalformedPacketError(
                f"{self.packet} has {size} bytes after its last field, at offset {self._position}", "2.1.4"
            )


def decode_string(data: bytes, field: str) -> str:
    """Check and decode the bytes of a string: well-formed, no surrogates, no U+0000; a BOM is kept.

    [MQTT-1.5.4-1], [MQTT-1.5.4-2], [MQTT-1.5.4-3]. Raises MalformedPacketError.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacketError(
            f"{field} is not well-formed UTF-8 at its byte {error.start}", "MQTT-1.5.4-1"
        ) from None
    if "\0" in text:
        raise MalformedPacketError(f"{field} contains U+0000", "MQTT-1.5.4-2")
    return text


def control_character(text: str) -> str:
    """The first control character of a string as U+0007, or "" without one.

    A server may refuse U+0001 to U+001F and U+007F to U+009F (MQTT 5 section 1.5.4, MQTT 3.1.1 section 1.5.3).
    """
    found = _CONTROL.search(text)
    return f"U+{ord(found[0]):04X}" if found is not None else ""


def _not_encodable(hint: str, section: str) -> EncodeError:
    return EncodeError(hint, section, ReasonCode.MALFORMED_PACKET)


def encode_integer(number: int, size: int, field: str) -> bytes:
    """A big-endian integer of `size` bytes. Raises EncodeError when it does not fit."""
    if not 0 <= number < 1 << 8 * size:
        raise _not_encodable(f"{field} = {number} does not fit {size} bytes", "1.5.2")
    return int(number).to_bytes(size, "big")


def encode_varint(number: int) -> bytes:
    """The shortest variable byte integer [MQTT-1.5.5-1]. Raises EncodeError outside 0 to VARINT_MAX."""
    if 0 <= number < 0x80:
        return bytes((number,))
    if not 0 <= number <= VARINT_MAX:
        raise _not_encodable(f"{number} does not fit a variable byte integer", "1.5.5")
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def encode_binary(data: bytes, field: str) -> bytes:
    """Binary data with its length. Raises EncodeError above 65,535 bytes."""
    if len(data) > BINARY_BYTES_MAX:
        raise _not_encodable(f"{field} has {len(data)} bytes, more than {BINARY_BYTES_MAX}", "1.5.6")
    return len(data).to_bytes(2, "big") + data


def encode_string(text: str, field: str) -> bytes:
    """A string with its length. Raises EncodeError for surrogates, U+0000, and above 65,535 bytes."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise _not_encodable(f"{field} has a lone surrogate at {error.start}", "MQTT-1.5.4-1") from None
    if 0 in data:
        raise _not_encodable(f"{field} contains U+0000", "MQTT-1.5.4-2")
    return encode_binary(data, field)
