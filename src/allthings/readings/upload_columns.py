"""Uploads in CSV, Arrow and Parquet: whole columns at once.

The rules for names, times and values are those of messages; only values that do not obviously fit are looked at one
by one.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from allthings.readings.arrow_bounds import stream_of, uncompressed_bytes
from allthings.readings.files.names import time_among
from allthings.readings.judging import Rows, Types, judged
from allthings.readings.model import Model
from allthings.readings.settings import UPLOAD_RAW_BYTES_MAX
from allthings.readings.topics import bad_name, bad_thing
from allthings.readings.upload_result import Errors, Upload
from allthings.readings.upload_rows import KNOWN, check_rows, no_time
from allthings.readings.upload_times import times_of
from allthings.readings.upload_values import Kinds, Mask, Values, from_column, from_pair, from_texts, kinds_of
from allthings.things.errors import BadInputError, LimitExceededError
from allthings.things.names import valid_property_name, valid_thing_name

#: Row errors of a CSV file that has lines of another length are numbered from the header on.
_HEADER_LINES: Final = 1
_DAMAGE: Final = (pa.ArrowException, ValueError, OSError, StopIteration, MemoryError, KeyError, TypeError)


def parse_csv(data: bytes, received_ns: int, model: Model) -> Upload:
    """A header with thing, property, value and perhaps time in any order; other columns are passed over.

    With a column `kind`, as our exports have it, a text stays a text that looks like a number.

    Lines with more or fewer fields than the header are refused, the others are taken.
    """
    # A field may hold line breaks, so this is no count of rows, but it bounds them before memory is used.
    check_rows(data.count(b"\n") // 4, "rows")
    errors = Errors()
    skipped: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        skipped.append(row.number - _HEADER_LINES - 1)
        errors.add(skipped[-1] + 1, f"{row.actual_columns} fields, the header has {row.expected_columns}")
        return "skip"

    text = pa.py_buffer(data)
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(struct.pack("=ii", 0, len(data))), text]).validate(
            full=True
        )
    except pa.ArrowInvalid:
        raise BadInputError("the CSV is not UTF-8") from None
    try:
        table = pyarrow.csv.read_csv(
            text,
            # One thread, so that skipped lines are numbered.
            read_options=pyarrow.csv.ReadOptions(use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(_header(data), pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise BadInputError(f"the CSV cannot be read: {error}") from None
    check_rows(table.num_rows, "rows")
    rows = np.delete(np.arange(table.num_rows + len(skipped)), skipped) + 1
    sheet = _Sheet(named(table), ("thing", "property", "value"), rows, errors)
    return sheet.upload(lambda as_text, said: from_texts(sheet.column("value"), as_text, said), received_ns, model)


def _header(data: bytes) -> list[str]:
    """The names of a CSV file's columns."""
    line = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode()
    return next(csv.reader([line]), [])


def parse_arrow(data: bytes, received_ns: int, model: Model) -> Upload:
    """An IPC stream or file with thing, property, perhaps time, and value, or number, text and perhaps kind.

    Raises LimitExceededError for one that would be too large once decompressed.
    """
    try:
        stream = stream_of(data)
        _check_size(uncompressed_bytes(stream))
        with pa.ipc.open_stream(stream) as reader:
            table = reader.read_all()
        check_rows(table.num_rows, "rows")
        table.validate(full=True)
    except _DAMAGE as error:
        raise BadInputError(f"the Arrow stream cannot be read: {error}") from None
    return _from_table(table, "the Arrow stream", received_ns, model)


def parse_parquet(data: bytes, received_ns: int, model: Model) -> Upload:
    """A Parquet file with the columns of `parse_arrow`. Raises LimitExceededError as that does."""
    try:
        file = pyarrow.parquet.ParquetFile(pa.BufferReader(data))
        groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
        _check_size(sum(group.total_byte_size for group in groups))
        check_rows(file.metadata.num_rows, "rows")
        table = file.read()
    except _DAMAGE as error:
        raise BadInputError(f"the Parquet file cannot be read: {error}") from None
    return _from_table(table, "the Parquet file", received_ns, model)


def _check_size(size: int) -> None:
    if size > UPLOAD_RAW_BYTES_MAX:
        raise LimitExceededError(
            f"{size:,} bytes once decompressed, more than {UPLOAD_RAW_BYTES_MAX:,}: send it in several"
        )


