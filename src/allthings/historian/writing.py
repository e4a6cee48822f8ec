"""What blocks say becomes rows on disk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from allthings.historian.engine import Engine
from allthings.historian.newest import FROM_DEVICE, FROM_UPLOAD
from allthings.readings.decoded import Decoded, Reject
from allthings.readings.deletions import Deletions

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


def write(engine: Engine, decoded: Sequence[Decoded], deletions: Deletions) -> None:
    """Write readings, events and rejects, but none that was deleted; all are on disk when this returns.

    Writing the same again changes nothing: each row is keyed by what it is about and versioned by its position.
    """
    with engine.inserting:
        # Not before: a deletion begins while nothing is inserted.
        decoded = [deletions.left(each) for each in decoded]
        readings, rejects, events = _reading_rows(decoded), _reject_rows(decoded), _event_rows(decoded)
        if readings is not None:
            engine.ingest.insert("readings", readings)
        if events:
            engine.ingest.insert("events", pa.Table.from_pylist(events, _EVENTS))
        if rejects:
            engine.ingest.insert("rejects", pa.Table.from_pylist(rejects, _REJECTS))


def _reading_rows(decoded: Sequence[Decoded]) -> pa.Table | None:
    with_rows = [each for each in decoded if each.readings.num_rows]
    if not with_rows:
        return None
    # One dictionary for all chunks: the Arrow file format cannot replace one.
    table = pa.Table.from_batches([each.readings for each in with_rows]).unify_dictionaries().combine_chunks()
    origins = np.repeat(
        np.array([FROM_DEVICE if each.messages else FROM_UPLOAD for each in with_rows], np.uint8),
        [each.readings.num_rows for each in with_rows],
    )
    return table.append_column("origin", pa.array(origins))


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
