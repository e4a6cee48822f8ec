"""A block as a reader gets it."""

from __future__ import annotations

from functools import cached_property

import pyarrow as pa

from allthings.log import block


class Entry:
    """A block as it stands in the log."""

    __slots__ = ("__dict__", "data", "retained", "sequence", "source", "stored_ns")

    def __init__(self, sequence: int, data: bytes, stored_ns: int, source: str = "", *, retained: bool = True) -> None:
        self.sequence = sequence
        #: The word that names who appended it.
        self.source = source
        #: Whether messages of it may be retained ones.
        self.retained = retained
        self.data = data
        self.stored_ns = stored_ns

    @property
    def size(self) -> int:
        """Bytes of the block as stored."""
        return len(self.data)

    @cached_property
    def batch(self) -> pa.RecordBatch:
        """The block's rows. Raises pyarrow.ArrowInvalid when the block is damaged."""
        return block.decode(self.data)
