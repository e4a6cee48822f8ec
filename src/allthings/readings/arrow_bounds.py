"""How much memory an Arrow stream of a stranger wants, before any of it is given.

Compressed buffers say how large they will be; 64 MiB of them can ask for terabytes. The sizes stand in the messages'
metadata (Arrow columnar format, "Encapsulated message format" and "Compression"), a FlatBuffer, of which the few
fields needed are read here; pyarrow does not offer them.
"""

from __future__ import annotations

import struct
from typing import Final

import pyarrow as pa

_FILE_MAGIC: Final = b"ARROW1"
#: The header types of Message (Message.fbs).
_DICTIONARY_BATCH: Final = 2
_RECORD_BATCH: Final = 3


def stream_of(data: bytes) -> pa.Buffer:
    """The stream within an Arrow file, which is a stream between a magic and a footer; or the stream itself."""
    buffer = pa.py_buffer(data)
    return buffer.slice(8) if data.startswith(_FILE_MAGIC) else buffer


def uncompressed_bytes(stream: pa.Buffer) -> int:
    """Bytes of all buffers of a stream once they are decompressed.

    Raises ValueError (pyarrow.ArrowInvalid is one) or OSError when the stream is damaged.
    """
    total = 0
    try:
        for message in pa.ipc.MessageReader.open_stream(stream):
            total += _message_bytes(message.metadata.to_pybytes(), message.body)
    except (struct.error, IndexError) as error:
        raise ValueError(f"a message's metadata is damaged: {error}") from None
    return total


def _message_bytes(metadata: bytes, body: pa.Buffer | None) -> int:
    message = _Table(metadata, struct.unpack_from("<I", metadata, 0)[0])
    kind = message.number(1, "<B")
    header = message.table(2)
    if kind == _DICTIONARY_BATCH and header:
        header = header.table(1)
    elif kind != _RECORD_BATCH:
        return 0
    if header is None or body is None:
        return 0
    if header.table(3) is None:
        return int(body.size)
    raw = memoryview(body)
    total = 0
    for offset, length in header.pairs(2):
        if length > 0:
            size: int = struct.unpack_from("<q", raw, offset)[0]
            # -1: this buffer was left uncompressed.
            total += size if size >= 0 else length
    return total


class _Table:
    """A table of a FlatBuffer at a place."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data = data
        self._place = place
        self._vtable = place - struct.unpack_from("<i", data, place)[0]
        if self._vtable < 0:
            raise IndexError("a table outside the buffer")
        self._size = struct.unpack_from("<H", data, self._vtable)[0]

    def _field(self, index: int) -> int:
        slot = 4 + 2 * index
        if slot + 2 > self._size:
            return 0
        offset: int = struct.unpack_from("<H", self._data, self._vtable + slot)[0]
        return self._place + offset if offset else 0

    def number(self, index: int, form: str) -> int:
        place = self._field(index)
        return int(struct.unpack_from(form, self._data, place)[0]) if place else 0

    def table(self, index: int) -> _Table | None:
        place = self._field(index)
        return _Table(self._data, place + struct.unpack_from("<I", self._data, place)[0]) if place else None

    def pairs(self, index: int) -> list[tuple[int, int]]:
        """A vector of structs of two 64-bit integers."""
        place = self._field(index)
        if not place:
            return []
        place += struct.unpack_from("<I", self._data, place)[0]
        count: int = struct.unpack_from("<I", self._data, place)[0]
        return list(struct.iter_unpack("<qq", self._data[place + 4 : place + 4 + 16 * count]))
