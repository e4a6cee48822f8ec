"""Answers of the history as one table: CSV, Arrow and Parquet.

The columns are the same whatever is in them, so that pages and files of several answers fit together. A value that
may be of any kind has three in Arrow and Parquet (as SQL names them: `number`, `text`, `kind`), and in CSV `value`
and `kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian.query import Series
from allthings.historian.values import typed_names
from allthings.readings.tokens import number_tokens, value_tokens
from allthings.things.display import FORMULA
from allthings.things.types import Kind

#: Rows that are encoded in one step of a stream.
CHUNK_ROWS: Final = 65_536
#: Kinds of values by their numbers.
KINDS: Final = pa.array([kind.name.lower() for kind in Kind])
_NAME: Final = pa.dictionary(pa.int32(), pa.string())
_KIND: Final = pa.dictionary(pa.int8(), pa.string())
_TIME: Final = pa.timestamp("ns", tz="UTC")
#: Values that may be of any kind.
_VALUES: Final = {typed_names(name): name for name in ("value", "first", "last")}
_UNITS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))
_TEXT: Final = pa.large_string()
#: Cells that have to be quoted (RFC 4180); outer blanks and nothing at all, so that no reader takes them for less.
_QUOTED: Final = r'(?s)^$|^\s|\s$|[",\r\n]'


def rfc3339(times: pa.Array) -> pa.Array:
    """Times (timestamp[ns, UTC]) as RFC 3339 text, all with as many digits of the second as the finest needs."""
    ns = times.view(pa.int64())
    unit = next(unit for unit, size in _UNITS if _all_multiples(ns, size))
    text = pc.cast(pc.cast(times, pa.timestamp(unit)), pa.string())  # 2026-11-22 08:30:00.123
    return pc.binary_join_element_wise(pc.binary_replace_slice(text, 10, 11, "T"), "Z", "")


def _all_multiples(ns: pa.Array, size: int) -> bool:
    if size == 1:
        return True
    rest = pc.subtract(ns, pc.multiply(pc.divide(ns, size), size))
    return not pc.any(pc.not_equal(rest, 0)).as_py()


def one_table(answer: Sequence[Series], names: Sequence[str]) -> pa.Table:
    """All series of a typed answer in one table: thing, property, time, then the columns of the values named."""
    fields = [pa.field("thing", _NAME), pa.field("property", _NAME), pa.field("time", _TIME)]
    fields += [field for name in dict.fromkeys(names) for field in _fields(name, answer)]
    schema = pa.schema(fields)
    tables = []
    for series in answer:
        rows = series.table.num_rows
        arrays = [_repeated(series.thing, rows), _repeated(series.property, rows)]
        for field in fields[2:]:
            column = one_array(series.table, field.name)
            if field.type == _KIND:
                column = pa.DictionaryArray.from_arrays(column.cast(pa.int8()), KINDS)
            arrays.append(column.cast(field.type))
        tables.append(pa.Table.from_arrays(arrays, schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _fields(name: str, answer: Sequence[Series]) -> list[pa.Field]:
    if name in _VALUES.values():
        return list(map(pa.field, typed_names(name), (pa.float64(), pa.string(), _KIND)))
    # Aggregates have the same type in all series.
    return [answer[0].table.schema.field(name).remove_metadata() if answer else pa.field(name, pa.float64())]


def _repeated(name: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int32()).fill_null(0), pa.array([name]))


def arrow_chunks(table: pa.Table) -> Iterator[bytes]:
    """An Arrow IPC stream."""
    table = table.unify_dictionaries()  # one dictionary for the whole stream; readers need no replacements
    sink = _Drain()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS):
            writer.write_batch(batch)
            yield sink.drained()
    yield sink.drained()


def csv_chunks(table: pa.Table, *, header: bool = True, spreadsheet_safe: bool = False) -> Iterator[bytes]:
    """A table of ours as CSV (RFC 4180 but for the line ends, which are LF); times are RFC 3339.

    A text is the text that it is, whatever is beside it; JSON is JSON. `spreadsheet_safe`: a text or name that a
    spreadsheet would take for a formula has an apostrophe before it; such a file is not exact any more.
    """
    names = _cell_names(table)
    if header:
        yield (",".join(names) + "\n").encode()
    for start in range(0, table.num_rows, CHUNK_ROWS):
        part = table.slice(start, CHUNK_ROWS)
        parts: list[Any] = []
        for name in names:
            # Long texts may be more than the 2 GB that the offsets of plain strings reach, hence large ones.
            parts += [pc.cast(_cells(part, name, spreadsheet_safe), _TEXT).fill_null(""), pa.scalar(",", _TEXT)]
        parts[-1] = pa.scalar("\n", _TEXT)
        lines = pc.binary_join_element_wise(*parts, pa.scalar("", _TEXT))
        _, offsets, data = lines.buffers()
        first, last = np.frombuffer(offsets, np.int64)[[lines.offset, lines.offset + len(lines)]].tolist()
        yield bytes(data[first:last])


def _cell_names(table: pa.Table) -> list[str]:
    names: list[str] = []
    for name in table.column_names:
        value = next((value for columns, value in _VALUES.items() if name in columns), name)
        # Of buckets nobody reads kinds again.
        if value not in names:
            names += [value, "kind"] if value == "value" else [value]
    return names


def _cells(table: pa.Table, name: str, spreadsheet_safe: bool) -> pa.Array:
    """One column of CSV; null is an empty cell without quotes."""
    columns = {value: columns for columns, value in _VALUES.items()}.get(name)
    if columns is not None:
        number, text, kind = (one_array(table, each) for each in columns)
        return _value_cells(number, text, kind, spreadsheet_safe)
    column = one_array(table, name)
    if pa.types.is_timestamp(column.type):
        return rfc3339(column)
    if pa.types.is_floating(column.type):
        return number_tokens(column)
    if pa.types.is_integer(column.type):
        return column.cast(pa.string())
    # Names repeat: each is looked at once.
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return _quoted(encoded.dictionary.cast(pa.string()), spreadsheet_safe).take(encoded.indices)


def _value_cells(number: pa.Array, text: pa.Array, kind: pa.Array, spreadsheet_safe: bool) -> pa.Array:
    codes = pc.index_in(kind.cast(pa.string()), KINDS)
    cells = value_tokens(number, text, codes.to_numpy(zero_copy_only=False), quoted=False)
    cells = _changed(cells, pc.equal(codes, int(Kind.STRING)), lambda texts: _quoted(texts, spreadsheet_safe))
    return _changed(cells, pc.equal(codes, int(Kind.JSON)), lambda documents: _quoted(documents, False))


def _quoted(cells: pa.StringArray, spreadsheet_safe: bool) -> pa.StringArray:
    """Texts with quotes where they are needed, and an apostrophe where they would be formulas."""
    if spreadsheet_safe:
        cells = _changed(cells, pc.match_substring_regex(cells, FORMULA), lambda risky: _joined("'", risky))

    def quoted(risky: pa.StringArray) -> pa.StringArray:
        return _joined('"', pc.replace_substring(risky, '"', '""'), '"')

    return _changed(cells, pc.match_substring_regex(cells, _QUOTED), quoted)


def _changed(cells: Any, which: pa.BooleanArray, change: Callable[[Any], Any]) -> Any:
    which = pc.fill_null(which, False)
    if not pc.any(which).as_py():
        return cells
    return pc.replace_with_mask(cells, which, change(cells.filter(which)))


def _joined(*parts: Any) -> Any:
    kind = next(part.type for part in parts if isinstance(part, pa.Array))
    scalars = [pa.scalar(part, kind) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*scalars, pa.scalar("", kind))


def parquet_file(table: pa.Table) -> bytes:
    """A Parquet file."""
    from pyarrow import parquet  # loaded with the first answer that needs it: it is rarely asked for

    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


class _Drain:
    """A file for writers, emptied after each step."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written stays until it is drained."""

    def drained(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def one_array(table: pa.Table, column: int | str) -> pa.Array:
    """A column in one piece."""
    found = table.column(column)
    if found.num_chunks == 1:
        return found.chunk(0)
    combined = found.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)
