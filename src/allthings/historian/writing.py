"""What blocks say becomes rows on disk."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from allthings.historian.engine import Engine
from allthings.readings.decoded import Decoded, Reject

_TIME = pa.timestamp("ns", tz="UTC")
_REJECTS = pa.schema(
    [
        ("position", pa.uint64()),
        ("received", _TIME),
        ("client", pa.string()),
        ("topic", pa.string()),
        ("reason", pa.string()),
        ("payload", pa.binary()),
        ("resolved", pa.uint8()),
        ("version", pa.uint64()),
    ]
)
_EVENTS = pa.schema(
    [
        ("thing", pa.string()),
        ("name", pa.string()),
        ("time", _TIME),
        ("position", pa.uint64()),
        ("received", _TIME),
        ("data", pa.string()),
    ]
)


def write(engine: Engine, decoded: Sequence[Decoded]) -> None:
    """Write readings, events and rejects; all are on disk when this returns.

    Writing the same again changes nothing: each row is keyed by what it is about and versioned by its position.
    """
    batches = [each.readings for each in decoded if each.readings.num_rows]
    rejects, events = _reject_rows(decoded), _event_rows(decoded)
    with engine.inserting:
        if batches:
            # One dictionary for all chunks: the Arrow file format cannot replace one.
            engine.ingest.insert("readings", pa.Table.from_batches(batches).unify_dictionaries().combine_chunks())
        if events:
            engine.ingest.insert("events", pa.Table.from_pylist(events, _EVENTS))
        if rejects:
            engine.ingest.insert("rejects", pa.Table.from_pylist(rejects, _REJECTS))


def _event_rows(decoded: Sequence[Decoded]) -> list[dict[str, object]]:
    return [
        {
            "thing": event.thing,
            "name": event.name,
            "time": event.time_ns,
            "position": event.position,
            "received": event.received_ns,
            "data": event.data,
        }
        for each in decoded
        for event in each.events
    ]


def _reject_rows(decoded: Sequence[Decoded]) -> list[dict[str, object]]:
    """Rejects, and marks over those that were resolved. The later block has the last word on a reject."""
    rows: list[dict[str, object]] = []
    for each in decoded:
        rows += [_reject_row(Reject(position, 0, "", "", "", b""), each.sequence, 1) for position in each.replayed]
        rows += [_reject_row(reject, each.sequence, 0) for reject in each.rejects]
    return rows


def _reject_row(reject: Reject, version: int, resolved: int) -> dict[str, object]:
    return {
        "position": reject.position,
        "received": reject.received_ns,
        "client": reject.client,
        "topic": reject.topic,
        "reason": reject.reason,
        "payload": reject.payload,
        "resolved": resolved,
        "version": version,
    }
