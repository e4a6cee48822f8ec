"""The live feed for who comes back: what was missed, from memory or from the log, then what is new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Protocol

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.decoded import Decoded
from allthings.twin.live import Filter, Frame, Subscription, Update
from allthings.twin.settings import QUEUE_ROWS_MAX, RESUME_BLOCKS_MAX
from allthings.twin.twin import Twin


class Blocks(Protocol):
    """The log, as far as it is needed here."""

    async def get(self, sequence: int) -> Entry | None: ...


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
    it is more than RESUME_BLOCKS_MAX blocks, and when the caller is too slow. Raises LogUnavailableError.
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
    frames, ring_after = twin.hub.kept(), twin.hub.ring_after
    first = block.sequence(after)
    if first > twin.sequence:
        # A position that this log never gave: it is a new log, and nobody knows what was missed.
        subscription.lose_place()
        return
    gap = ring_after - first >= RESUME_BLOCKS_MAX
    if gap:
        first = ring_after + 1
    for sequence in range(first, ring_after + 1):
        entry = await log.get(sequence)
        if entry is None:
            gap = gap or sequence > block.sequence(after)
            continue
        decoded = await decoder.decode(entry)
        for update in _of(subscription.filter, Frame(decoded), after):
            yield update.after_gap() if gap else update
            gap = False
    for frame in frames:
        for update in _of(subscription.filter, frame, after):
            yield update.after_gap() if gap else update
            gap = False
    if gap:
        subscription.lose_place()


def _of(chosen: Filter, frame: Frame, after: int) -> Iterable[Update]:
    return chosen.updates(frame, after) if chosen.may_match(frame) else ()
