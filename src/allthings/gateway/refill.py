"""Messages that a session keeps in the log only are read again when their turn comes."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING

import pyarrow as pa

from allthings.gateway import settings
from allthings.gateway.messages import Delivery, Message, split_expiry
from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.mqtt.filters import matches, split_share

if TYPE_CHECKING:
    from allthings.gateway.session import Session
    from allthings.log.entry import Entry
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_AGAIN_S = 0.2


class Refill:
    """Fetches for one session at a time what comes next in it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

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
        for task in self._tasks:
            task.cancel()

    async def _run(self, session: Session) -> None:
        try:
            while session.spilled and session.connection is not None:
                count = min(len(session.spilled), settings.REFILL_MESSAGES)
                positions = session.spilled[:count].tolist()
                try:
                    found = await self.fetch(positions)
                except LogUnavailableError as error:
                    _LOGGER.warning("messages of client %r wait for the log: %s", session.client, error.detail)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                options = bytes(session.spilled_options[:count])
                del session.spilled[:count]
                del session.spilled_options[:count]
                for position, option in zip(positions, options, strict=True):
                    message = found.get(position)
                    if message is None:
                        # Older than what the log keeps.
                        session.expired += 1
                        continue
                    session.waiting.append(
                        Delivery(message, option & 3, bool(option & 4), identifiers(session, message))
                    )
                    session.waiting_bytes += message.size
                session.pump()
                if len(session.waiting) >= settings.SESSION_MEMORY_MESSAGES_MAX // 2:
                    return
        finally:
            session.refilling = False

    async def fetch(self, positions: list[int]) -> dict[int, Message]:
        """The messages at these positions, ascending, as far as the log still has them. Raises LogUnavailableError."""
        found: dict[int, Message] = {}
        blocks = [(sequence, list(rows)) for sequence, rows in itertools.groupby(positions, block.sequence)]
        for at in range(0, len(blocks), settings.REFILL_BLOCKS_AT_ONCE):
            some = blocks[at : at + settings.REFILL_BLOCKS_AT_ONCE]
            entries = await asyncio.gather(*(self._log.get(sequence) for sequence, _ in some))
            for (_, wanted), entry in zip(some, entries, strict=True):
                if entry is not None:
                    found |= {message.position: message for message in _messages(entry, wanted)}
        return found


def _messages(entry: Entry, positions: list[int]) -> list[Message]:
    try:
        batch = entry.batch
    except pa.ArrowInvalid:
        _LOGGER.error("block %d is damaged: %d messages for subscribers are lost", entry.sequence, len(positions))
        return []
    first = block.position(entry.sequence, 0)
    rows = [position - first for position in positions if position - first < batch.num_rows]
    received = batch.column("received").cast(pa.int64())
    topics, payloads, properties = (batch.column(name) for name in ("topic", "payload", "properties"))
    messages = []
    for row in rows:
        rest, expires_ns = split_expiry(properties[row].as_py(), received[row].as_py())
        messages.append(Message(topics[row].as_py().encode(), payloads[row].as_py(), rest, expires_ns, first + row))
    return messages


def identifiers(session: Session, message: Message) -> tuple[int, ...]:
    """The identifiers of the session's subscriptions that match now."""
    wanted = {
        subscription.identifier
        for topic_filter, subscription in session.filters.items()
        if subscription.identifier and matches(split_share(topic_filter)[1], message.topic.decode())
    }
    return tuple(sorted(wanted))
