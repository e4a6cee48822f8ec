"""What decoding would say of messages that have just arrived: for a gateway that refuses what a thing forbids.

The same decoding as the historian's, over a block of one topic, so that the two never disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from allthings.log import block
from allthings.readings.decode import decode
from allthings.readings.model import Model

_SEQUENCE: Final = 1


@dataclass
class _Arrived:
    """Messages as a block that is not in the log."""

    batch: pa.RecordBatch
    stored_ns: int
    sequence: int = _SEQUENCE
    data: bytes = b""


def verdicts(topic: str, payloads: Sequence[bytes], flags: int, received_ns: int, model: Model) -> list[str]:
    """For each payload the reason why it would be a reject, "" if it would not.

    `flags` as in `log.block`; each is judged as received at `received_ns` (an `@time` may not be far ahead of it).
    """
    count = len(payloads)
    received = pa.array([received_ns] * count, pa.int64()).view(block.MESSAGES.field("received").type)
    clients = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([""]))
    batch = pa.RecordBatch.from_arrays(
        [
            received,
            pa.array([topic] * count, pa.string()),
            pa.array(payloads, pa.binary()),
            clients,
            pa.array([flags] * count, pa.uint8()),
            pa.nulls(count, pa.binary()),
        ],
        schema=block.MESSAGES,
    )
    reasons = {reject.position: reject.reason for reject in decode(_Arrived(batch, received_ns), model).rejects}
    return [reasons.get(block.position(_SEQUENCE, row), "") for row in range(count)]
