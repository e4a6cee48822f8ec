"""Shared subscriptions whose members are connected to several gateways (MQTT 5 section 4.8.2).

Whichever gateway takes a message decides which gateway's members get it, and stores the decision beside the message.
So each message goes to one gateway, also after a crash, and no gateway has to ask another one. The gateways tell each
other how many members they have; who gets a message that its members have left meanwhile passes it on the same way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from allthings.gateway.changes import Given
from allthings.gateway.shard import Shard
from allthings.mqtt.filters import SubscriptionTree, split_share

if TYPE_CHECKING:
    from allthings.gateway.routing import Routing

#: The note on which gateways tell their members, and the question that all of them answer with the same.
SHARES_NOTE: Final = "gateway.shares"
#: A gateway with more members than this counts as one with so many.
_WEIGHT_MAX: Final = 64


class Members(NamedTuple):
    """How many members of a shared subscription a gateway has: connected, and away with a session that waits."""

    connected: int
    away: int


class Told(msgspec.Struct, frozen=True, array_like=True):
    """What a gateway says of its shared subscriptions."""

    index: int
    members: dict[str, Members]


class Shares:
    """What this gateway knows of the others' members."""

    def __init__(self, shard: Shard, routing: Routing) -> None:
        self._shard = shard
        self.here = shard.index
        self._routing = routing
        self._others: dict[int, dict[str, Members]] = {}
        # Filters of which others have members: key and value are the whole filter.
        self._tree: SubscriptionTree[str] = SubscriptionTree()
        self._turns: dict[str, int] = {}

    def __bool__(self) -> bool:
        return len(self._tree) > 0

    @property
    def unheard(self) -> list[int]:
        """The gateways that have not told their members yet."""
        return [index for index in range(self._shard.count) if index not in (self.here, *self._others)]

    def hear(self, data: bytes) -> None:
        """Another gateway told its members."""
        told = msgspec.msgpack.decode(data, type=Told)
        if told.index == self.here:
            return
        self._others[told.index] = told.members
        known = {share for members in self._others.values() for share in members}
        self._turns = {share: self._turns.get(share, 0) for share in known}
        self._tree = SubscriptionTree()
        for share in known:
            self._tree.add(split_share(share)[1], share, share)

    def members(self) -> bytes:
        """How many members there are here, for the others."""
        members = {share: self._here(share) for share in self._routing.groups}
        return msgspec.msgpack.encode(Told(self._shard.index, members))

    def _here(self, share: str) -> Members:
        group = self._routing.groups.get(share)
        if group is None:
            return Members(0, 0)
        connected = sum(member.session.connection is not None for member in group.members.values())
        away = sum(
            member.session.connection is None and member.session.durable and member.qos > 0
            for member in group.members.values()
        )
        return Members(connected, away)

    def assign(self, topic: str, rows: Iterable[int]) -> list[Given]:
        """Which of these messages of one topic go to members elsewhere; all others stay here."""
        if not self:
            return []
        given = []
        for share in self._tree.match(topic):
            given += self.divide(share, list(rows))
        return given

    def divide(self, share: str, rows: list[int]) -> list[Given]:
        """The same for one shared subscription."""
        slots = self._slots(share)
        if not slots or set(slots) == {self._shard.index}:
            return []
        turn = self._turns.get(share, 0)
        self._turns[share] = turn + len(rows)
        by_gateway: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            by_gateway.setdefault(slots[(turn + place) % len(slots)], []).append(row)
        return [Given(share, index, some) for index, some in by_gateway.items() if index != self._shard.index]

    def owners(self, share: str, count: int) -> NDArray[np.int64] | None:
        """The gateways whose members get each of `count` messages; None if there are members here only, or none."""
        slots = self._slots(share)
        if not slots or set(slots) == {self._shard.index}:
            return None
        turn = self._turns.get(share, 0)
        self._turns[share] = turn + count
        owners: NDArray[np.int64] = np.array(slots)[(turn + np.arange(count)) % len(slots)]
        return owners

    def _slots(self, share: str) -> list[int]:
        """Gateways, each as often as it has members: those who are connected, else those whose sessions wait."""
        everywhere = {self._shard.index: self._here(share)}
        everywhere |= {index: members[share] for index, members in self._others.items() if share in members}
        for kind in (0, 1):
            slots = [
                index for index, counts in sorted(everywhere.items()) for _ in range(min(counts[kind], _WEIGHT_MAX))
            ]
            if slots:
                return slots
        return []
