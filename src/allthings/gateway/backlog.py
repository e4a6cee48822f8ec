"""What waits for a session in the log only: ten bytes a message, first in first out."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Bits of a message's options: how it goes to the client, and above them the number of the shared subscription that
#: chose the client for it (Session.share_number), 0 for one of its own.
QOS: Final = 0b0011
RETAIN: Final = 0b0100
SHARE_SHIFT: Final = 3
SHARES_MAX: Final = (1 << 16 - SHARE_SHIFT) - 1
#: What was taken from the front is given back to the system once it is so many messages, and half of all.
_COMPACT_MIN: Final = 1024


class Waiting(NamedTuple):
    """Messages by their positions, each with its options."""

    positions: NDArray[np.uint64]
    options: NDArray[np.uint16]


class Backlog:
    """Positions in the log, each with its options."""

    __slots__ = ("_first", "_options", "_positions", "dropped")

    def __init__(self, positions: bytes = b"", options: bytes = b"") -> None:
        """From what `dump` gave."""
        # An empty initializer takes longer than all the rest.
        self._positions = array("Q", positions) if positions else array("Q")
        self._options = array("H", options) if options else array("H")
        # Whatever stands before this is gone: taking from the front must not move a million others each time.
        self._first = 0
        #: How many `drop` has taken away in all.
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._positions) - self._first

    def append(self, position: int, options: int) -> None:
        self._positions.append(position)
        self._options.append(options)

    def extend(self, waiting: Waiting) -> None:
        self._positions.frombytes(waiting.positions.tobytes())
        self._options.frombytes(waiting.options.tobytes())

    def prepend(self, position: int, options: int) -> None:
        """Put one in front of all others."""
        self._positions.insert(self._first, position)
        self._options.insert(self._first, options)

    def head(self, count: int) -> list[tuple[int, int]]:
        """The first ones, as (position, options)."""
        first, end = self._first, self._first + count
        return list(zip(self._positions[first:end], self._options[first:end], strict=True))

    def drop(self, count: int) -> None:
        """Take the first ones away."""
        count = min(count, len(self))
        self.dropped += count
        self._first += count
        if self._first >= _COMPACT_MIN and 2 * self._first >= len(self._positions):
            del self._positions[: self._first], self._options[: self._first]
            self._first = 0

    def take(self, position: int, wanted: int, mask: int) -> int | None:
        """Take out the first one with this position whose options are `wanted` in the bits of `mask`; its options."""
        at = self._first
        while True:
            try:
                at = self._positions.index(position, at)
            except ValueError:
                return None
            options = self._options[at]
            if options & mask == wanted:
                if at == self._first:
                    self.drop(1)
                else:
                    del self._positions[at], self._options[at]
                return options
            at += 1

    def all(self) -> Waiting:
        """All of them, as a copy."""
        first = self._first
        return Waiting(
            np.array(self._positions[first:], np.uint64, copy=True),
            np.array(self._options[first:], np.uint16, copy=True),
        )

    def dump(self) -> tuple[bytes, bytes]:
        """Positions (eight bytes each, in the machine's order) and options (two bytes each)."""
        return self._positions[self._first :].tobytes(), self._options[self._first :].tobytes()
