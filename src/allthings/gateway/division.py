"""Who of several gateways hands which message to the members of shared subscriptions."""

from __future__ import annotations

from typing import NamedTuple


class Division(NamedTuple):
    """How a block's messages for shared subscriptions are divided over several gateways.

    `rows` by subscription are those for members here (`here`), or those for members elsewhere.
    """

    rows: dict[str, set[int]]
    here: bool

    def places(self, share: str, first: int, count: int) -> list[int] | None:
        """Of the `count` messages from row `first` on, those for members here; None for all."""
        rows = self.rows.get(share)
        if rows is None:
            return [] if self.here else None
        return [place for place in range(count) if (first + place in rows) is self.here]
