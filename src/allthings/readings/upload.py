"""Bulk uploads: NDJSON, JSON, CSV, Arrow and Parquet into readings.

Long form in all formats: `thing`, `property`, `time`, `value`. In JSON and NDJSON one object may also bring several
values of a thing: `{"thing": …, "time": …, "values": {property: value, …}}`, or as devices send them,
`{"thing": …, "@time": …, property: value, …}`. Arrow and Parquet may have `number` and `text` in place of `value`; CSV
and they `kind` besides, as our own exports have it. Names may have capitals, and the time any usual name (`timestamp`,
`ts`, `@time`, …; see `files.words.TIMES`). A row without a time of which some other member or column is not known is
refused: it may be the time.

A reading without a time gets the receive time, each row a nanosecond later than the one before. What cannot be used
is refused row by row, with the row's number (from 1: the data row in CSV and Arrow, the line in NDJSON, the element
in JSON) and the reason; the other rows are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from allthings.log import block
from allthings.readings.model import Model
from allthings.readings.settings import UPLOAD_BLOCK_BYTES_MAX, UPLOAD_BYTES_MAX
from allthings.readings.upload_columns import parse_arrow, parse_csv, parse_parquet
from allthings.readings.upload_result import RowError, Upload
from allthings.readings.upload_rows import parse_json, parse_ndjson
from allthings.things.errors import BadInputError, LimitExceededError

__all__ = ["MEDIA_TYPES", "RowError", "Upload", "parse_upload", "split"]

_PARSERS: Final = {
    "application/json": parse_json,
    "application/x-ndjson": parse_ndjson,
    "application/ndjson": parse_ndjson,
    "application/jsonl": parse_ndjson,
    "text/csv": parse_csv,
    "application/vnd.apache.arrow.stream": parse_arrow,
    "application/vnd.apache.arrow.file": parse_arrow,
    "application/vnd.apache.parquet": parse_parquet,
}
MEDIA_TYPES: Final = tuple(_PARSERS)


def parse_upload(data: bytes, media_type: str, received_ns: int, model: Model) -> Upload:
    """Readings and refused rows of an upload.

    Raises BadInputError when the whole cannot be read, LimitExceededError when it is too large. Takes seconds for the
    largest uploads: call it in a thread.
    """
    parser = _PARSERS.get(media_type.partition(";")[0].strip().lower())
    if parser is None:
        raise BadInputError(f"{media_type[:100]!r} is no format for uploads; use one of {', '.join(MEDIA_TYPES)}")
    if len(data) > UPLOAD_BYTES_MAX:
        raise LimitExceededError(
            f"{len(data):,} bytes in one upload, more than {UPLOAD_BYTES_MAX:,}: send it in several"
        )
    return parser(data, received_ns, model)


def split(readings: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The readings as one batch or several, so that each makes a block of the log of bounded size, in order."""
    if not readings.num_rows:
        return
    compact = _compact(readings)
    # What compression saves is not counted on.
    if compact.num_rows == 1 or (compact.nbytes < UPLOAD_BLOCK_BYTES_MAX and compact.num_rows <= block.ROWS_MAX):
        yield compact
        return
    half = readings.num_rows // 2
    yield from split(readings.slice(0, half))
    yield from split(readings.slice(half))


def _compact(readings: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with only the names that it uses."""
    columns = []
    for column in readings.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > len(column):
            column = column.dictionary_decode().dictionary_encode()
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=readings.schema)
