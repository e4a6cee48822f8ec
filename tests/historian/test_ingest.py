"""The historian as a consumer of the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from allthings.historian import settings
from allthings.historian.errors import HistorianUnavailableError, LogReplacedError, QueryRefusedError
from allthings.historian.history import History
from allthings.historian.ingest import CONSUMER, Ingest
from allthings.historian.query import HistoryQuery
from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import LogStatus
from allthings.readings.decoded import Decoded
from tests.historian.blocks import T0, decoded


class ListLog:
    """A log in a list, as `Ingest` sees one."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.positions: dict[str, int] = {}
        self.arrived = asyncio.Event()
        self.saving_fails = 0

    def add(self, count: int) -> None:
        for _ in range(count):
            self.entries.append(Entry(len(self.entries) + 1, b"damaged", T0))
        self.arrived.set()

    async def read(self, after: int, *, stop: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]:
        assert stop is not None
        stopped = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            self.arrived.clear()
            if entries := self.entries[after:]:
                after += len(entries)
                yield entries
            else:
                arrived = asyncio.ensure_future(self.arrived.wait())
                await asyncio.wait([arrived, stopped], return_when=asyncio.FIRST_COMPLETED)
                arrived.cancel()
        stopped.cancel()

    async def position(self, consumer: str) -> int:
        return self.positions.get(consumer, 0)

    async def save_position(self, consumer: str, sequence: int) -> None:
        if self.saving_fails:
            self.saving_fails -= 1
            raise LogUnavailableError("not now")
        self.positions[consumer] = sequence

    async def status(self) -> LogStatus:
        return LogStatus(1, len(self.entries), 0, len(self.entries), self.positions, {})


class Rows:
    """Decodes block n as one reading of the value n."""

    def __init__(self, broken: Sequence[int] = ()) -> None:
        self.broken = broken

    async def decode(self, entry: Entry) -> Decoded:
        if entry.sequence in self.broken:
            raise ValueError("a fault of ours")
        return decoded(entry.sequence, [("t", "p", T0 + entry.sequence, float(entry.sequence))])


class Failing(History):
    """Fails as an engine would."""

    failures = 0
    refused: tuple[int, ...] = ()

    def insert(self, decoded: Sequence[Decoded]) -> None:
        if self.failures:
            self.failures -= 1
            raise HistorianUnavailableError("the disk is full")
        if any(each.sequence in self.refused and each.readings.num_rows for each in decoded):
            raise QueryRefusedError("no such number")
        super().insert(decoded)


async def until(ingest: Ingest, sequence: int) -> None:
    async with asyncio.timeout(30):
        while ingest.sequence < sequence:
            await asyncio.sleep(0.01)


