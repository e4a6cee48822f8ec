"""JSON rows: a line each, or the array of a document. Members within objects become columns of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from allthings.readings.files.piece import Piece
from allthings.readings.files.settings import COLUMNS_MAX, DOCUMENT_BYTES_MAX, FLATTENED_MAX
from allthings.readings.files.unpack import Rows, Transcoder
from allthings.readings.payload import JSON_ERRORS, decode_json, json_fault
from allthings.things.errors import BadInputError, LimitExceededError


class _Missing:
    """A member that a row does not have; null is a member."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class JsonRows:
    """Rows as columns; `names` grows as new members are seen."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._places: dict[str, int] = {}
        self._read = 0

    def know(self, names: Iterable[str]) -> None:
        """The members that a sample has shown, in its order."""
        for name in names:
            self._places.setdefault(name, len(self.names))
            if len(self.names) == self._places[name]:
                self.names.append(name)

    def piece(self, rows: Iterable[Any]) -> Piece:
        """Rows that were decoded already; an Exception in place of one is its fault."""
        columns: list[list[Any]] = [[] for _ in self.names]
        numbers: list[int] = []
        faults: list[tuple[int, str]] = []
        for row in rows:
            self._read += 1
            if not isinstance(row, dict):
                reason = str(row) if isinstance(row, Exception) else "no JSON object"
                faults.append((self._read, reason))
                continue
            count = len(numbers)
            for name, value in _members(row, "", 0):
                place = self._places.get(name)
                if place is None:
                    if len(self.names) >= COLUMNS_MAX:
                        raise BadInputError(f"more than {COLUMNS_MAX:,} different members; the last is {name[:64]!r}")
                    place = self._places[name] = len(self.names)
                    self.names.append(name)
                    columns.append([])
                column = columns[place]
                if len(column) < count:
                    column.extend([MISSING] * (count - len(column)))
                if len(column) == count:
                    column.append(value)
                else:  # {"a": {"b": 1}, "a.b": 2}: the last wins, as of equal names in one object
                    column[count] = value
            numbers.append(self._read)
        for column in columns:
            column.extend([MISSING] * (len(numbers) - len(column)))
        return Piece(list(columns), np.array(numbers, np.int64), faults)


class Ndjson:
    """Newline-delimited JSON as it arrives."""

    def __init__(self, mark: int, encoding: str = "utf-8") -> None:
        self._mark = mark
        self._transcoder = Transcoder(encoding)
        self._cutter = Rows(quoted=False)
        self.rows = JsonRows()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Pieces, when enough have come."""
        if self._mark:
            self._mark, data = max(self._mark - len(data), 0), data[self._mark :]
        if whole := self._cutter.feed(self._transcoder.feed(data)):
            yield self.rows.piece(decoded(whole.split(b"\n")))

    def finish(self) -> Iterator[Piece]:
        """The last piece."""
        whole = self._cutter.feed(self._transcoder.feed(b"", True)) + self._cutter.finish()
        if whole.strip():
            yield self.rows.piece(decoded(whole.split(b"\n")))


def document(data: bytes) -> list[Any]:
    """The rows of a JSON document: an array of objects, or an object with one such array, else the object itself.

    Raises BadInputError, LimitExceededError.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        raise LimitExceededError(
            f"a JSON document of {len(data):,} bytes, more than {DOCUMENT_BYTES_MAX:,}: write a line a row (NDJSON)"
        )
    try:
        found = decode_json(data.removeprefix(b"\xef\xbb\xbf"))
    except JSON_ERRORS as error:
        raise BadInputError(f"the document cannot be read: {json_fault(error)}") from None
    if isinstance(found, list):
        return found
    if isinstance(found, dict):
        arrays = [value for value in found.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if len(arrays) == 1:
            return list(arrays[0])
        return _beside(found) or [found]
    raise BadInputError("the document is neither an array of rows nor an object")


def _beside(found: dict[str, Any]) -> list[Any]:
    """Rows of an object whose members are columns: arrays of one length (weather services send such)."""
    for candidate in (found, *(value for value in found.values() if isinstance(value, dict))):
        columns = {name: value for name, value in candidate.items() if isinstance(value, list)}
        if len(columns) > 1 and len({len(column) for column in columns.values()}) == 1:
            return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return []


def decoded(lines: Iterable[bytes | str]) -> Iterator[Any]:
    """Lines as JSON; of one that is none its error."""
    for line in lines:
        if not line.strip():
            continue
        try:
            yield decode_json(line)
        except JSON_ERRORS as error:
            yield ValueError(json_fault(error))


def _members(row: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Names and values. The value of a row that names its property stays whole, and so do arrays."""
    whole = not before and "property" in row and "value" in row
    for name, value in row.items():
        if isinstance(value, dict) and value and depth < FLATTENED_MAX and not (whole and name == "value"):
            # The members of `values` are properties, as in uploads.
            plain = not before and name == "values" and len(row) <= 3
            yield from _members(value, "" if plain else f"{before}{name}.", depth + 1)
        else:
            yield before + name, value
