"""Blocks get into the log in order, and each once, however often it had to be sent.

An appender has a subject to itself, and says with each block which one must be the last there. A block that is sent
again because its answer was lost is refused if it was stored after all, and then found behind its predecessor. That
holds however long the log was away; the server's own memory of identities holds for minutes only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import nats.errors
import nats.js.errors

from allthings.log import settings
from allthings.log.errors import LogFullError, LogOrderError, LogTakenError, LogUnavailableError
from allthings.log.heeding import heeding
from allthings.log.underway import WRONG_LAST_CODES, Underway

_LOGGER = logging.getLogger(__name__)
#: JetStream's headers: a block's identity, and behind which one it is stored or not at all: by identity in the whole
#: stream, by sequence on the subject.
IDENTITY = "Nats-Msg-Id"
_BEHIND_IDENTITY = "Nats-Expected-Last-Msg-Id"
_BEHIND_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
#: JetStream's error codes for "no room": maximum bytes, maximum messages, resources, storage.
_FULL_CODES = frozenset({10047, 10077, 10023, 10028})

Trouble = Callable[[str], None]


class Appending(NamedTuple):
    """A block on its way into the log; `stored` gives its sequence once it is on disk."""

    identity: str
    stored: asyncio.Task[int]


async def publish(js: Any, underway: Underway, subject: str, data: bytes, headers: dict[str, str]) -> int:
    """Append once; the sequence. Raises LogUnavailableError, after which it may have been stored or not."""
    try:
        async with underway.one():
            answer = await heeding(js.publish(subject, data, headers=headers))
    except nats.js.errors.APIError as error:
        if error.err_code in _FULL_CODES:
            raise LogFullError(f"the log takes no more blocks: {error.description}") from error
        if error.err_code in WRONG_LAST_CODES:
            raise LogOrderError("another block was stored last") from error
        raise LogUnavailableError(f"the log refused a block: {error.description}") from error
    except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"the log did not confirm a block: {error!r}") from error
    return int(answer.seq)


class Appender:
    """Made by `Log.appender`. The first block goes behind the one of `take_over`, else it begins the subject."""

    def __init__(self, js: Any, underway: Underway, subject: str, identities: Iterator[str]) -> None:
        self._js = js
        self._underway = underway
        self._subject = subject
        self._identities = identities
        self._first_behind = 0
        self._newest: Appending | None = None

    async def take_over(self, empty: bytes) -> None:
        """Append a block with nothing in it: of what a predecessor still has on its way nothing is stored any more.

        Raises LogUnavailableError. The predecessor, should it be alive, learns it with its next block.
        """
        headers = {IDENTITY: next(self._identities), settings.RETAINED: "0"}
        self._first_behind = await self._append(empty, headers)

    def begin(self, data: bytes, *, on_trouble: Trouble, retained: bool = True) -> Appending:
        """Begin to append a block while the one before it may still be on its way to the disk.

        It is sent again and again until the log has it. `on_trouble` is told each failure. `retained` False: no
        message of it is retained, which readers learn without reading it.
        """
        headers = {IDENTITY: next(self._identities)}
        if not retained:
            headers[settings.RETAINED] = "0"
        surely = self._append_surely(data, headers, self._newest, on_trouble)
        self._newest = Appending(headers[IDENTITY], asyncio.create_task(surely, name="append"))
        return self._newest

    async def _append_surely(
        self, data: bytes, headers: dict[str, str], before: Appending | None, on_trouble: Trouble
    ) -> int:
        behind = self._first_behind
        if before is not None and not before.stored.done():
            try:
                return await self._append(data, {**headers, _BEHIND_IDENTITY: before.identity})
            except LogUnavailableError as error:
                # The one before it was not stored, or somebody else appended between the two.
                if not isinstance(error, LogOrderError):
                    on_trouble(error.detail)
        if before is not None:
            behind = await before.stored
        pause_s = 0.02
        while True:
            try:
                try:
                    return await self._append(data, {**headers, _BEHIND_SEQUENCE: str(behind)})
                except LogOrderError:
                    behind, sequence = await self._look(behind, headers[IDENTITY])
                    if sequence:
                        return sequence
            except LogTakenError:
                raise
            except LogUnavailableError as error:
                on_trouble(error.detail)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, 0.5)

    async def _append(self, data: bytes, headers: dict[str, str]) -> int:
        return await publish(self._js, self._underway, self._subject, data, headers)

    async def _look(self, behind: int, identity: str) -> tuple[int, int]:
        """Behind which sequence a block is to be stored that was refused behind this one; and its own if it is there.

        Raises LogTakenError.
        """
        found = await self._get(seq=behind + 1, subject=self._subject, next=True)
        if found is not None:
            if found[1] == identity:
                return behind, found[0]
            raise LogTakenError(f"another process appends to {self._subject}; what this one has is not stored any more")
        last = await self._get(subject=self._subject)
        if last is None:
            # All of the subject was trimmed away.
            return 0, 0
        if last[0] < behind:
            _LOGGER.error("the log has lost block %d of %s, which it had confirmed", behind, self._subject)
            return last[0], 0
        return behind, 0

    async def _get(self, **which: Any) -> tuple[int, str] | None:
        """Sequence and identity of a block."""
        try:
            message = await heeding(self._js.get_msg(settings.STREAM, **which))
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"the log cannot be read: {error!r}") from error
        return int(message.seq), (message.headers or {}).get(IDENTITY, "")
