"""The log for the consumers of one process: read once, decoded once, handed to each at its own pace.

What was decoded lately is kept, bounded; who falls farther behind than that reads and decodes for itself until it has
caught up. So a consumer that is slow or stands still costs the others nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Protocol

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.columns import EMPTY
from allthings.readings.decode import Block
from allthings.readings.decoded import Decoded, Reject
from allthings.readings.settings import FEED_EVERY_S, FEED_GROUPS_MAX, FEED_ROWS_MAX, TOGETHER_BYTES_MAX

_LOGGER = logging.getLogger(__name__)


class Blocks(Protocol):
    """The log, as far as it is needed here (see `log.stream.Log`)."""

    def read(self, after: int, *, stop: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]: ...


class Decodes(Protocol):
    """The decoder, as far as it is needed here (see `readings.decoder.Decoder`)."""

    async def decode_all(self, entries: Sequence[Block]) -> list[Decoded]: ...


class Feed:
    """Begin it with `run`; each consumer calls `read`. `missed` is told the first and the last of blocks that the log
    does not have although later ones are there."""

    def __init__(self, log: Blocks, decoder: Decodes, missed: Callable[[int, int], None] | None = None) -> None:
        self._log = log
        self._decoder = decoder
        self._missed = missed
        self._kept: deque[Decoded] = deque()
        self._rows = 0
        #: How many were kept before those in `_kept`, and the block before the first of these.
        self._dropped = 0
        self._after = 0
        #: Per consumer the block up to which it was given everything.
        self._given: dict[object, int] = {}
        self._begun, self._grown = asyncio.Event(), asyncio.Event()
        self._stop: asyncio.Event | None = None
        self._ended = False

    async def run(self, after: int, stop: asyncio.Event) -> None:
        """Read the log from the block after `after` on, until `stop` is set; then all consumers come to their end."""
        self._after, self._stop = after, stop
        self._begun.set()
        loop = asyncio.get_running_loop()
        try:
            async for entries in self._log.read(after, stop=stop):
                began = loop.time()
                after = self._look_for_missed(after, entries)
                for together in _cut(entries):
                    self._keep(await self._decoded(together))
                pause_s = began + FEED_EVERY_S - loop.time()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
        finally:
            self._ended = True
            self._grown.set()

    def _look_for_missed(self, after: int, entries: Sequence[Entry]) -> int:
        for entry in entries:
            if entry.sequence > after + 1 and self._missed is not None:
                self._missed(after + 1, entry.sequence - 1)
            after = entry.sequence
        return after

    def _keep(self, decoded: list[Decoded]) -> None:
        self._kept.extend(decoded)
        self._rows += sum(each.readings.num_rows for each in decoded)
        while len(self._kept) > 1 and (self._rows > FEED_ROWS_MAX or len(self._kept) > FEED_GROUPS_MAX):
            self._drop()
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _drop(self) -> None:
        dropped = self._kept.popleft()
        self._rows -= dropped.readings.num_rows
        self._dropped += 1
        self._after = dropped.sequence

    def read(self, after: int) -> AsyncIterator[list[Decoded]]:
        """What the blocks after `after` say, in order, as much at a time as there is. Ends when `run` does.

        From this call on what comes is kept for the caller, within bounds.
        """
        me = object()
        self._given[me] = after
        return self._read(me, after)

    async def _read(self, me: object, after: int) -> AsyncIterator[list[Decoded]]:
        await self._begun.wait()
        try:
            while not self._ended:
                if after < self._after:
                    async with aclosing(self._behind(after)) as behind:
                        async for found, after in behind:
                            if found:
                                yield found
                            if after >= self._after:
                                break
                    continue
                found = self._later_than(after)
                if not found:
                    await self._grown.wait()
                    continue
                after = self._given[me] = found[-1].sequence
                self._forget()
                yield found
        finally:
            del self._given[me]

    def _later_than(self, after: int) -> list[Decoded]:
        """What is kept of the blocks after `after`."""
        found = list(itertools.takewhile(lambda each: each.sequence > after, reversed(self._kept)))
        found.reverse()
        return found

    def _forget(self) -> None:
        """Drop what every consumer was given."""
        given = min(self._given.values())
        while self._kept and self._kept[0].sequence <= given:
            self._drop()

    async def _behind(self, after: int) -> AsyncGenerator[tuple[list[Decoded], int], None]:
        """Blocks that are no longer kept, from the log, and how far each time; up to where those begin that are."""
        async for entries in self._log.read(after, stop=self._stop):
            for together in _cut(entries):
                end = self._after
                wanted = [entry for entry in together if entry.sequence <= end]
                reached = len(wanted) < len(together)
                yield await self._decoded(wanted) if wanted else [], end if reached else together[-1].sequence
                if reached:
                    return

    async def _decoded(self, entries: Sequence[Entry]) -> list[Decoded]:
        """The entries decoded; one that cannot be is kept as a reject."""
        try:
            return await self._decoder.decode_all(entries)
        except Exception as error:
            if len(entries) > 1:
                return [decoded for entry in entries for decoded in await self._decoded([entry])]
            _LOGGER.exception("block %d cannot be decoded; it is kept as a reject", entries[0].sequence)
            return [put_aside(entries[0], f"the block cannot be decoded: {error!r}")]


def put_aside(entry: Entry, reason: str) -> Decoded:
    """A block as one reject, whole."""
    reject = Reject(block.position(entry.sequence, 0), entry.stored_ns, "", "", reason, entry.data)
    return Decoded(entry.sequence, EMPTY, rejects=[reject])


def _cut(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Spans that are not much larger than the decoder is given at once."""
    start, size = 0, 0
    for place, entry in enumerate(entries):
        size += entry.size
        if size >= TOGETHER_BYTES_MAX:
            yield entries[start : place + 1]
            start, size = place + 1, 0
    if start < len(entries):
        yield entries[start:]
