"""Bytes of a file as they arrive: unpacked, as UTF-8, in pieces of whole rows."""

from __future__ import annotations

import bz2
import codecs
import lzma
import re
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from allthings.readings.files.settings import DOCUMENT_BYTES_MAX, PIECE_BYTES, ROW_BYTES_MAX
from allthings.things.errors import BadInputError, LimitExceededError

_GZIP: Final = b"\x1f\x8b"
_BZIP: Final = b"BZh"
_XZ: Final = b"\xfd7zXZ\x00"
_ZIP: Final = b"PK\x03\x04"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_OLE: Final = b"\xd0\xcf\x11\xe0"
_DAMAGE: Final = (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError)


class Unpacker:
    """Undoes gzip, bzip2 and xz, told by their first bytes; anything else passes as it is."""

    def __init__(self) -> None:
        self._start = b""
        self._decoder: Any = None
        self._plain = False
        self.packed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes bring, in pieces of bounded size. Raises BadInputError."""
        if self._plain:
            yield data
            return
        if self._decoder is None:
            self._start += data
            if len(self._start) < len(_XZ):
                return
            data, self._start = self._start, b""
            self._decoder = _decoder(data)
            if self._decoder is None:
                self._plain = True
                yield data
                return
            self.packed = True
        yield from self._undo(data)

    def _undo(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._decoder.eof:  # several packed files one after the other are one
                    if not data.strip(b"\x00"):
                        return
                    again = _decoder(data)
                    if again is None:
                        raise BadInputError("there is more behind the end of the packed data, and it is not packed")
                    self._decoder = again
                out = self._decoder.decompress(data, PIECE_BYTES)
                yield out
                while not self._decoder.eof and not self._decoder.needs_input:
                    yield self._decoder.decompress(b"", PIECE_BYTES)
                data = self._decoder.unused_data if self._decoder.eof else b""
        except _DAMAGE as error:
            raise BadInputError(f"the packed file is damaged: {error}") from None

    def finish(self) -> bytes:
        """What is left at the end. Raises BadInputError when a packed file is cut off."""
        if self._decoder is not None and not self._decoder.eof:
            raise BadInputError("the packed file is cut off")
        return self._start


class _Zlib:
    """zlib's object with the interface of the others."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._object.decompress(self._object.unconsumed_tail + data, most)
        # A full piece may not be all: more can wait inside.
        self.needs_input = len(out) < most and not self._object.unconsumed_tail
        return out


def _decoder(data: bytes) -> Any:
    """A decoder for bytes that begin like this, None for plain ones. Raises BadInputError."""
    if data.startswith(_GZIP):
        return _Zlib()
    if data.startswith(_BZIP):
        return bz2.BZ2Decompressor()
    if data.startswith(_XZ):
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=128 << 20)
    if data.startswith((_ZIP, _OLE)):
        raise BadInputError("this is a zip archive or a workbook: unpack it, or save its sheet as CSV")
    if data.startswith(_ZSTD):
        raise BadInputError("zstd is not read here: unpack it, or pack it with gzip")
    return None


def unpacked(file: IO[bytes]) -> bytes:
    """The whole of a file, unpacked. Raises BadInputError, LimitExceededError for a document that is too large."""
    unpacker = Unpacker()
    data = bytearray()
    while chunk := file.read(PIECE_BYTES):
        for part in unpacker.feed(chunk):
            data += part
            if len(data) > DOCUMENT_BYTES_MAX:
                raise LimitExceededError(
                    f"a JSON document of more than {DOCUMENT_BYTES_MAX:,} bytes: write a line for each row (NDJSON)"
                )
    return bytes(data + unpacker.finish())


class Transcoder:
    """Text of an encoding as UTF-8 with plain line ends."""

    def __init__(self, encoding: str) -> None:
        self._decoder = None if encoding == "utf-8" else codecs.getincrementaldecoder(encoding)(errors="replace")

    def feed(self, data: bytes, final: bool = False) -> bytes:
        """The bytes as UTF-8."""
        if self._decoder is None:
            return data
        return self._decoder.decode(data, final).encode()


class Rows:
    """Cuts UTF-8 text into pieces of whole rows; a row of CSV may have line ends within quotes."""

    def __init__(self, quoted: bool) -> None:
        self._quoted = quoted
        self._left = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Whole rows, when enough have come."""
        self._left += data
        if len(self._left) < PIECE_BYTES:
            return b""
        return self._take()

    def _take(self) -> bytes:
        end = self._left.rfind(b"\n") + 1
        if self._quoted and self._left.count(b'"', 0, end) % 2:
            # The last quote is open: the row it stands in is not whole. Look for the last line end outside quotes.
            quote = self._left.rfind(b'"', 0, end)
            end = self._left.rfind(b"\n", 0, quote) + 1
        if not end:
            if len(self._left) > ROW_BYTES_MAX:
                raise BadInputError(f"a row of more than {ROW_BYTES_MAX:,} bytes: is a quote not closed?")
            return b""
        piece = bytes(self._left[:end])
        del self._left[:end]
        return piece

    def finish(self) -> bytes:
        """What is left at the end."""
        piece, self._left = bytes(self._left), bytearray()
        return piece


def unix_lines(data: bytes) -> bytes:
    """Line ends of old spreadsheets (a carriage return alone) as those of today."""
    return re.sub(rb"\r(?!\n)", b"\n", data) if b"\r" in data and b"\n" not in data else data
