"""Messages that reach the log in another way than through this gateway: bridges, commands, other gateways."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pyarrow as pa

from allthings.gateway.replay import route_batch
from allthings.log import block
from allthings.log.errors import LogUnavailableError

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_AGAIN_S = 0.1
#: Other gateways tell people of their messages themselves (gateway.topics).
_GATEWAY = "gateway"
#: Sources whose blocks have nothing for subscribers: readings that were uploaded, rejects that are decoded again.
_NO_MESSAGES = frozenset({"upload", "replay"})


async def follow_others(log: Log, broker: Broker, source: str) -> None:
    """Hand on the messages of all blocks that others appended, in the order of the log, until cancelled.

    Only the headers of blocks are read; a block itself only if it is another's.
    """
    async for entries in log.read(broker.followed, headers=True):
        for entry in entries:
            if entry.source != source and entry.source not in _NO_MESSAGES:
                await _hand_on(log, broker, entry.sequence)
            broker.followed = entry.sequence
        broker.flush()


async def _hand_on(log: Log, broker: Broker, sequence: int) -> None:
    while True:
        try:
            entry = await log.get(sequence)
            break
        except LogUnavailableError as error:
            _LOGGER.warning("a block of another source waits: %s", error.detail)
            await asyncio.sleep(_AGAIN_S)
    if entry is None:
        return
    try:
        batch = entry.batch
    except pa.ArrowInvalid as error:
        _LOGGER.error("block %d is damaged; its messages reach no subscriber: %s", sequence, error)
        return
    if not block.is_readings(batch):
        if not entry.source.startswith(_GATEWAY):
            broker.topics.take_batch(batch)
        route_batch(broker, batch, sequence, followed=True)
