"""The live feed for who comes back: what was missed, from memory or from the log, then what is new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.stream import LogStatus
from allthings.readings.decoded import Decoded
from allthings.twin.live import Filter, Frame, Subscription, Update
from allthings.twin.settings import QUEUE_ROWS_MAX, RESUME_BLOCKS_MAX
from allthings.twin.twin import Twin


class Blocks(Protocol):
    """The log, as far as it is needed here."""

    async def get(self, sequence: int) -> Entry | None: ...

    async def status(self) -> LogStatus: ...


class Decodes(Protocol):
    """The decoder, as far as it is needed here."""

    async def decode(self, entry: Entry) -> Decoded: ...


async def follow(
    twin: Twin,
    log: Blocks,
    decoder: Decodes,
    things: Iterable[str] | None = None,
    properties: Iterable[str] | None = None,
    *,
    after: int | None = None,
    queue_max: int = QUEUE_ROWS_MAX,
) -> AsyncIterator[Update]:
    """Updates of the things and properties named, from the position `after` on (None: from now on), for ever.

    None is given twice, and none left out unless an update says so: when the log has no longer what was missed, when
    it is more than RESUME_BLOCKS_MAX blocks, when the log never gave that position, and when the caller is too slow.
    Raises LogUnavailableError.
    """
    with twin.subscribe(things, properties, queue_max) as subscription:
        if after is not None:
            async for update in _missed(twin, log, decoder, subscription, after):
                yield update
        async for update in subscription:
            yield update


async def _missed(
    twin: Twin, log: Blocks, decoder: Decodes, subscription: Subscription, after: int
) -> AsyncIterator[Update]:
    # What is published while this runs waits in the subscription, so both lists are taken before the first await.
    frames, ring_after, known = twin.hub.kept(), twin.hub.ring_after, subscription.position
    if block.sequence(after) > twin.sequence:
        if block.sequence(after) <= (await log.status()).last:
            # The twin has not come as far again since it was started.
            subscription.position = after
        else:
            # It is a new log, and nobody knows what was missed.
            yield Update.lost(known)
        return
    # A position may be the last that its block could have; blocks count from 1.
    first = max(block.sequence(after + 1), 1)
    gap = ring_after - first >= RESUME_BLOCKS_MAX
    if gap:
        first = ring_after + 1
    for sequence in range(first, ring_after + 1):
        entry = await log.get(sequence)
        if entry is None:
            gap = True
            continue
        decoded = twin.deletions.left(await decoder.decode(entry))
        for update in _of(subscription.filter, Frame(decoded), after):
            yield update.after_gap() if gap else update
            gap = False
    for frame in frames:
        if frame.sequence < first:
            continue
        for update in _of(subscription.filter, frame, after):
            yield update.after_gap() if gap else update
            gap = False
    if gap:
        yield Update.lost(known)


def _of(chosen: Filter, frame: Frame, after: int) -> Iterable[Update]:
    return chosen.updates(frame, after) if chosen.may_match(frame) else ()
