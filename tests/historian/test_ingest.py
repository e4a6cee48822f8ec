"""The historian as a consumer of the log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest

from allthings.historian import settings
from allthings.historian.errors import HistorianUnavailableError, LogReplacedError, QueryRefusedError
from allthings.historian.history import History
from allthings.historian.ingest import CONSUMER, Ingest, check_log
from allthings.historian.query import HistoryQuery
from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import LogStatus
from allthings.readings.decoded import DECODED, Decoded
from allthings.readings.feed import Feed
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

    async def get(self, sequence: int) -> Entry | None:
        return self.entries[sequence - 1]

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
    """Decodes block n as one reading of the value n, or several blocks as one."""

    def __init__(self, broken: Sequence[int] = (), *, together: bool = False) -> None:
        self.broken = broken
        self.together = together
        self.late_ns = 0

    async def decode(self, entry: Entry) -> Decoded:
        return self._decode([entry])

    async def decode_all(self, entries: Sequence[Entry]) -> list[Decoded]:
        return [self._decode(entries)] if self.together else [self._decode([entry]) for entry in entries]

    def _decode(self, entries: Sequence[Entry]) -> Decoded:
        if any(entry.sequence in self.broken for entry in entries):
            raise ValueError("a fault of ours")
        rows = [("t", "p", T0 + entry.sequence, float(entry.sequence)) for entry in entries]
        made = decoded(entries[-1].sequence, rows)
        field = DECODED.field("received")
        received = pa.array([T0 + entry.sequence + self.late_ns for entry in entries], field.type)
        return replace(made, readings=made.readings.set_column(DECODED.get_field_index("received"), field, received))


class Failing(History):
    """Fails as an engine would."""

    failures = 0
    refused: tuple[int, ...] = ()

    def insert(self, decoded: Sequence[Decoded]) -> None:
        if self.failures:
            self.failures -= 1
            raise HistorianUnavailableError("the disk is full")
        if any(value in self.refused for each in decoded for value in each.readings.column("number").to_pylist()):
            raise QueryRefusedError("no such number")
        super().insert(decoded)


class Running:
    """A historian under way, fed from a log."""

    def __init__(self, log: ListLog, history: History, decoder: Rows | None = None) -> None:
        self.stop = asyncio.Event()
        decoder = decoder or Rows()
        self.feed = Feed(log, decoder)
        self.ingest = Ingest(log, self.feed, decoder, history)
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Ingest:
        after = await self._log.position(CONSUMER)
        self._tasks = [
            asyncio.create_task(self.feed.run(after, self.stop)),
            asyncio.create_task(self.ingest.run(self.stop)),
        ]
        return self.ingest

    async def __aexit__(self, *exc: object) -> None:
        self.stop.set()
        await asyncio.gather(*self._tasks)


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
    monkeypatch.setattr(settings, "INSERT_EVERY_S", 0.01)
    monkeypatch.setattr(settings, "RETRY_FIRST_S", 0.01)
    monkeypatch.setattr(settings, "RETRY_MOST_S", 0.02)


async def test_what_is_read_is_inserted_and_the_position_kept(history: History) -> None:
    log = ListLog()
    log.add(3)
    async with Running(log, history) as ingest:
        await until(ingest, 3)
        log.add(2)
        await until(ingest, 5)
        log.add(1)
    assert values(history)[:5] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert ingest.rows == len(values(history)) == log.positions[CONSUMER] == ingest.sequence
    # Another one goes on where this one stood, and one without a position doubles nothing.
    for position in (log.positions[CONSUMER], 0):
        log.positions[CONSUMER] = position
        async with Running(log, history) as ingest:
            await until(ingest, 6)
        assert values(history) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


async def test_blocks_are_inserted_together(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "INSERT_ROWS_ENOUGH", 10)
    monkeypatch.setattr(settings, "WAITING_ROWS_MAX", 20)
    log, sizes = ListLog(), list[int]()
    insert = history.insert
    monkeypatch.setattr(history, "insert", lambda blocks: (sizes.append(len(blocks)), insert(blocks)))
    log.add(100)
    async with Running(log, history) as ingest:
        await until(ingest, 100)
    assert sum(sizes) == 100
    assert max(sizes) <= 20
    assert len(sizes) <= 20


async def test_what_comes_soon_after_an_insert_waits_for_more(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "INSERT_EVERY_S", 3600)
    monkeypatch.setattr(settings, "INSERT_ROWS_ENOUGH", 5)
    log = ListLog()
    log.add(1)
    async with Running(log, history) as ingest:
        await until(ingest, 1)
        for _ in range(4):
            log.add(1)
            await asyncio.sleep(0.02)
        assert ingest.sequence == 1
        log.add(1)
        await until(ingest, 6)


async def test_an_engine_that_fails_is_tried_again(tmp_path: object, history: History) -> None:
    history.close()
    failing = Failing(history._dsn)
    failing.open()
    log = ListLog()
    try:
        failing.failures = 10**9
        log.add(2)
        async with Running(log, failing) as ingest:
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
        assert log.positions == {CONSUMER: 2}
    finally:
        failing.close()


@pytest.mark.parametrize("together", [False, True])
async def test_one_bad_block_does_not_stop_the_stream(history: History, together: bool) -> None:
    history.close()
    failing = Failing(history._dsn)
    failing.open()
    failing.refused = (4,)
    log = ListLog()
    try:
        log.add(5)
        async with Running(log, failing, Rows(broken=[2], together=together)) as ingest:
            await until(ingest, 5)
            # What was decoded as one is told apart again.
            log.add(3)
            failing.refused = (4, 7)
            await until(ingest, 8)
        assert values(failing) == [1.0, 3.0, 5.0, 6.0, 8.0]
        rejects = failing.rejects().items
        assert [reject.position for reject in rejects] == [block.position(place, 0) for place in (7, 4, 2)]
        assert [reject.payload for reject in rejects] == [b"damaged"] * 3
        assert "no such number" in rejects[0].reason
        assert "a fault of ours" in rejects[2].reason
    finally:
        failing.close()


async def test_a_position_that_cannot_be_kept_is_kept_later(history: History) -> None:
    log = ListLog()
    log.saving_fails = 1
    log.add(1)
    async with Running(log, history) as ingest:
        await until(ingest, 1)
        assert log.positions == {}
        log.add(1)
        await until(ingest, 2)
    assert log.positions == {CONSUMER: 2}


async def test_another_log_is_refused(history: History) -> None:
    history.insert([decoded(7, [("t", "p", T0, 1.0)])])
    log = ListLog()
    log.add(6)
    with pytest.raises(LogReplacedError, match="ends at block 6"):
        await check_log(log, history)
    log.add(1)
    await check_log(log, history)


async def test_rollups_run_beside(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ROLLUP_EVERY_S", 0.01)
    monkeypatch.setattr(settings, "ROLLUP_UPPER_EVERY_S", 0.0)
    log = ListLog()
    log.add(3)
    async with Running(log, history), asyncio.timeout(30):
        while await asyncio.to_thread(history.rolled_up) < block.position(4, 0) - 1:
            await asyncio.sleep(0.01)


async def test_hours_follow_late_readings_at_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they follow after their own, longer time, and with the first rollup of a run."""
    monkeypatch.setattr(settings, "ROLLUP_EVERY_S", 0.01)
    monkeypatch.setattr(settings, "ROLLUP_UPPER_LATE_ROWS", 5)
    made: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        history, "rollup", lambda position, *, upper, rest: made.append((block.sequence(position), upper))
    )
    log = ListLog()
    log.add(1)

    async def rolled_up(sequence: int) -> bool:
        """Whether hours were brought up on the way there."""
        async with asyncio.timeout(30):
            while not made or made[-1][0] < sequence:
                await asyncio.sleep(0.01)
        hours = any(upper for _, upper in made)
        made.clear()
        return hours

    rows = Rows()
    async with Running(log, history, rows):
        assert await rolled_up(1)
        log.add(4)
        assert not await rolled_up(5)
        rows.late_ns = settings.NS_PER_HOUR
        log.add(5)
        assert not await rolled_up(10)
        rows.late_ns = 2 * settings.NS_PER_HOUR
        log.add(4)
        assert not await rolled_up(14)
        log.add(1)
        assert await rolled_up(15)
        log.add(1)
        assert not await rolled_up(16)


