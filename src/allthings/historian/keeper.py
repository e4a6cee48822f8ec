"""Keeps a history going beside the rest of the platform, also when it cannot be had or has lost something.

A history that cannot be opened is tried again, and nothing else waits for it: devices are acknowledged by the log, and
what they sent is inserted once the history is there. While it is open the log is taken in, the ledger is kept, damage
is looked for when the engine met some, and what is missing is read from the log again, beside what comes in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec

from allthings.historian import settings, words
from allthings.historian.errors import HistorianUnavailableError, QueryCancelledError
from allthings.historian.history import History
from allthings.historian.ingest import CONSUMER, Blocks, Ingest, Source
from allthings.historian.ledger import Missing
from allthings.historian.losses import Gone
from allthings.log.errors import LogUnavailableError
from allthings.readings.decoded import Decoded
from allthings.things.errors import AllthingsError

_LOGGER = logging.getLogger(__name__)
_SHOWN_MAX: Final = 5


class Checked(msgspec.Struct):
    """What a thorough look at a history found: damaged parts, and readings that are counted and not there."""

    damaged: list[str] = []
    uncounted: int = 0


class Keeper:
    """Of one history. To be seen from outside: `open`, `away` (why it is not), `healing` (what is being made anew)."""

    def __init__(
        self,
        log: Blocks,
        source: Source,
        history: History,
        ingest: Ingest,
        *,
        opened: Callable[[int], Awaitable[None]],
        mended: Callable[[], Awaitable[None]],
    ) -> None:
        """`opened` is called when the history is there, with the block up to which it is complete; `mended` when
        readings of the past are there again. Either may raise HistorianUnavailableError."""
        self._log = log
        self._source = source
        self._history = history
        self._ingest = ingest
        self._opened = opened
        self._mended = mended
        self._wanted = asyncio.Event()
        self._whole = asyncio.Event()
        self._looking = asyncio.Lock()
        self._errors = 0
        self._look_at = 0.0
        self.open = False
        self.away = history.away
        self.healing = ""

    async def try_open(self) -> bool:
        """Open the history; whether it is open now. Why not is said.

        Raises LogUnavailableError, and what `opened` raises.
        """
        if self.open:
            return True
        try:
            await asyncio.to_thread(self._history.open)
            await self._begin()
        except HistorianUnavailableError as error:
            if error.detail != self.away:
                _LOGGER.error("the history cannot be had; devices are served without it: %s", error.detail)
            self.away = error.detail
            await asyncio.to_thread(self._history.close, error.detail)
            return False
        self.open, self.away = True, ""
        return True

    async def _begin(self) -> None:
        """Find out where to go on. What is damaged is put aside on the way."""
        while True:
            try:
                position = await self._log.position(CONSUMER)
                self._ingest.begins = await asyncio.to_thread(self._history.begins_at, position)
                await self._opened(self._ingest.begins)
                self._errors = await asyncio.to_thread(self._history.errors_met)
                return
            except HistorianUnavailableError:
                if not await self._look():
                    raise

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        pause_s = settings.OPEN_FIRST_S
        while not await self._try_again():
            if await _set_within(stop, pause_s):
                return
            pause_s = min(2 * pause_s, settings.OPEN_MOST_S)
        if pause_s > settings.OPEN_FIRST_S:
            _LOGGER.warning("the history is there again")
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(self._watch(), name="history's watch"),
                tasks.create_task(self._heal(), name="history's healing"),
            ]
            try:
                await self._ingest.run(stop)
            finally:
                for task in beside:
                    task.cancel()
        try:
            await asyncio.to_thread(self._history.keep_ledger, last=True)
        except AllthingsError as error:
            # What it does not tell is read from the log once more at the next start.
            _LOGGER.warning("the history's ledger is not as new as the history: %s", error.detail)

    async def _try_again(self) -> bool:
        try:
            return await self.try_open()
        except LogUnavailableError as error:
            _LOGGER.info("the history waits for the log: %s", error.detail)
            return False

    def safe(self, finished: int) -> int:
        """The block up to which the log may be trimmed, when the position kept in it is `finished`."""
        if not self.open:
            return 0
        low = [each.low for each in self._history.missing if each.low]
        return min([finished, self._ingest.sequence, *(first - 1 for first in low)])

    # Damage

    async def _watch(self) -> None:
        """Write down what there is, and look for damage when the engine met some."""
        while True:
            await asyncio.sleep(settings.LEDGER_EVERY_S / 5)
            try:
                await asyncio.to_thread(self._history.keep_ledger)
                met = await asyncio.to_thread(self._history.errors_met)
                if met > self._errors and time.monotonic() >= self._look_at:
                    await self._look()
            except QueryCancelledError:
                # It is about to be closed.
                continue
            except AllthingsError as error:
                _LOGGER.warning("the history cannot be looked at; trying again: %s", error.detail)
            except Exception:
                _LOGGER.exception("the history cannot be looked at; trying again")

    async def _look(self) -> list[Missing]:
        async with self._looking:
            _LOGGER.warning("the history's engine met something that cannot be read; looking through all parts")
            found = await asyncio.to_thread(self._history.look_for_damage)
            self._errors = await asyncio.to_thread(self._history.errors_met)
            self._look_at = time.monotonic() + (0.0 if found else settings.LOOK_EVERY_S)
            if found:
                self._wanted.set()
            return found

    async def check(self) -> Checked:
        """Look through all parts, and compare what they count; return when what is missing is mended, or lost."""
        async with self._looking:
            damaged = await asyncio.to_thread(self._history.look_for_damage)
            self._errors = await asyncio.to_thread(self._history.errors_met)
        await self._until_whole()
        uncounted = await asyncio.to_thread(self._history.compare)
        await self._until_whole()
        return Checked([words.missing(each) for each in damaged], uncounted)

    async def _until_whole(self) -> None:
        self._whole.clear()
        self._wanted.set()
        await self._whole.wait()

    # Healing

    async def _heal(self) -> None:
        """Make anew what is missing, again and again until nothing is."""
        while True:
            self._wanted.clear()
            missing = self._history.missing
            if missing:
                self.healing = "; ".join(words.missing(each) for each in missing[:_SHOWN_MAX])
                try:
                    await self._mend(missing)
                except AllthingsError as error:
                    _LOGGER.warning("what is missing cannot be made anew; trying again: %s", error.detail)
                    await asyncio.sleep(settings.RETRY_MOST_S)
                except Exception:
                    _LOGGER.exception("what is missing cannot be made anew; trying again")
                    await asyncio.sleep(settings.RETRY_MOST_S)
            if not self._history.missing:
                self.healing = ""
                self._whole.set()
                await self._wanted.wait()

    async def _mend(self, missing: list[Missing]) -> None:
        status = await self._log.status()
        first = await self._log.get(status.first) if status.blocks else None
        wanted = [each for each in missing if each.low]
        if wanted:
            low = max(min(each.low for each in wanted), status.first)
            high = min(max(each.high for each in wanted), status.last)
            if low <= high:
                _LOGGER.warning("reading blocks %d to %d of the log once more for the history", low, high)
                await self._read_again(low - 1, high)
        gone = Gone(status.first, first.stored_ns if first else 0)
        lost = await asyncio.to_thread(self._history.mend, missing, gone)
        await self._mended()
        _LOGGER.warning(
            "the history is %s", "as whole as the log could make it" if lost else "whole again: nothing is lost"
        )

    async def _read_again(self, after: int, upto: int) -> None:
        """Insert blocks after `after` up to `upto` once more; rows that are there stay as they are."""
        taken: list[Decoded] = []
        rows, began = 0, time.monotonic()
        # Blocks at the end may be gone from the middle of the log, and then nothing comes for them.
        with contextlib.suppress(TimeoutError):
            source = self._source.read(after)
            async with asyncio.timeout(settings.HEAL_QUIET_S) as limit, aclosing(source):  # type: ignore[type-var]
                async for found in source:
                    limit.reschedule(None)
                    taken += found
                    rows += sum(decoded.readings.num_rows for decoded in found)
                    reached = found[-1].sequence >= upto
                    if reached or rows >= settings.HEAL_ROWS:
                        await asyncio.to_thread(self._history.insert, taken, after)
                        after, taken, rows = taken[-1].sequence, [], 0
                        await asyncio.sleep((time.monotonic() - began) * settings.HEAL_REST)
                        began = time.monotonic()
                    if reached:
                        return
                    limit.reschedule(asyncio.get_running_loop().time() + settings.HEAL_QUIET_S)
        if taken:
            await asyncio.to_thread(self._history.insert, taken, after)


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
