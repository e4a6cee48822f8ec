"""Blocks that are read from the log: those of others, and our own after a crash."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from allthings.gateway.changes import Change, Given, decode
from allthings.gateway.division import Division
from allthings.gateway.errors import NewerLayoutError
from allthings.gateway.routing import Messages
from allthings.log import block

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker

_LOGGER = logging.getLogger(__name__)


def changes_of(sequence: int, batch: pa.RecordBatch, *, ours: bool) -> list[Change]:
    """What changed in sessions together with a block.

    Raises NewerLayoutError when a newer allthings wrote it and the sessions are `ours`.
    """
    try:
        return decode(block.changes(batch))
    except msgspec.DecodeError as error:
        _LOGGER.error("block %d has damaged changes of sessions: %s", sequence, error)
    except NewerLayoutError as error:
        if ours:
            raise
        _LOGGER.error("changes of sessions in block %d are left out: %s", sequence, error.detail)
    return []


def route_block(
    broker: Broker,
    batch: pa.RecordBatch,
    sequence: int,
    source: str,
    changes: Sequence[Change],
    division: Division | None = None,
) -> None:
    """Hand on the messages of a block: consecutive ones of one kind together."""
    if not broker.routing and not np.any(batch.column("flags").to_numpy() & block.FLAG_RETAIN):
        return
    division = division or _division(broker, source, [change for change in changes if isinstance(change, Given)])
    columns = [batch.column(name).to_pylist() for name in ("topic", "client", "flags", "properties", "payload")]
    received = batch.column("received").view(pa.int64()).to_pylist()
    first = block.position(sequence, 0)
    kinds = list(zip(*columns[:4], strict=True))
    payloads = columns[4]
    at = 0
    while at < len(kinds):
        end = at + 1
        while end < len(kinds) and kinds[end] == kinds[at]:
            end += 1
        topic, client, flags, properties = kinds[at]
        if not flags & block.FLAG_REPLAYED:
            broker.route(
                *(topic, client, payloads[at:end], flags, properties, first + at, received[at]),
                source=source,
                division=division,
                row=at,
            )
        at = end


def _division(broker: Broker, source: str, given: list[Given]) -> Division | None:
    """Which messages are for shared subscriptions' members here: as the gateway that took them decided."""
    if broker.shard.count == 1 and not given:
        return None
    rows: dict[str, set[int]] = {}
    if source == broker.source:
        for each in given:
            rows.setdefault(each.share, set()).update(each.rows)
        return Division(rows, here=False)
    for each in given:
        if each.index == broker.shard.index:
            rows.setdefault(each.share, set()).update(each.rows)
    return Division(rows, here=True)


def messages_at(batch: pa.RecordBatch, sequence: int, rows: Sequence[int], source: str) -> Iterator[Messages]:
    """Single messages of a block, to be delivered although others should have had them."""
    first = block.position(sequence, 0)
    received = batch.column("received").view(pa.int64())
    for row in rows:
        topic, payload, flags, properties = (
            batch.column(name)[row].as_py() for name in ("topic", "payload", "flags", "properties")
        )
        retain = bool(flags & block.FLAG_RETAIN)
        one = Messages(topic, [payload], flags & 3, retain, properties, first + row, received[row].as_py(), source)
        one.again = True
        yield one
