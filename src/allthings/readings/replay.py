"""Rejects, appended to the log again once the cause is mended.

A replayed message is the original one, with its own receive time and client, the flag FLAG_REPLAYED, and in the
column of the MQTT properties the ASCII text `reject=<position>`, which names the reject that it comes from.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from allthings.log import block
from allthings.readings.decoded import Reject

_PREFIX: Final = b"reject="


def replay_block(rejects: list[Reject]) -> pa.RecordBatch:
    """The block of messages (schema MESSAGES) that appends the rejects again, in their order.

    The caller keeps it within the log's limits of rows and bytes.
    """
    clients = pa.array([one.client for one in rejects], pa.string()).dictionary_encode()
    columns = [
        pa.array([one.received_ns for one in rejects], block.MESSAGES.field("received").type),
        pa.array([one.topic for one in rejects], pa.string()),
        pa.array([one.payload for one in rejects], pa.binary()),
        clients,
        pa.array([block.FLAG_REPLAYED] * len(rejects), pa.uint8()),
        pa.array([_PREFIX + str(one.position).encode() for one in rejects], pa.binary()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=block.MESSAGES)


def original(properties: bytes | None) -> int | None:
    """The position that a replayed message's properties name, or None."""
    if properties is None or not properties.startswith(_PREFIX):
        return None
    digits = properties[len(_PREFIX) :]
    return int(digits) if digits.isdigit() and len(digits) <= 20 else None
