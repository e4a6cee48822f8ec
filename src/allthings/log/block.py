"""Blocks: what the log holds. Each is one Arrow IPC stream with one record batch.

Two kinds, told by the schema's metadata:

- *messages*: raw messages as a gateway received them, nothing interpreted;
- *readings*: readings that arrived as columns already (bulk uploads).

A row's *position* is its place in the log: the block's sequence in the stream, then the row in the block. It orders
all rows of the platform, and it is what makes a replay idempotent.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

#: A block has at most this many rows, so that sequence and row fit one 64-bit position.
ROWS_MAX: Final = 1 << 20

#: Bits of a message's `flags`.
FLAG_QOS: Final = 0b0000_0011
FLAG_RETAIN: Final = 0b0000_0100
FLAG_DUP: Final = 0b0000_1000
#: The message did not come from a device but was appended again from the list of rejects.
FLAG_REPLAYED: Final = 0b0001_0000

_TIME = pa.timestamp("ns", tz="UTC")
_NAMES = pa.dictionary(pa.int32(), pa.string())

#: `properties` are the MQTT 5 properties of the PUBLISH as they stood on the wire (without their length), null if none.
MESSAGES: Final = pa.schema(
    [
        pa.field("received", _TIME, nullable=False),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
        pa.field("client", _NAMES, nullable=False),
        pa.field("flags", pa.uint8(), nullable=False),
        pa.field("properties", pa.binary()),
    ],
    metadata={"allthings": "messages/1"},
)

#: `number` holds numbers and booleans (0, 1), `text` strings, JSON, and integers that a float cannot hold exactly.
READINGS: Final = pa.schema(
    [
        pa.field("thing", _NAMES, nullable=False),
        pa.field("property", _NAMES, nullable=False),
        pa.field("time", _TIME, nullable=False),
        pa.field("number", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("received", _TIME, nullable=False),
    ],
    metadata={"allthings": "readings/1"},
)

_CHANGES: Final = b"sessions"
_KIND: Final = b"allthings"
_KINDS: Final = frozenset({schema.metadata[_KIND] for schema in (MESSAGES, READINGS)})

# Arrow's thread pool costs ten times what it saves on blocks of a few kilobytes.
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READ_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)


def encode(batch: pa.RecordBatch) -> bytes:
    """A record batch of MESSAGES or READINGS as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_WRITE_OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


#: A block with no rows. The log may have one as nothing at all: who only tried it left it there (log.probe).
EMPTY: Final = encode(pa.RecordBatch.from_pylist([], schema=MESSAGES))


def with_changes(batch: pa.RecordBatch, changes: bytes) -> pa.RecordBatch:
    """The same rows, and beside them what changed in the gateway's sessions (allthings.gateway.changes) together with
    them: rows and changes are stored or lost as one. No other consumer looks at them.
    """
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), _CHANGES: changes})


def changes(batch: pa.RecordBatch) -> bytes:
    """What `with_changes` put beside the rows; empty if nothing."""
    return bytes((batch.schema.metadata or {}).get(_CHANGES, b""))


def decode(data: bytes) -> pa.RecordBatch:
    """The record batch of a block.

    Raises pyarrow.ArrowInvalid when the bytes are damaged, or a newer version wrote a kind of block that is not known.
    """
    try:
        with pa.ipc.open_stream(data, options=_READ_OPTIONS) as reader:
            kind = (reader.schema.metadata or {}).get(_KIND)
            if kind is not None and kind not in _KINDS:
                raise pa.ArrowInvalid(f"it is of the kind {kind!r}, which this version of allthings does not know")
            return reader.read_next_batch()
    except (OSError, StopIteration) as error:
        # Arrow has several ways to say it.
        raise pa.ArrowInvalid(str(error)) from error


def is_readings(batch: pa.RecordBatch) -> bool:
    """Whether a block holds readings (bulk upload) rather than raw messages."""
    return bool(batch.schema.names[0] == "thing")


def position(sequence: int, row: int) -> int:
    """The position of a row: an unsigned 64-bit number that grows along the log."""
    return sequence * ROWS_MAX + row


def sequence(position: int) -> int:
    """The block's sequence within a position."""
    return position // ROWS_MAX
