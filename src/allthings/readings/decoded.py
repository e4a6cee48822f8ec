"""What one block of the log says: readings as columns, and the few rows that are something else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec
import pyarrow as pa

from allthings.log import block

#: Readings with the log position that each came from, in log order.
#: Two readings of one message share its position; they never share series and time.
DECODED: Final = pa.schema([*block.READINGS, pa.field("position", pa.uint64(), nullable=False)])


class Reject(msgspec.Struct, frozen=True):
    """A message that could not be used in whole, kept as it came, with the reason.

    `position` is the message's place in the log, and stays the same when a replay fails again.
    """

    position: int
    received_ns: int
    client: str
    topic: str
    reason: str
    payload: bytes


class Event(msgspec.Struct, frozen=True):
    """An event of a thing (WoT TD 1.1, section 5.3.1.5). `data` is JSON text."""

    position: int
    time_ns: int
    received_ns: int
    thing: str
    name: str
    data: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One block, decoded.

    `readings` has the schema DECODED. `messages` counts the block's messages (0 for a block of readings),
    `unclaimed` those on topics that no convention claims. `replayed` holds the positions of rejects which were
    appended again and now decode without fault.
    """

    sequence: int
    readings: pa.RecordBatch
    rejects: list[Reject] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    messages: int = 0
    unclaimed: int = 0
    replayed: list[int] = field(default_factory=list)
