"""The twin as a consumer of the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from allthings.log.errors import LogUnavailableError
from allthings.readings.decoded import Decoded
from allthings.registry.seen import Seen
from allthings.registry.trouble import Trouble
from allthings.twin.settings import REPORT_EVERY_S, SAVE_POSITION_EVERY_S
from allthings.twin.twin import Twin

CONSUMER: Final = "twin"
_log = logging.getLogger(__name__)


class Positions(Protocol):
    """The log, as far as it is needed here (see `log.stream.Log`)."""

    async def save_position(self, consumer: str, sequence: int) -> None: ...


class Source(Protocol):
    """Where blocks come from (see `readings.feed.Feed`)."""

    def read(self, after: int) -> AsyncIterator[list[Decoded]]: ...


Observe = Callable[[list[Seen], int], int]


async def run(
    log: Positions, source: Source, twin: Twin, observe: Observe, *, stop: asyncio.Event, clock: Callable[[], int]
) -> None:
    """Take in the log from where the twin stands until the source ends, as it does when `stop` is set.

    `observe` takes what was discovered (`registry.things.observe`); it may block and is called in a thread. The
    position that is kept only tells how far the twin is: after a start it is loaded from the history.
    """
    trouble = Trouble(_log, "discovered things cannot be registered; trying again")
    async with asyncio.TaskGroup() as group:
        group.create_task(_report(twin, observe, stop, clock, trouble), name="twin discovery")
        group.create_task(_save_position(log, twin, stop), name="twin position")
        async for found in source.read(twin.sequence):
            for decoded in found:
                twin.apply(decoded)
        # Without a log to read there is nothing left to report.
        stop.set()
    # What would be told in a moment is told now, so that the next start has nothing to change.
    await _told(twin, observe, clock, trouble, last=True)


async def _report(
    twin: Twin, observe: Observe, stop: asyncio.Event, clock: Callable[[], int], trouble: Trouble
) -> None:
    while not await _stopped_within(stop, REPORT_EVERY_S):
        await _told(twin, observe, clock, trouble)


async def _told(
    twin: Twin, observe: Observe, clock: Callable[[], int], trouble: Trouble, *, last: bool = False
) -> None:
    """Tell the registry what is due."""
    report = twin.discovery.due(clock(), last=last)
    if report is None:
        return
    try:
        await asyncio.to_thread(observe, report.seen, clock())
    except Exception as error:  # noqa: BLE001 - a registry that fails must not stop the live feed
        trouble.tell(error)
    else:
        twin.discovery.confirm(report)


async def _save_position(log: Positions, twin: Twin, stop: asyncio.Event) -> None:
    saved = -1
    stopped = False
    while not stopped:
        stopped = await _stopped_within(stop, SAVE_POSITION_EVERY_S)
        if twin.sequence != saved:
            with contextlib.suppress(LogUnavailableError):
                sequence = twin.sequence
                await log.save_position(CONSUMER, sequence)
                saved = sequence


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
