"""Delimited text in pieces: bytes into columns of texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from allthings.readings.files.dialect import BLANKS
from allthings.readings.files.piece import Piece
from allthings.readings.files.plan import Dialect
from allthings.readings.files.unpack import Rows, Transcoder, unix_lines
from allthings.things.errors import BadInputError

_MANY_BLANKS: Final = re.compile(rb"[ \t]+")
_EDGES: Final = re.compile(rb"(?m)^ | (?=\r?$)")
_COMMENT: Final = re.compile(rb"(?m)^#[^\n]*\n?")


class Delimited:
    """A delimited text as it arrives. `width`: its columns; `mark`: bytes before the text."""

    def __init__(self, dialect: Dialect, width: int, mark: int) -> None:
        self._dialect = dialect
        self._width = width
        self._mark = mark
        #: Whether a carriage return alone ends lines, as in old spreadsheets; known by the first text.
        self._old_lines: bool | None = None
        self._transcoder = Transcoder(dialect.encoding)
        self._rows = Rows(quoted=True)
        self._lines_left = dialect.skip
        self._read = 0

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Pieces, when enough have come."""
        yield from self._cut(self._text(data, final=False), final=False)

    def finish(self) -> Iterator[Piece]:
        """The last piece."""
        yield from self._cut(self._text(b"", final=True), final=True)

    def _text(self, data: bytes, final: bool) -> bytes:
        if self._mark:
            self._mark, data = max(self._mark - len(data), 0), data[self._mark :]
        text = self._transcoder.feed(data, final)
        if self._old_lines is None and text and not self._dialect.strict:
            self._old_lines = b"\r" in text and b"\n" not in text
        return text.replace(b"\r", b"\n") if self._old_lines else text

    def _cut(self, text: bytes, final: bool) -> Iterator[Piece]:
        whole = self._rows.feed(text)
        if final:
            whole += self._rows.finish()
        while self._lines_left and whole:
            _, _, whole = whole.partition(b"\n")
            self._lines_left -= 1
        if whole.strip():
            piece = parse(whole, self._dialect, self._width, self._read)
            self._read += len(piece.rows) + len(piece.faults)
            yield piece


def parse(data: bytes, dialect: Dialect, width: int, before: int = 0) -> Piece:
    """Whole rows as columns of texts. `before`: rows of the file before the first. Raises BadInputError."""
    faults: list[tuple[int, str]] = []
    blank: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        if row.text.strip(f" \t\r\n{dialect.delimiter}"):
            faults.append((row.number, f"{row.actual_columns} fields, the others have {row.expected_columns}"))
        else:
            blank.append(row.number)
        return "skip"

    try:
        table = _parsed(_prepared(data, dialect), dialect, width, skip)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error).upper().replace("-", ""):
            raise BadInputError(f"the text cannot be read as a table: {error}") from None
        faults.clear()
        blank.clear()
        table = _parsed(_prepared(data.decode("cp1252", "replace").encode(), dialect), dialect, width, skip)
    lost = [number - 1 for number, _ in faults] + [number - 1 for number in blank]
    rows = np.delete(np.arange(table.num_rows + len(lost), dtype=np.int64), lost)
    # Blank lines have no number of their own.
    shift = np.zeros(table.num_rows + len(lost) + 1, np.int64)
    shift[blank] = 1
    numbers = np.cumsum(shift)
    columns = [_one(table.column(place)) for place in range(table.num_columns)]
    told = [(before + number - int(numbers[number]), reason) for number, reason in faults]
    return Piece(columns, before + rows + 1 - numbers[rows], told)


def _parsed(data: bytes, dialect: Dialect, width: int, skip: object) -> pa.Table:
    names = [str(place) for place in range(width)]
    if not data.strip():
        return pa.table({name: pa.array([], pa.string()) for name in names})
    return pyarrow.csv.read_csv(
        pa.py_buffer(data),
        # One thread, so that skipped rows are numbered; one block, since the piece is bounded already.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=max(len(data), 1) + 1),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=skip
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _prepared(data: bytes, dialect: Dialect) -> bytes:
    if dialect.strict:
        return data
    data = unix_lines(data)
    if data.startswith(b"#") or b"\n#" in data:
        data = _COMMENT.sub(b"", data)
    if dialect.delimiter == BLANKS:
        return _EDGES.sub(b"", _MANY_BLANKS.sub(b" ", data))
    if b'"' in data:
        # Blanks between a delimiter and a quote would make the quote a sign like others.
        sign = re.escape(dialect.delimiter.encode())
        data = re.sub(rb"(^|" + sign + rb"|\n)[ ]+\"", rb'\1"', data)
    return data


def _one(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    found = pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
    return pc.fill_null(found, "")
