"""What waits for one session: in memory as far as it is short, beyond that as positions in the log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from allthings.gateway import backlog, settings
from allthings.gateway.backlog import Backlog, Waiting

if TYPE_CHECKING:
    from allthings.gateway.messages import Delivery


class Queue:
    """First in, first out: `waiting`, then `spilled`, which gateway.refill reads from the log when its turn comes."""

    __slots__ = ("shares", "spilled", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.waiting: deque[Delivery] = deque()
        self.waiting_bytes = 0
        self.spilled = Backlog()
        #: The shared subscriptions by which messages came, numbered from 1 on in the options of `spilled`.
        self.shares: list[str] = []

    def __len__(self) -> int:
        return len(self.waiting) + len(self.spilled)

    def append(self, delivery: Delivery, *, spill: bool) -> None:
        """Put a message at the end. `spill`: in the log only, if there is much already."""
        position = delivery.message.position
        much = (
            len(self.waiting) >= settings.SESSION_MEMORY_MESSAGES_MAX
            or self.waiting_bytes >= settings.SESSION_MEMORY_BYTES_MAX
        )
        if position and (self.spilled or (spill and much)):
            self._begin_spilling()
            self.spilled.append(position, self.options_of(delivery))
        else:
            self.admit([delivery])

    def _begin_spilling(self) -> None:
        if not self.spilled:
            self.shares.clear()

    def admit(self, deliveries: Iterable[Delivery]) -> None:
        """Put messages that were read from the log behind those in memory."""
        for delivery in deliveries:
            self.waiting.append(delivery)
            self.waiting_bytes += delivery.message.size

    def pop(self) -> Delivery:
        """Take the first one from memory."""
        delivery = self.waiting.popleft()
        self.waiting_bytes -= delivery.message.size
        return delivery

    def drop(self, count: int) -> None:
        """Lose the first ones."""
        while count and self.waiting:
            self.pop()
            count -= 1
        self.spilled.drop(count)

    def sift(self, wanted: Callable[[Delivery], bool]) -> list[Delivery]:
        """Take out of memory what is not wanted, and return it."""
        left: list[Delivery] = []
        taken: list[Delivery] = []
        for delivery in self.waiting:
            (left if wanted(delivery) else taken).append(delivery)
        if taken:
            self.waiting = deque(left)
            self.waiting_bytes = sum(delivery.message.size for delivery in left)
        return taken

    def take(self, position: int, share: str) -> bool | None:
        """Take out a QoS 2 message; whether it is marked as retained, None if it is not there.

        `share`: the one that a shared subscription put there.
        """
        for delivery in self.waiting:
            if delivery.message.position == position and delivery.qos == 2 and delivery.share == share:
                self.waiting.remove(delivery)
                self.waiting_bytes -= delivery.message.size
                return delivery.retain
        if share and share not in self.shares:
            return None
        options = self.spilled.take(position, 2 | self._number(share), ~backlog.RETAIN)
        return None if options is None else bool(options & backlog.RETAIN)

    # Shared subscriptions

    def options_of(self, delivery: Delivery) -> int:
        """The options of a message, as in `spilled`."""
        return delivery.qos | (backlog.RETAIN if delivery.retain else 0) | self._number(delivery.share)

    def share_of(self, options: int) -> str:
        """The shared subscription by which a message came; "" for none."""
        number = options >> backlog.SHARE_SHIFT
        return self.shares[number - 1] if number else ""

    def _number(self, share: str) -> int:
        if not share:
            return 0
        if share not in self.shares:
            if len(self.shares) == backlog.SHARES_MAX:
                # A client that has had so many of them while messages wait has those of this one for itself.
                return 0
            self.shares.append(share)
        return self.shares.index(share) + 1 << backlog.SHARE_SHIFT

    def inherit(self, waiting: Waiting, share: str) -> None:
        """Put messages at the end that another member of a shared subscription did not finish."""
        self._begin_spilling()
        options = waiting.options | np.uint16(self._number(share))
        self.spilled.extend(Waiting(waiting.positions, options))

    def shared(self, flying: Iterable[Delivery]) -> dict[str, Waiting]:
        """What shared subscriptions put here, and these messages on their way, by subscription."""
        found = Backlog()
        for delivery in (*flying, *self.waiting):
            if delivery.share:
                found.append(delivery.message.position, self.options_of(delivery))
        if self.shares:
            found.extend(self.spilled.all())
        if not found:
            return {}
        positions, options = found.all()
        numbers = options >> backlog.SHARE_SHIFT
        plain = options & np.uint16(backlog.QOS | backlog.RETAIN)
        return {
            share: Waiting(positions[of_share], plain[of_share])
            for number, share in enumerate(self.shares, 1)
            if np.any(of_share := numbers == number)
        }

    def give_away(self, positions: list[int], share: str) -> None:
        """These messages of a shared subscription have gone to another member."""
        gone = set(positions)
        self.sift(lambda delivery: delivery.share != share or delivery.message.position not in gone)
        if share in self.shares:
            there = self.spilled.all()
            left = ~np.isin(there.positions, np.array(positions, np.uint64))
            left |= there.options & ~np.uint16(backlog.QOS | backlog.RETAIN) != self._number(share)
            self.spilled = Backlog()
            self.spilled.extend(Waiting(there.positions[left], there.options[left]))
