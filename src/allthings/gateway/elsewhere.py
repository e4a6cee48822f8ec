"""Messages that reach the log in another way than through this gateway: bridges, commands, other gateways."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from allthings.gateway.blocks import changes_of, messages_at, route_block
from allthings.gateway.changes import Change, Forwarded, Given
from allthings.gateway.division import Division
from allthings.gateway.shard import is_gateway
from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.log.settings import PROBE

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.log.entry import Entry
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_AGAIN_S = 0.1
_BLOCKS_AT_ONCE = 16
#: Sources whose blocks have nothing for subscribers: readings that were uploaded, rejects that are decoded again, and
#: empty ones.
_NO_MESSAGES = frozenset({"upload", "replay", PROBE})


async def follow_others(log: Log, broker: Broker, family: str) -> None:
    """Hand on the messages of all blocks that others appended, in the order of the log, until cancelled.

    Only the headers of blocks are read; a block itself only if it is another's and concerns somebody here. `family`
    names the gateways of this machine.
    """
    await _Elsewhere(log, broker, family).follow()


class _Elsewhere:
    def __init__(self, log: Log, broker: Broker, family: str) -> None:
        self._log = log
        self._broker = broker
        self._family = family

    async def follow(self) -> None:
        broker = self._broker
        async for entries in self._log.read(broker.followed, headers=True):
            for at in range(0, len(entries), _BLOCKS_AT_ONCE):
                some = entries[at : at + _BLOCKS_AT_ONCE]
                wanted = [entry.sequence for entry in some if self._concerns_us(entry)]
                for entry in await asyncio.gather(*map(self._read, wanted)):
                    if entry is not None:
                        await self._hand_on(entry)
                broker.followed = some[-1].sequence
                broker.flush()

    def _concerns_us(self, entry: Entry) -> bool:
        broker = self._broker
        if entry.source == broker.source or entry.source in _NO_MESSAGES:
            return False
        return bool(broker.routing) or entry.retained or self._is_first_for(entry)

    def _is_first_for(self, entry: Entry) -> bool:
        """Whether this is the one gateway that minds a block that no gateway took."""
        return not self._broker.shard.index and not is_gateway(self._family, entry.source)

    async def _read(self, sequence: int) -> Entry | None:
        while True:
            try:
                return await self._log.get(sequence)
            except LogUnavailableError as error:
                _LOGGER.warning("a block of another source waits: %s", error.detail)
                await asyncio.sleep(_AGAIN_S)

    async def _hand_on(self, entry: Entry) -> None:
        try:
            batch = entry.batch
        except pa.ArrowInvalid as error:
            _LOGGER.error("block %d is damaged; its messages reach no subscriber: %s", entry.sequence, error)
            return
        if block.is_readings(batch):
            return
        broker = self._broker
        changes = changes_of(entry.sequence, batch, ours=False)
        division = None
        if broker.shares is not None and not is_gateway(self._family, entry.source):
            division = self._divide(batch, entry.sequence)
        if self._is_first_for(entry):
            broker.topics.take_batch(batch)
        route_block(broker, batch, entry.sequence, entry.source, changes, division)
        if broker.shares is not None:
            await self._take_shares(entry.sequence, changes)

    # Shared subscriptions with members at several gateways

    def _divide(self, batch: pa.RecordBatch, sequence: int) -> Division:
        """What no gateway took the first one divides."""
        broker = self._broker
        if broker.shard.index or broker.shares is None:
            return Division({}, here=True)
        first = block.position(sequence, 0)
        away: dict[str, set[int]] = {}
        for row, topic in enumerate(batch.column("topic").to_pylist()):
            for given in broker.shares.assign(topic, [row]):
                away.setdefault(given.share, set()).add(row)
                broker.collector.change(Forwarded(given.share, given.index, [first + row]))
        return Division(away, here=False)

    async def _take_shares(self, sequence: int, changes: Sequence[Change]) -> None:
        here = self._broker.shard.index
        for change in changes:
            if isinstance(change, Given) and change.index == here:
                group = self._broker.routing.groups.get(change.share)
                if group is None or not group.eligible():
                    first = block.position(sequence, 0)
                    self._forward(change.share, [first + row for row in change.rows])
            elif isinstance(change, Forwarded) and change.index == here:
                await self._take_forwarded(change)

    def _forward(self, share: str, positions: list[int]) -> None:
        """The members here are gone: others get it, if there are any."""
        broker = self._broker
        if broker.shares is not None:
            for given in broker.shares.divide(share, positions):
                broker.collector.change(Forwarded(share, given.index, given.rows))

    async def _take_forwarded(self, forwarded: Forwarded) -> None:
        broker = self._broker
        for sequence, positions in itertools.groupby(forwarded.positions, block.sequence):
            entry = await self._read(sequence)
            if entry is None:
                continue
            rows = [position - block.position(sequence, 0) for position in positions]
            try:
                messages = list(messages_at(entry.batch, sequence, rows, entry.source))
            except pa.ArrowInvalid as error:
                _LOGGER.error("block %d is damaged; its messages reach no subscriber: %s", sequence, error)
                continue
            if not broker.routing.deliver_given(forwarded.share, messages):
                self._forward(forwarded.share, [block.position(sequence, row) for row in rows])
