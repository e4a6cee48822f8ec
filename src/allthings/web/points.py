"""Answers of the history as JSON, built from columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian.query import Series
from allthings.historian.values import JSON_METADATA
from allthings.readings.tokens import number_tokens, text_tokens
from allthings.web import tables
from allthings.web.tables import one_array, rfc3339
from allthings.web.values import dumps

_TEXT: Final = pa.large_string()
_END: Final = pa.scalar("],", _TEXT)


def json_tokens(column: pa.Array, field: pa.Field) -> pa.Array:
    """Each value of a column as JSON text, null as `null`."""
    kind = field.type
    if pa.types.is_floating(kind):
        tokens = number_tokens(column)
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        tokens = pc.cast(column, pa.string())
    elif field.metadata == JSON_METADATA:
        tokens = column
    else:
        tokens = text_tokens(column)
    return tokens.fill_null("null")


def json_points(table: pa.Table) -> pa.LargeStringArray:
    """`["2026-11-22T08:30:00Z",21.5],`: a point per row, the time first, with a comma behind each (for `_text`)."""
    parts: list[Any] = ['["', rfc3339(one_array(table, 0)), '"']
    for index in range(1, table.num_columns):
        parts += [",", json_tokens(one_array(table, index), table.schema.field(index))]
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
        yield separator + dumps(head)[:-1] + b',"points":['
        rows = series.table.num_rows
        if together is not None:
            yield _text(together, at, at + rows)
            at += rows
        else:
            for start in range(0, rows, tables.CHUNK_ROWS):
                some = series.table.slice(start, tables.CHUNK_ROWS)
                yield (b"," if start else b"") + _text(json_points(some), 0, some.num_rows)
        yield b"]}"
        separator = b","
    following = answer[0].next if answer else None
    yield (b'{"series":[' if not answer else b"") + b'],"next":' + dumps(following) + b"}"


def _points_together(answer: Sequence[Series]) -> pa.LargeStringArray | None:
    """The points of all series, when these are alike and not long: one call for a column instead of one for each."""
    filled = [series.table for series in answer if series.table.num_rows]
    if not filled or sum(table.num_rows for table in filled) > tables.CHUNK_ROWS:
        return None
    if not all(table.schema.equals(filled[0].schema, check_metadata=True) for table in filled):
        return None
    return json_points(pa.concat_tables(filled).combine_chunks())