async def test_rollups_rest_when_much_comes_in(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ROLLUP_EVERY_S", 0.01)
    rests: list[Callable[[float], float]] = []
    monkeypatch.setattr(history, "rollup", lambda position, *, upper, rest: rests.append(rest))
    log = ListLog()
    log.add(1)
    async with Running(log, history) as ingest, asyncio.timeout(30):
        while not rests:
            await asyncio.sleep(0.01)
        rests[0](0.0)
        ingest.rows += 100_000
        assert rests[0](2.0) == 2.0 * settings.ROLLUP_REST
        assert rests[0](2.0) == 0.0, "nothing has come since"


async def test_rollups_wait_while_inserts_are_behind(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ROLLUP_EVERY_S", 0.01)
    monkeypatch.setattr(settings, "BEHIND_ROWS", 2)
    goes_on = threading.Event()
    insert = history.insert

    def slowly(blocks: Sequence[Decoded]) -> None:
        insert(blocks)
        if blocks[-1].sequence > 3:
            goes_on.wait(30)

    monkeypatch.setattr(history, "insert", slowly)
    log, end = ListLog(), block.position(4, 0) - 1
    async with Running(log, history) as ingest:
        log.add(3)
        await until(ingest, 3)
        async with asyncio.timeout(30):
            while await asyncio.to_thread(history.rolled_up) < end:
                await asyncio.sleep(0.01)
        log.add(1)
        async with asyncio.timeout(30):
            while (await asyncio.to_thread(history.newest_position)) <= end:
                await asyncio.sleep(0.01)
        log.add(5)
        async with asyncio.timeout(30):
            while ingest._waiting_rows < 5:
                await asyncio.sleep(0.01)
        rolled_up: list[int] = []
        monkeypatch.setattr(history, "rollup", lambda position, **_: rolled_up.append(position))
        ingest.sequence = 4  # there would be something to roll up
        for _ in range(20):
            await asyncio.sleep(0.01)  # twenty times a chance to do what it must not
        assert not rolled_up
        monkeypatch.setattr(settings, "ROLLUP_AFTER_S", 0.0)
        async with asyncio.timeout(30):
            while not rolled_up:
                await asyncio.sleep(0.01)
        goes_on.set()
        await until(ingest, 9)
