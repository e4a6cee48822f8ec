"""The first and the last bytes of a file, by which the platform understands it."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from allthings.cli.errors import InputFileError

#: A little more than what is looked at, so that the last line may be cut off.
_HEAD_BYTES: Final = (2 << 20) + 64 * 1024
_TAIL_BYTES: Final = 128 * 1024
#: Of a packed file the end is only reached through all of it.
_PACKED_BYTES_MAX: Final = 64 << 20
_DOCUMENT_BYTES_MAX: Final = 60 << 20
_SAMPLE_ROWS: Final = 20_000
_PACKED: Final[dict[bytes, Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_COLUMNAR: Final = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")


class Ends(NamedTuple):
    """Bytes as the preview takes them. `whole`: `head` is all."""

    head: bytes
    tail: bytes
    whole: bool


def ends_of(file: Path) -> Ends:
    """The ends of a file, unpacked. Raises InputFileError."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            stream.seek(0)
            if start.startswith(_COLUMNAR):
                return Ends(_columnar(stream, start), b"", True)
            opener = next((opened for magic, opened in _PACKED.items() if start.startswith(magic)), None)
            if opener is None:
                return _plain(stream, file.stat().st_size)
            with opener(stream, "rb") as inside:
                return _packed(inside, file.stat().st_size)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputFileError(f"{file} cannot be read: {error}") from error


def _plain(stream: IO[bytes], size: int) -> Ends:
    head = stream.read(_HEAD_BYTES)
    if head.lstrip()[:1] in (b"[", b"{") and len(head) < size <= _DOCUMENT_BYTES_MAX and _is_document(head):
        return Ends(head + stream.read(), b"", True)
    if len(head) == size:
        return Ends(head, b"", True)
    stream.seek(max(len(head), size - _TAIL_BYTES))
    return Ends(head, stream.read(), False)


def _packed(stream: Any, size: int) -> Ends:
    head = stream.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return Ends(head, b"", True)
    if size > _PACKED_BYTES_MAX:
        return Ends(head, b"", False)
    if head.lstrip()[:1] in (b"[", b"{") and _is_document(head):
        return Ends(head + stream.read(_DOCUMENT_BYTES_MAX), b"", True)
    last = b""
    while chunk := stream.read(1 << 20):
        last = (last + chunk)[-_TAIL_BYTES:]
    return Ends(head, last, not last)


def _is_document(head: bytes) -> bool:
    """Whether the text is one JSON document rather than a line for each row."""
    import orjson

    first = head.lstrip().partition(b"\n")[0]
    try:
        return not isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return True


def _columnar(stream: IO[bytes], start: bytes) -> bytes:
    """The first rows of a columnar file, as an Arrow stream."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        if start.startswith(b"PAR1"):
            batches: Any = pyarrow.parquet.ParquetFile(stream).iter_batches(_SAMPLE_ROWS)
        elif start.startswith(b"ARROW1"):
            reader = pa.ipc.open_file(stream)
            batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(stream))
        first = next(iter(batches), None)
    except (pa.ArrowException, ValueError) as error:
        raise OSError(str(error)) from error
    if first is None:
        raise OSError("it has no rows")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, first.schema) as writer:
        writer.write_batch(first.slice(0, _SAMPLE_ROWS))
    body: bytes = sink.getvalue().to_pybytes()
    return body