def values(history: History) -> list[float]:
    (series,) = history.history(HistoryQuery((("t", "p"),)))
    return series.table.column("value").to_pylist()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INSERT_WAIT_S", 0.01)
    monkeypatch.setattr(settings, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(settings, "RETRY_MOST_S", 0.02)


async def test_what_is_read_is_inserted_and_the_position_kept(history: History) -> None:
    log, stop = ListLog(), asyncio.Event()
    ingest = Ingest(log, Rows(), history)
    log.add(3)
    running = asyncio.create_task(ingest.run(stop))
    await until(ingest, 3)
    log.add(2)
    await until(ingest, 5)
    log.add(1)
    stop.set()
    await running
    assert values(history)[:5] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert ingest.rows == len(values(history)) == log.positions[CONSUMER] == ingest.sequence
    # Another one goes on where this one stood, and one without a position doubles nothing.
    for position in (log.positions[CONSUMER], 0):
        log.positions[CONSUMER] = position
        stop = asyncio.Event()
        ingest = Ingest(log, Rows(), history)
        running = asyncio.create_task(ingest.run(stop))
        await until(ingest, 6)
        stop.set()
        await running
        assert values(history) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


async def test_blocks_are_inserted_together(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INSERT_ROWS_MAX", 10)
    monkeypatch.setattr(settings, "WAITING_ROWS_MAX", 20)
    log, stop, sizes = ListLog(), asyncio.Event(), list[int]()
    insert = history.insert
    monkeypatch.setattr(history, "insert", lambda blocks: (sizes.append(len(blocks)), insert(blocks)))
    log.add(100)
    ingest = Ingest(log, Rows(), history)
    running = asyncio.create_task(ingest.run(stop))
    await until(ingest, 100)
    stop.set()
    await running
    assert sum(sizes) == 100
    assert max(sizes) <= 20
    assert len(sizes) <= 20


async def test_an_engine_that_fails_is_tried_again(tmp_path: object, history: History) -> None:
    history.close()
    failing = Failing(history._dsn)
    failing.open()
    log, stop = ListLog(), asyncio.Event()
    try:
        failing.failures = 10**9
        ingest = Ingest(log, Rows(), failing)
        log.add(2)
        running = asyncio.create_task(ingest.run(stop))
        async with asyncio.timeout(10):
            while not ingest.trouble:
                await asyncio.sleep(0.01)
        assert ingest.trouble == "the disk is full"
        assert log.positions == {}
        failing.failures = 2
        await until(ingest, 2)
        assert ingest.trouble == ""
        assert values(failing) == [1.0, 2.0]
        # Stopping does not wait for an engine that does not come back.
        failing.failures = 10**9
        log.add(1)
        async with asyncio.timeout(10):
            while not ingest.trouble:
                await asyncio.sleep(0.01)
            stop.set()
            await running
        assert log.positions == {CONSUMER: 2}
    finally:
        failing.close()


async def test_one_bad_block_does_not_stop_the_stream(history: History) -> None:
    history.close()
    failing = Failing(history._dsn)
    failing.open()
    failing.refused = (4,)
    log, stop = ListLog(), asyncio.Event()
    try:
        ingest = Ingest(log, Rows(broken=[2]), failing)
        log.add(5)
        running = asyncio.create_task(ingest.run(stop))
        await until(ingest, 5)
        stop.set()
        await running
        assert values(failing) == [1.0, 3.0, 5.0]
        rejects = failing.rejects().items
        assert [reject.position for reject in rejects] == [block.position(4, 0), block.position(2, 0)]
        assert [reject.payload for reject in rejects] == [b"damaged", b"damaged"]
        assert "no such number" in rejects[0].reason
        assert "a fault of ours" in rejects[1].reason
    finally:
        failing.close()


async def test_a_position_that_cannot_be_kept_is_kept_later(history: History) -> None:
    log, stop = ListLog(), asyncio.Event()
    log.saving_fails = 1
    ingest = Ingest(log, Rows(), history)
    log.add(1)
    running = asyncio.create_task(ingest.run(stop))
    await until(ingest, 1)
    assert log.positions == {}
    log.add(1)
    await until(ingest, 2)
    stop.set()
    await running
    assert log.positions == {CONSUMER: 2}


async def test_another_log_is_refused(history: History) -> None:
    history.insert([decoded(7, [("t", "p", T0, 1.0)])])
    log = ListLog()
    log.add(6)
    with pytest.raises(LogReplacedError, match="ends at block 6"):
        await Ingest(log, Rows(), history).run(asyncio.Event())


async def test_rollups_run_beside(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ROLLUP_EVERY_S", 0.01)
    monkeypatch.setattr(settings, "ROLLUP_UPPER_EVERY_S", 0.0)
    log, stop = ListLog(), asyncio.Event()
    ingest = Ingest(log, Rows(), history)
    log.add(3)
    running = asyncio.create_task(ingest.run(stop))
    async with asyncio.timeout(30):
        while await asyncio.to_thread(history.rolled_up) < block.position(4, 0) - 1:
            await asyncio.sleep(0.01)
    stop.set()
    await running
