"""Answers of the history as JSON, CSV, Arrow and Parquet, built from columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian.query import Series

#: How a column of JSON text is marked.
_JSON: Final = (b"allthings", b"json")
#: Rows that are encoded in one step of a stream.
CHUNK_ROWS: Final = 65_536
_TEXT: Final = pa.large_string()
_END: Final = pa.scalar("],", _TEXT)
_UNITS: Final = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))


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


def json_tokens(column: pa.Array, field: pa.Field) -> pa.Array:
    """Each value of a column as JSON text, null as `null`."""
    kind = field.type
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        tokens = pc.cast(finite, pa.string())
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        tokens = pc.cast(column, pa.string())
    elif (field.metadata or {}).get(_JSON[0]) == _JSON[1]:
        tokens = column
    else:
        # Texts repeat: escape each once.
        encoded = column.dictionary_encode()
        escaped = pa.array([orjson.dumps(text).decode() for text in encoded.dictionary.to_pylist()], pa.string())
        tokens = escaped.take(encoded.indices)
    return tokens.fill_null("null")


def json_points(table: pa.Table) -> pa.LargeStringArray:
    """`["2026-11-22T08:30:00Z",21.5],`: a point per row, the time first, with a comma behind each (for `_text`)."""
    parts: list[Any] = ['["', rfc3339(_array(table, 0)), '"']
    for index in range(1, table.num_columns):
        parts += [",", json_tokens(_array(table, index), table.schema.field(index))]
    # Long texts may be more than the 2 GB that the offsets of plain strings reach, hence large ones.
    large = [pa.scalar(part, _TEXT) if isinstance(part, str) else pc.cast(part, _TEXT) for part in parts]
    return pc.binary_join_element_wise(*large, _END, pa.scalar("", _TEXT))


def _text(points: pa.LargeStringArray, start: int, end: int) -> bytes:
    """Some points, without brackets around all. They lie in one buffer, one behind the other."""
    _, offsets, data = points.buffers()
    first, last = np.frombuffer(offsets, np.int64)[[start, end]].tolist()
    return bytes(data[first : last - 1]) if end > start else b""


def json_answer(answer: Sequence[Series], units: Mapping[tuple[str, str], str]) -> Iterator[bytes]:
    """`{"series": […], "next"}`, in pieces."""
    separator, at = b'{"series":[', 0
    together = _points_together(answer)
    for series in answer:
        head = {
            "thing": series.thing,
            "property": series.property,
            "unit": units.get((series.thing, series.property), ""),
            "columns": series.table.column_names,
        }
        yield separator + orjson.dumps(head)[:-1] + b',"points":['
        rows = series.table.num_rows
        if together is not None:
            yield _text(together, at, at + rows)
            at += rows
        else:
            for start in range(0, rows, CHUNK_ROWS):
                some = series.table.slice(start, CHUNK_ROWS)
                yield (b"," if start else b"") + _text(json_points(some), 0, some.num_rows)
        yield b"]}"
        separator = b","
    following = answer[0].next if answer else None
    yield (b'{"series":[' if not answer else b"") + b'],"next":' + orjson.dumps(following) + b"}"


def _points_together(answer: Sequence[Series]) -> pa.LargeStringArray | None:
    """The points of all series, when these are alike and not long: one call for a column instead of one for each."""
    filled = [series.table for series in answer if series.table.num_rows]
    if not filled or sum(table.num_rows for table in filled) > CHUNK_ROWS:
        return None
    if not all(table.schema.equals(filled[0].schema, check_metadata=True) for table in filled):
        return None
    return json_points(pa.concat_tables(filled).combine_chunks())


def one_table(answer: Sequence[Series], columns: Sequence[str]) -> pa.Table:
    """All series in one table: thing, property, time, then the values.

    A column that has different types in different series becomes text, of JSON where it is not text everywhere.
    """
    types = {name: _common_type(answer, name) for name in columns}
    fields = [pa.field("thing", _NAME), pa.field("property", _NAME), pa.field("time", pa.timestamp("ns", tz="UTC"))]
    schema = pa.schema([*fields, *types.values()])
    tables = []
    for series in answer:
        rows = series.table.num_rows
        arrays = [_repeated(series.thing, rows), _repeated(series.property, rows), _array(series.table, 0)]
        for name, field in types.items():
            column, own = _column(series.table, name), series.table.schema.field(name)
            arrays.append(
                column if own.type == field.type and own.metadata == field.metadata else _as_json(column, own)
            )
        tables.append(pa.Table.from_arrays(arrays, schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


_NAME: Final = pa.dictionary(pa.int32(), pa.string())


def _repeated(name: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.nulls(rows, pa.int32()).fill_null(0), pa.array([name]))


def _common_type(answer: Sequence[Series], name: str) -> pa.Field:
    found = [one.table.schema.field(name) for one in answer if one.table.num_rows]
    if not found:
        return pa.field(name, pa.float64())
    first = found[0]
    if all(one.type == first.type and one.metadata == first.metadata for one in found):
        return first
    return pa.field(name, pa.string(), metadata=dict([_JSON]))


def _as_json(column: pa.Array, field: pa.Field) -> pa.Array:
    return pc.if_else(pc.is_valid(column), json_tokens(column, field), pa.scalar(None, pa.string()))


def arrow_chunks(table: pa.Table) -> Iterator[bytes]:
    """An Arrow IPC stream."""
    table = table.unify_dictionaries()  # one dictionary for the whole stream; readers need no replacements
    sink = _Drain()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.combine_chunks().to_batches(max_chunksize=CHUNK_ROWS):
            writer.write_batch(batch)
            yield sink.drained()
    yield sink.drained()


def csv_chunks(table: pa.Table) -> Iterator[bytes]:
    """CSV with a header line (RFC 4180); times are RFC 3339."""
    from pyarrow import csv  # loaded with the first answer that needs it: it is rarely asked for

    header = True
    for start in range(0, max(1, table.num_rows), CHUNK_ROWS):
        part = table.slice(start, CHUNK_ROWS).combine_chunks()
        at = part.schema.get_field_index("time")
        if part.num_rows:
            times = rfc3339(_array(part, at))
        else:
            times = pa.array([], pa.string())
        part = part.set_column(at, "time", times)
        for index in (0, 1):
            part = part.set_column(index, part.column_names[index], part.column(index).cast(pa.string()))
        sink = pa.BufferOutputStream()
        csv.write_csv(part, sink, csv.WriteOptions(include_header=header, quoting_style="needed"))
        header = False
        yield sink.getvalue().to_pybytes()


def parquet_file(table: pa.Table) -> bytes:
    """A Parquet file."""
    from pyarrow import parquet  # as above

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


def _column(table: pa.Table, name: str) -> pa.Array:
    return _array(table, table.schema.get_field_index(name))


def _array(table: pa.Table, index: int) -> pa.Array:
    column = table.column(index)
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else combined.chunk(0)