def _from_table(table: pa.Table, what: str, received_ns: int, model: Model) -> Upload:
    table = named(table)
    names = table.schema.names
    paired = "value" not in names and "number" in names
    needed = ("thing", "property", "number" if paired else "value")
    sheet = _Sheet(table, needed, np.arange(table.num_rows) + 1, Errors())

    def values(as_text: Mask | None, said: Kinds | None) -> Values:
        if not paired:
            return from_column(sheet.column("value"))
        text = sheet.column("text") if "text" in names else pa.nulls(table.num_rows, pa.string())
        return from_pair(sheet.column("number"), text, said)

    try:
        return sheet.upload(values, received_ns, model)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadInputError(f"a column of {what} cannot be read: {error}") from None


def named(table: pa.Table) -> pa.Table:
    """The table with its columns under the names used here: without regard to capitals and blanks around them, and
    the times as `time`, whatever usual name they have. Raises BadInputError for a table whose times cannot be told."""
    given = list(table.schema.names)
    small = [name.strip().lower() for name in given]
    names = [low if low in KNOWN and small.count(low) == 1 else name for name, low in zip(given, small, strict=True)]
    if "time" not in names:
        others = [name for name in names if name not in KNOWN]
        chosen = time_among(others)
        if chosen is not None:
            names[names.index(chosen)] = "time"
        elif others:
            raise BadInputError(no_time(given))
    return table.rename_columns(names)


class _Sheet:
    """A table on its way to readings. `rows`: per row its number for people."""

    def __init__(self, table: pa.Table, needed: Iterable[str], rows: Any, errors: Errors) -> None:
        names = table.schema.names
        for name in (*needed, *(("time",) if "time" in names else ())):
            if names.count(name) != 1:
                fault = "is missing" if name not in names else "is there more than once"
                raise BadInputError(f"the column {name!r} {fault}; the columns are {', '.join(names)[:200]}")
        self._table = table
        self._rows = rows
        self._errors = errors
        self._keep = np.ones(table.num_rows, np.bool_)

    def column(self, name: str) -> pa.Array:
        """A column in one piece."""
        found = self._table.column(name).combine_chunks()
        # combine_chunks gives a chunked array where one piece could not hold it.
        return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found

    def upload(
        self, values_of: Callable[[Mask | None, Kinds | None], Values], received_ns: int, model: Model
    ) -> Upload:
        """The readings.

        `values_of` is given the rows whose property is declared a string (None: none is), and the kinds that the sheet
        says its values have (None: it says none).
        """
        count = self._table.num_rows
        things = self._names("thing", valid_thing_name, bad_thing)
        properties = self._names("property", valid_property_name, bad_name)
        times, faults = times_of(
            self.column("time") if "time" in self._table.schema.names else None, count, received_ns
        )
        self._refuse_all(faults)
        types = Types(things, properties, model)
        said = kinds_of(self.column("kind")) if self._table.schema.names.count("kind") == 1 else None
        values = values_of(types.as_text(), said)
        self._refuse_all(values.faults)
        rows = Rows(self._rows, self._errors)
        return self._errors.upload(
            judged(things, properties, times, values, rows, received_ns, model, types, self._keep)
        )

    def _names(self, name: str, valid: Callable[[object], bool], reason: Callable[[object], str]) -> pa.DictionaryArray:
        column = self.column(name)
        try:
            encoded = column.cast(pa.string()).dictionary_encode()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise BadInputError(f"the column {name!r} holds no texts but {column.type}") from None
        names = encoded.dictionary.to_pylist()
        bad = np.array([not valid(one) for one in names] + [True], np.bool_)
        indices = pc.fill_null(encoded.indices, len(names)).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(bad[indices]).tolist():
            place = indices[row]
            self._refuse(row, reason(names[place] if place < len(names) else None))
        if encoded.null_count:
            # A row that is refused needs some name until it is dropped.
            return pa.DictionaryArray.from_arrays(
                pa.array(indices.astype(np.int32)), pa.concat_arrays([encoded.dictionary, pa.array([""])])
            )
        return encoded

    def _refuse_all(self, faults: list[tuple[int, str]]) -> None:
        for row, reason in faults:
            self._refuse(row, reason)

    def _refuse(self, row: int, reason: str) -> None:
        """Refuse a row (from 0); only its first fault is told."""
        if self._keep[row]:
            self._keep[row] = False
            self._errors.add(int(self._rows[row]), reason)
