"""The log, read and decoded once for several consumers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from allthings.log.entry import Entry
from allthings.readings import feed as feed_module
from allthings.readings.decode import decode_all
from allthings.readings.decoded import Decoded
from allthings.readings.feed import Feed
from allthings.readings.model import Model
from tests.readings.blocks import Message, entry_of


class ListLog:
    """A log in a list."""

    def __init__(self, blocks: int = 0) -> None:
        self.entries: list[Entry] = []
        self.first = 1
        self.reads: list[int] = []
        self._arrived = asyncio.Event()
        self.add(blocks)

    def add(self, blocks: int) -> None:
        for _ in range(blocks):
            sequence = len(self.entries) + 1
            self.entries.append(entry_of([Message("things/a/properties", b'{"n":%d}' % sequence)], sequence))
        self._arrived.set()

    async def read(self, after: int, *, stop: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]:
        assert stop is not None
        self.reads.append(after)
        while not stop.is_set():
            self._arrived.clear()
            if entries := self.entries[max(after, self.first - 1) :][:3]:
                after = entries[-1].sequence
                yield entries
                await asyncio.sleep(0)
                continue
            waits = [asyncio.ensure_future(each.wait()) for each in (self._arrived, stop)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for each in waits:
                each.cancel()


class Decodes:
    """Decodes, and counts how often each block was."""

    def __init__(self, broken: int = 0) -> None:
        self.broken = broken
        self.times: dict[int, int] = {}

    async def decode_all(self, entries: Sequence[Any]) -> list[Decoded]:
        await asyncio.sleep(0)
        for entry in entries:
            self.times[entry.sequence] = self.times.get(entry.sequence, 0) + 1
            if entry.sequence == self.broken:
                raise ValueError("a fault of ours")
        return decode_all(entries, Model())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "FEED_EVERY_S", 0.0)


@contextlib.asynccontextmanager
async def running(log: ListLog, decoder: Decodes, after: int = 0) -> AsyncIterator[Feed]:
    feed, stop = Feed(log, decoder), asyncio.Event()
    task = asyncio.create_task(feed.run(after, stop))
    try:
        yield feed
    finally:
        stop.set()
        await task


class Consumer:
    """Takes what a feed gives, and notes it."""

    def __init__(self, feed: Feed, after: int = 0) -> None:
        self.source = feed.read(after)
        self.found: list[int] = []
        self.rejects: list[str] = []

    async def until(self, last: int) -> None:
        async with asyncio.timeout(10):
            while not self.found or self.found[-1] < last:
                for decoded in await anext(self.source):
                    self.found += [int(number) for number in decoded.readings.column("number").to_pylist()]
                    self.rejects += [reject.reason for reject in decoded.rejects]
                    assert decoded.rejects or decoded.sequence == self.found[-1]


async def test_consumers_share_the_work() -> None:
    log, decoder = ListLog(5), Decodes()
    async with running(log, decoder) as feed:
        consumers = [Consumer(feed), Consumer(feed), Consumer(feed, after=3)]
        await asyncio.gather(*(each.until(5) for each in consumers))
        log.add(4)
        await asyncio.gather(*(each.until(9) for each in consumers))
    assert [each.found for each in consumers] == [[*range(1, 10)], [*range(1, 10)], [*range(4, 10)]]
    assert set(decoder.times.values()) == {1}
    assert log.reads == [0]


async def test_it_goes_on_where_it_is_told_to() -> None:
    log, decoder = ListLog(9), Decodes()
    async with running(log, decoder, after=6) as feed:
        consumer = Consumer(feed, after=6)
        await consumer.until(9)
    assert consumer.found == [7, 8, 9]


@pytest.mark.parametrize("most", ["FEED_ROWS_MAX", "FEED_GROUPS_MAX"])
async def test_who_falls_behind_reads_for_itself(monkeypatch: pytest.MonkeyPatch, most: str) -> None:
    monkeypatch.setattr(feed_module, most, 4)
    monkeypatch.setattr(feed_module, "TOGETHER_BYTES_MAX", 1)
    log, decoder = ListLog(2), Decodes()
    async with running(log, decoder) as feed:
        quick, slow = Consumer(feed), Consumer(feed)
        await asyncio.gather(quick.until(2), slow.until(2))
        for last in (20, 40):
            log.add(last - len(log.entries))
            await quick.until(last)
            # While it reads the past, more comes.
            await asyncio.gather(slow.until(last - 5), quick.until(last))
        await asyncio.gather(slow.until(40), Consumer(feed, after=38).until(40))
        log.add(2)
        await asyncio.gather(quick.until(42), slow.until(42))
    assert quick.found == slow.found == [*range(1, 43)]
    assert len(log.reads) >= 2


async def test_a_consumer_far_behind_a_log_that_was_trimmed_comes_to_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "FEED_GROUPS_MAX", 2)
    monkeypatch.setattr(feed_module, "TOGETHER_BYTES_MAX", 1)
    log, decoder = ListLog(20), Decodes()
    async with running(log, decoder) as feed:
        await Consumer(feed).until(20)
        log.first = 17
        late = Consumer(feed)
        await late.until(20)
        log.first = 20
        later = Consumer(feed)
        await later.until(20)
    assert late.found == [17, 18, 19, 20]
    assert later.found[-1] == 20
    assert sorted(later.found) == later.found


async def test_what_all_were_given_is_dropped() -> None:
    log, decoder = ListLog(5), Decodes()
    async with running(log, decoder) as feed:
        first, second = Consumer(feed), Consumer(feed)
        await first.until(5)
        assert feed._kept
        await second.until(5)
        assert not feed._kept


async def test_a_block_that_cannot_be_decoded_is_put_aside_alone() -> None:
    log, decoder = ListLog(3), Decodes(broken=2)
    async with running(log, decoder) as feed:
        consumer = Consumer(feed)
        await consumer.until(3)
    assert consumer.found == [1, 3]
    assert len(consumer.rejects) == 1
    assert "a fault of ours" in consumer.rejects[0]


async def test_consumers_come_to_an_end_with_it() -> None:
    log, decoder = ListLog(1), Decodes()
    async with running(log, decoder) as feed:
        consumer = Consumer(feed)
        await consumer.until(1)
        waiting = asyncio.ensure_future(anext(consumer.source))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting


class HolesLog(ListLog):
    """It has lost some blocks."""

    async def read(self, after: int, *, stop: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]:
        async for entries in super().read(after, stop=stop):
            if there := [entry for entry in entries if entry.sequence not in (1, 4, 5)]:
                yield there


async def test_blocks_that_are_not_there_are_told() -> None:
    told: list[tuple[int, int]] = []
    stop = asyncio.Event()
    feed = Feed(HolesLog(9), Decodes(), lambda first, last: told.append((first, last)))
    reading = feed.read(0)
    running = asyncio.create_task(feed.run(0, stop))
    async with asyncio.timeout(30):
        while (await anext(reading))[-1].sequence < 9:
            pass
    stop.set()
    await running
    assert told == [(1, 1), (4, 5)]
