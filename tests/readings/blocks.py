"""Blocks for tests, and readings as plain tuples."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.decode import decode
from allthings.readings.decoded import Decoded
from allthings.readings.model import Model
from allthings.readings.values import python_value

#: The topic of the objects of thing a.
OBJECT = "things/a/properties"
NOW_NS = 1_790_000_000_123_456_789


class Message(NamedTuple):
    """One row of a block of messages."""

    topic: str
    payload: bytes
    received_ns: int = NOW_NS
    client: str = "c1"
    flags: int = 0
    properties: bytes | None = None


class Row(NamedTuple):
    """One reading, its value as Python has it."""

    thing: str
    property: str
    time_ns: int
    value: Any
    kind: int
    received_ns: int
    position: int


def entry_of(messages: list[Message], sequence: int = 7) -> Entry:
    columns = list(zip(*messages, strict=True)) if messages else [()] * 6
    topic, payload, received, client, flags, properties = (list(column) for column in columns)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(received, pa.timestamp("ns", tz="UTC")),
            pa.array(topic, pa.string()),
            pa.array(payload, pa.binary()),
            pa.array(client, pa.string()).dictionary_encode(),
            pa.array(flags, pa.uint8()),
            pa.array(properties, pa.binary()),
        ],
        schema=block.MESSAGES,
    )
    return Entry(sequence, block.encode(batch), NOW_NS)


def decode_messages(*messages: Message, model: Model | None = None, sequence: int = 7) -> Decoded:
    return decode(entry_of(list(messages), sequence), model or Model())


def rows_of(decoded: Decoded) -> list[Row]:
    batch = decoded.readings
    column = {name: batch.column(name) for name in batch.schema.names}
    times = column["time"].cast(pa.int64()).to_pylist()
    received = column["received"].cast(pa.int64()).to_pylist()
    return [
        Row(thing, property_, time_ns, python_value(number, text, kind), kind, received_ns, position)
        for thing, property_, time_ns, number, text, kind, received_ns, position in zip(
            column["thing"].to_pylist(),
            column["property"].to_pylist(),
            times,
            column["number"].to_pylist(),
            column["text"].to_pylist(),
            column["kind"].to_pylist(),
            received,
            column["position"].to_pylist(),
            strict=True,
        )
    ]


def values_of(decoded: Decoded) -> dict[str, Any]:
    """Property to value, for blocks of one thing with one value each."""
    return {row.property: row.value for row in rows_of(decoded)}


def only_reason(*messages: Message, model: Model | None = None) -> str:
    decoded = decode_messages(*messages, model=model)
    assert len(decoded.rejects) == 1
    return decoded.rejects[0].reason
