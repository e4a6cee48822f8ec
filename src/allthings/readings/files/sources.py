"""The pieces of a file of any form, from its bytes as they arrive or from the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, Protocol

from allthings.readings.files.columnar import Columnar
from allthings.readings.files.delimited import Delimited
from allthings.readings.files.dialect import encoding_of
from allthings.readings.files.json_rows import JsonRows, Ndjson, document
from allthings.readings.files.piece import Piece
from allthings.readings.files.plan import Understood
from allthings.readings.files.settings import SAMPLE_BYTES
from allthings.readings.files.understand import form_of
from allthings.readings.files.unpack import Unpacker, unpacked

#: Forms that are read from the beginning, as they arrive; the others need the whole file.
STREAMED: Final = frozenset({"csv", "ndjson"})
_ROWS_AT_ONCE: Final = 10_000


class Head:
    """The beginning of a file, as far as it is needed to understand it. `raw`: the bytes that came."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self._unpacker = Unpacker()
        self._sample = bytearray()
        self._ended = False

    @property
    def packed(self) -> bool:
        return self._unpacker.packed

    @property
    def full(self) -> bool:
        """Whether no more bytes are needed."""
        return len(self._sample) > SAMPLE_BYTES

    def feed(self, data: bytes) -> None:
        """Bytes that follow. Raises BadInputError."""
        self.raw += data
        for part in self._unpacker.feed(data):
            self._sample += part
            if self.full:
                return

    def finish(self) -> None:
        """The file has ended. Raises BadInputError when it is packed and cut off."""
        self._sample += self._unpacker.finish()
        self._ended = True

    @property
    def whole(self) -> bool:
        """Whether the sample is all of the file."""
        return self._ended and not self.full

    def sample(self) -> bytes:
        """The first bytes, unpacked."""
        return bytes(self._sample[:SAMPLE_BYTES])

    def form(self) -> str:
        """The form of the file."""
        return form_of(self.sample(), self.whole)


class _Plain(Protocol):
    def feed(self, data: bytes) -> Iterator[Piece]: ...
    def finish(self) -> Iterator[Piece]: ...


class Stream:
    """A text file as it arrives, packed or not. Raises BadInputError."""

    def __init__(self, understood: Understood) -> None:
        self._understood = understood
        self._unpacker = Unpacker()
        self._inside: _Plain | None = None
        self._rows: JsonRows | None = None

    @property
    def names(self) -> list[str] | None:
        """The members that JSON rows had so far; None for columns that a header names."""
        return None if self._rows is None else self._rows.names

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces that these bytes of the file complete."""
        for text in self._unpacker.feed(data):
            yield from self._open(text).feed(text)

    def finish(self) -> Iterator[Piece]:
        """The last pieces."""
        if text := self._unpacker.finish():
            yield from self._open(text).feed(text)
        if self._inside is not None:
            yield from self._inside.finish()

    def _open(self, start: bytes) -> _Plain:
        if self._inside is None:
            understood = self._understood
            if understood.dialect is None:
                encoding, mark = encoding_of(start)
                inside = Ndjson(mark, encoding)
                inside.rows.know(column.header for column in understood.columns)
                self._rows = inside.rows
                self._inside = inside
            else:
                mark = encoding_of(start, understood.dialect.encoding)[1]
                self._inside = Delimited(understood.dialect, len(understood.columns), mark)
        return self._inside


def open_stream(understood: Understood) -> Stream:
    """The reader of a file that is read as it arrives."""
    return Stream(understood)


def pieces_of(file: IO[bytes], understood: Understood) -> Iterator[tuple[Piece, list[str] | None]]:
    """The pieces of a whole file that is not read as it arrives, each with the names of JSON rows.

    Raises BadInputError, LimitExceededError.
    """
    if understood.form != "json":
        for piece in Columnar(file).pieces():
            yield piece, None
        return
    rows = JsonRows()
    rows.know(column.header for column in understood.columns)
    found = document(unpacked(file))
    for start in range(0, len(found), _ROWS_AT_ONCE):
        yield rows.piece(found[start : start + _ROWS_AT_ONCE]), rows.names
