"""Messages that a session keeps in the log only are read again when their turn comes."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

import pyarrow as pa

from allthings.gateway import backlog, settings
from allthings.gateway.lost import Lost
from allthings.gateway.messages import Delivery, Message, split_expiry
from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.log.losses import MESSAGES
from allthings.mqtt.filters import matches, split_share

if TYPE_CHECKING:
    from allthings.gateway.session import Session
    from allthings.log.entry import Entry
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_AGAIN_S = 0.2


class Refill:
    """Fetches for one session at a time what comes next in it."""

    def __init__(self, log: Log, lost: Lost) -> None:
        self._log = log
        self._lost = lost
        self._tasks: set[asyncio.Task[None]] = set()
        #: Blocks that were read last, or are being read: sessions that come back together wait for the same ones.
        self._blocks: OrderedDict[int, asyncio.Task[Entry | None]] = OrderedDict()
        self._reading = asyncio.Semaphore(settings.REFILL_BLOCKS_AT_ONCE)

    def begin(self, session: Session) -> None:
        """Fetch the next messages of a session, unless that is being done."""
        if session.refilling:
            return
        session.refilling = True
        task = asyncio.create_task(self._run(session), name="refill")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Stop fetching."""
        for task in (*self._tasks, *self._blocks.values()):
            task.cancel()

    async def _run(self, session: Session) -> None:
        try:
            while session.queue.spilled and session.connection is not None:
                head = session.queue.spilled.head(settings.REFILL_MESSAGES)
                dropped = session.queue.spilled.dropped
                try:
                    found, covered = await self.fetch(
                        [position for position, _ in head], settings.SESSION_MEMORY_BYTES_MAX
                    )
                except LogUnavailableError as error:
                    _LOGGER.warning("messages of client %r wait for the log: %s", session.client, error.detail)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                # It may have lost its oldest messages meanwhile.
                lost = min(session.queue.spilled.dropped - dropped, covered)
                session.queue.spilled.drop(covered - lost)
                came = []
                missing = []
                for position, options in head[lost:covered]:
                    message = found.get(position)
                    if message is None:
                        missing.append(position)
                        continue
                    came.append(_delivery(session, message, options))
                session.admit(came)
                session.pump()
                await self.miss(session, missing)
                if len(session.queue.waiting) >= settings.SESSION_MEMORY_MESSAGES_MAX // 2 or (
                    session.queue.waiting_bytes >= settings.SESSION_MEMORY_BYTES_MAX
                ):
                    return
        finally:
            session.refilling = False

    async def miss(self, session: Session, positions: list[int]) -> None:
        """A session does not get the messages at these positions: they were older than what the log keeps, or lost."""
        if not positions:
            return
        session.expired += len(positions)
        try:
            trimmed = await self._log.trimmed()
        except LogUnavailableError:
            # Rather too many losses are told than one too few.
            trimmed = 0
        lost = [sequence for sequence in map(block.sequence, positions) if sequence > trimmed]
        if lost:
            why = f"blocks {min(lost)} to {max(lost)} of the log cannot be read"
            self._lost.add(MESSAGES, session.client, len(lost), why)
            await self._lost.tell()

    async def fetch(self, positions: list[int], bytes_max: int = 2**62) -> tuple[dict[int, Message], int]:
        """The messages at these positions as far as the log still has them, and how many positions that covers.

        It ends early once the messages have `bytes_max`. Raises LogUnavailableError.
        """
        found: dict[int, Message] = {}
        blocks = [(sequence, list(rows)) for sequence, rows in itertools.groupby(positions, block.sequence)]
        covered = size = 0
        for at in range(0, len(blocks), settings.REFILL_BLOCKS_AT_ONCE):
            some = blocks[at : at + settings.REFILL_BLOCKS_AT_ONCE]
            entries = await asyncio.gather(*(self.block(sequence) for sequence, _ in some))
            for (_, wanted), entry in zip(some, entries, strict=True):
                for message in _messages(entry, wanted) if entry is not None else ():
                    found[message.position] = message
                    size += message.size
                covered += len(wanted)
                if size >= bytes_max:
                    return found, covered
        return found, covered

    async def block(self, sequence: int) -> Entry | None:
        """One block, None if the log does not have it (any more). Raises LogUnavailableError."""
        reading = self._blocks.pop(sequence, None)
        if reading is None or (reading.done() and (reading.cancelled() or reading.exception())):
            reading = asyncio.create_task(self._read(sequence), name="refill")
        self._blocks[sequence] = reading
        self._forget_blocks()
        return await asyncio.shield(reading)

    async def _read(self, sequence: int) -> Entry | None:
        async with self._reading:
            return await self._log.get(sequence)

    def _forget_blocks(self) -> None:
        """Keep the last few blocks, as far as they are small."""
        size = 0
        for number, (sequence, reading) in enumerate(reversed(tuple(self._blocks.items()))):
            if not reading.done() or reading.cancelled() or reading.exception():
                continue
            entry = reading.result()
            size += entry.size if entry is not None else 0
            if number >= settings.REFILL_BLOCKS_KEPT or size > settings.REFILL_BYTES_KEPT:
                del self._blocks[sequence]


def _messages(entry: Entry, positions: list[int]) -> list[Message]:
    try:
        batch = entry.batch
    except pa.ArrowInvalid:
        # Whoever waited for them says so.
        return []
    first = block.position(entry.sequence, 0)
    rows = [position - first for position in positions if position - first < batch.num_rows]
    received = batch.column("received").view(pa.int64())
    topics, payloads, properties = (batch.column(name) for name in ("topic", "payload", "properties"))
    messages = []
    for row in rows:
        rest, expires_ns = split_expiry(properties[row].as_py(), received[row].as_py())
        messages.append(Message(topics[row].as_py().encode(), payloads[row].as_py(), rest, expires_ns, first + row))
    return messages


def _delivery(session: Session, message: Message, options: int) -> Delivery:
    """As it was when it began to wait, but with the identifiers of the subscriptions that match now."""
    share = session.queue.share_of(options)
    if share:
        subscription = session.filters.get(share)
        own = {subscription.identifier} if subscription is not None else set()
    else:
        topic = message.topic.decode()
        own = {
            subscription.identifier
            for topic_filter, subscription in session.filters.items()
            if not split_share(topic_filter)[0] and matches(topic_filter, topic)
        }
    identifiers = tuple(sorted(own - {0}))
    return Delivery(message, options & backlog.QOS, bool(options & backlog.RETAIN), identifiers, share)
