"""Numbers of blocks that the log does not have: which they are, and how a log goes on behind them.

The history knows each reading by its place in the log, so a number must never come twice. A log that lost its end goes
on behind what the history has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import nats.errors
import nats.js.errors
import numpy as np
from numpy.typing import NDArray

from allthings.log import settings
from allthings.log.errors import LogUnavailableError
from allthings.log.heeding import heeding

if TYPE_CHECKING:
    from allthings.log.stream import Log

#: Who appends what only takes numbers.
SOURCE: Final = "repair"
_FILLERS_AT_ONCE: Final = 2_000
_POLL_S: Final = 0.02


class Gap(NamedTuple):
    """Blocks `first` to `last` cannot be read. The blocks around them were stored at these times, 0 if there is none
    (nanoseconds since the epoch)."""

    first: int
    last: int
    after_ns: int
    before_ns: int


class Present:
    """Which blocks the server says to have. What is damaged within a block it only finds when it is read."""

    def __init__(self, first: int, last: int, deleted: Sequence[int]) -> None:
        self._first, self._last = first, last
        self._deleted = np.array(deleted, np.uint64)

    def lacks(self, sequences: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of these it does not have."""
        outside = (sequences < self._first) | (sequences > self._last)
        return outside | np.isin(sequences, self._deleted)


async def present(js: Any) -> Present:
    """What the stream has. Raises LogUnavailableError."""
    try:
        state = (await heeding(js.stream_info(settings.STREAM))).state
        deleted: list[int] = []
        if state.num_deleted:
            request = msgspec.json.encode({"deleted_details": True})
            subject = f"{js._prefix}.STREAM.INFO.{settings.STREAM}"
            answer = await heeding(js._api_request(subject, request, timeout=settings.APPEND_TIMEOUT_S))
            deleted = answer["state"].get("deleted") or []
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"the log's state cannot be read: {error!r}") from error
    return Present(state.first_seq, state.last_seq, deleted)


async def gaps(log: Log) -> list[Gap]:
    """All blocks between the first and the last one that the log says to have that cannot be read.

    Reads the headers of the whole log. Raises LogUnavailableError.
    """
    status = await log.status()
    if not status.blocks:
        return []
    readable = status.last
    while readable >= status.first and await log.get(readable) is None:
        readable -= 1
    found = []
    seen, seen_ns = status.first - 1, 0
    if readable >= status.first:
        async for sequence, stored_ns in _stored(log, seen, readable):
            if sequence > seen + 1:
                found.append(Gap(seen + 1, sequence - 1, seen_ns, stored_ns))
            seen, seen_ns = sequence, stored_ns
    if seen < status.last:
        found.append(Gap(seen + 1, status.last, seen_ns, 0))
    return found


async def _stored(log: Log, after: int, last: int) -> AsyncIterator[tuple[int, int]]:
    async for entries in log.read(after, headers=True):
        for entry in entries:
            yield entry.sequence, entry.stored_ns
        if entries[-1].sequence >= last:
            return


async def advance(js: Any, connection: Any, sequence: int) -> bool:
    """Let the next message of the stream have this number, without touching what it has; False when it has come that
    far. Raises LogUnavailableError.

    A stream takes numbers only by taking messages: so many are stored without content, and dropped together.
    """
    try:
        state = (await heeding(js.stream_info(settings.STREAM))).state
        if state.last_seq >= sequence:
            return False
        if not state.messages:
            await heeding(js.purge_stream(settings.STREAM, seq=sequence))
        else:
            await _fill(js, connection, state.last_seq, sequence - 1)
            await heeding(js.purge_stream(settings.STREAM, subject=settings.subject_of(SOURCE)))
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"the log cannot be brought to block {sequence}: {error!r}") from error
    return True


async def _fill(js: Any, connection: Any, last: int, wanted: int) -> None:
    subject = settings.subject_of(SOURCE)
    while last < wanted:
        last = min(last + _FILLERS_AT_ONCE, wanted)
        for _ in range(last - (await heeding(js.stream_info(settings.STREAM))).state.last_seq):
            await heeding(connection.publish(subject, b""))
        while (await heeding(js.stream_info(settings.STREAM))).state.last_seq < last:  # noqa: ASYNC110 - a server is asked
            await asyncio.sleep(_POLL_S)
