"""The historian as a consumer of the log: take what was decoded, insert, keep the position.

The position is kept only when everything up to it is on disk, and a block inserted twice is the same as once, so
this may be killed at any point. Taking goes on while an insert runs; what was taken and not yet inserted is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from allthings.historian import settings
from allthings.historian.errors import log_replaced
from allthings.historian.history import History
from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import LogStatus
from allthings.readings.decoded import Decoded
from allthings.readings.feed import put_aside
from allthings.things.errors import AllthingsError, UnavailableError

#: The consumer's name in the log.
CONSUMER: Final = "historian"

_LOGGER = logging.getLogger(__name__)


class Blocks(Protocol):
    """The log, as far as it is needed here (see `log.stream.Log`)."""

    async def get(self, sequence: int) -> Entry | None: ...
    async def position(self, consumer: str) -> int: ...
    async def save_position(self, consumer: str, sequence: int) -> None: ...
    async def status(self) -> LogStatus: ...


class Source(Protocol):
    """Where decoded blocks come from (see `readings.feed.Feed`)."""

    def read(self, after: int) -> AsyncIterator[list[Decoded]]: ...


class Decodes(Protocol):
    """The decoder, as far as it is needed here (see `readings.decoder.Decoder`)."""

    async def decode(self, entry: Entry) -> Decoded: ...


async def check_log(log: Blocks, history: History) -> int:
    """The last block that the history has something of.

    Raises LogReplacedError when the log cannot be the one that the history came from.
    """
    known = block.sequence(await asyncio.to_thread(history.newest_position))
    last = (await log.status()).last
    if last < known:
        raise log_replaced(last, known)
    return known


class Ingest:
    """Takes the log into the history.

    To be seen from outside: `sequence` is the last block that is in the history for good, `rows` the readings
    inserted since the start, `trouble` what keeps the historian from going on ("" when nothing does).
    """

    def __init__(self, log: Blocks, source: Source, decoder: Decodes, history: History) -> None:
        self._log = log
        self._source = source
        self._decoder = decoder
        self._history = history
        self._waiting: list[Decoded] = []
        self._waiting_rows = 0
        self._changed = asyncio.Condition()
        #: When what waited was taken last (the loop's clock).
        self._taken_at = -math.inf
        self._reading = True
        self._given_up = False
        #: Readings inserted since the last rollup of hours that came long after their time.
        self._late = 0
        #: Readings inserted by the time that a rollup last looked, and that time.
        self._seen = (0, time.monotonic())
        #: The block after which to begin; None: after the one whose position is kept.
        self.begins: int | None = None
        self.sequence = 0
        self.rows = 0
        self.trouble = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Take until the source ends, as it does when `stop` is set; what was taken is inserted before this returns."""
        self.sequence = await self._log.position(CONSUMER) if self.begins is None else self.begins
        found = self._source.read(self.sequence)
        async with asyncio.TaskGroup() as tasks:
            upkeep = tasks.create_task(self._roll_up(), name="rollups")
            inserting = tasks.create_task(self._insert_all(stop), name="inserts")
            try:
                await self._read(found)
            finally:
                async with self._changed:
                    self._reading = False
                    self._changed.notify_all()
            await inserting
            self._history.stop_rollups()
            upkeep.cancel()

    # Reading

    async def _read(self, source: AsyncIterator[list[Decoded]]) -> None:
        async for found in source:
            for decoded in found:
                async with self._changed:
                    self._waiting.append(decoded)
                    self._waiting_rows += decoded.readings.num_rows
                    self._changed.notify_all()
                    await self._changed.wait_for(self._room)

    def _room(self) -> bool:
        return self._given_up or (
            self._waiting_rows < settings.WAITING_ROWS_MAX and len(self._waiting) < settings.WAITING_BLOCKS_MAX
        )

    # Inserting

    async def _insert_all(self, stop: asyncio.Event) -> None:
        while True:
            taken = await self._take()
            if not taken:
                return
            if not await self._inserted(taken, stop):
                return
            self.sequence = taken[-1].sequence
            self.rows += sum(decoded.readings.num_rows for decoded in taken)
            self._late += sum(_late(decoded) for decoded in taken)
            # A position that is not kept now is kept with the next insert; until then blocks may come twice.
            with contextlib.suppress(LogUnavailableError):
                await self._log.save_position(CONSUMER, self.sequence)

    async def _take(self) -> list[Decoded]:
        """What is waiting, as soon as it is much or has waited long enough. Nothing at the end."""
        loop = asyncio.get_running_loop()
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or not self._reading)
            wait_s = max(settings.INSERT_WAIT_S, self._taken_at + settings.INSERT_EVERY_S - loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait_for(
                        lambda: (
                            not self._reading or not self._room() or self._waiting_rows >= settings.INSERT_ROWS_ENOUGH
                        )
                    )
            self._taken_at = loop.time()
            taken, self._waiting, self._waiting_rows = self._waiting, [], 0
            self._changed.notify_all()
            return taken

    async def _insert(self, taken: Sequence[Decoded]) -> None:
        """Insert all, or, when the engine refuses some of it for what it is, all but the blocks that it refuses."""
        if await self._refusal(taken) is None:
            return
        after = self.sequence
        for decoded in taken:
            if await self._refusal([decoded]) is not None:
                await self._insert_apart(after, decoded.sequence)
            after = decoded.sequence

    async def _insert_apart(self, after: int, last: int) -> None:
        """Insert block after block, as the log has them; one that is refused is kept as a reject."""
        for sequence in range(after + 1, last + 1):
            entry = await self._log.get(sequence)
            if entry is None:
                continue
            try:
                decoded = await self._decoder.decode(entry)
            except Exception as error:
                _LOGGER.exception("block %d cannot be decoded; it is kept as a reject", sequence)
                decoded = put_aside(entry, f"the block cannot be decoded: {error!r}")
            refusal = await self._refusal([decoded])
            if refusal is not None:
                _LOGGER.error("block %d cannot be inserted; it is kept as a reject: %s", sequence, refusal.detail)
                reject = put_aside(entry, f"the block cannot be inserted: {refusal.detail}")
                await asyncio.to_thread(self._history.insert, [reject])

    async def _refusal(self, taken: Sequence[Decoded]) -> AllthingsError | None:
        """Insert; why the engine refuses it for what it is, or None. Raises UnavailableError."""
        try:
            await asyncio.to_thread(self._history.insert, taken)
        except UnavailableError:
            raise
        except AllthingsError as error:
            return error
        return None

    async def _inserted(self, taken: Sequence[Decoded], stop: asyncio.Event) -> bool:
        """Insert, again and again until the engine takes it. False when it does not and `stop` is set."""
        pause_s = settings.RETRY_FIRST_S
        while True:
            try:
                await self._insert(taken)
            except UnavailableError as error:
                if not self.trouble:
                    _LOGGER.warning("the history does not take readings; trying again: %s", error.detail)
                self.trouble = error.detail
                if stop.is_set():
                    return await self._give_up()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await stop.wait()
                pause_s = min(pause_s * 2, settings.RETRY_MOST_S)
            else:
                if self.trouble:
                    _LOGGER.info("the history takes readings again")
                self.trouble = ""
                return True

    async def _give_up(self) -> bool:
        """Let the reader go on to its end; what was read and not inserted is read again another time."""
        async with self._changed:
            self._given_up = True
            self._changed.notify_all()
        return False

    # Rolling up

    async def _roll_up(self) -> None:
        """Roll up now and then, for a part of the time only when much comes in, and not while inserts are behind."""
        loop = asyncio.get_running_loop()
        minutes, minutes_at = self.sequence, loop.time()
        # The run before this one may have ended before it came to the hours.
        hours, hours_at = -1, -math.inf
        while True:
            await asyncio.sleep(settings.ROLLUP_EVERY_S)
            sequence, late, began = self.sequence, self._late, loop.time()
            # Until then questions take more from the readings; what is not inserted they do not see at all.
            if self._waiting_rows >= settings.BEHIND_ROWS and began - minutes_at < settings.ROLLUP_AFTER_S:
                continue
            due = began - hours_at >= settings.ROLLUP_UPPER_EVERY_S or late >= settings.ROLLUP_UPPER_LATE_ROWS
            upper = hours != sequence and due
            if minutes == sequence and not upper:
                continue
            position = block.position(sequence + 1, 0) - 1
            try:
                await asyncio.to_thread(self._history.rollup, position, upper=upper, rest=self._rest)
            except AllthingsError as error:
                _LOGGER.warning("rolling up failed; it will be tried again: %s", error.detail)
            else:
                minutes, minutes_at = sequence, began
                if upper:
                    hours, hours_at = sequence, began
                    self._late -= late

    def _rest(self, took_s: float) -> float:
        """How long a rollup rests after a part of it: not at all unless much has come in since the last one."""
        (rows, at), self._seen = self._seen, (self.rows, time.monotonic())
        busy = self._seen[0] - rows > settings.BUSY_ROWS_PER_S * (self._seen[1] - at)
        return took_s * settings.ROLLUP_REST if busy else 0.0


def _late(decoded: Decoded) -> int:
    """How many readings are older than any that is under way, so that hours are made of them that were finished."""
    readings = decoded.readings
    time, received = (readings.column(name).cast(pa.int64()) for name in ("time", "received"))
    return int(pc.sum(pc.greater(pc.subtract(received, time), settings.NS_PER_HOUR)).as_py() or 0)
