"""A history with something of everything, the log that it came from, and ways to damage it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from allthings.historian.buckets import bucket
from allthings.historian.history import History
from allthings.historian.ingest import CONSUMER, Ingest
from allthings.historian.keeper import Keeper
from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.stream import LogStatus
from allthings.readings.decoded import Decoded, Event, Reject
from allthings.readings.feed import Feed
from tests.historian.blocks import T0, S, decoded, end_of

DAY = 86_400 * S
BLOCKS = 12
#: Rollups are made up to here.
ROLLED_UP = 10
THINGS = ("a", "b", "c")
_LEVELS = {"readings_1m": 60, "readings_1h": 3_600, "readings_1d": 86_400}


def content(sequence: int) -> Decoded:
    """A block: readings of all things, those of even blocks a month before; an event and a reject."""
    start = T0 + sequence * 600 * S - (sequence % 2) * 40 * DAY
    rows = [(thing, "p", start + i * S, float(sequence * 100 + i)) for thing in THINGS for i in range(40)]
    # Each block also corrects a reading of the block two before it.
    rows += [("a", "p", start - 1_200 * S, -float(sequence))]
    position = block.position(sequence, 500)
    return decoded(
        sequence,
        rows,
        rejects=[Reject(position, start, "c", "t", "why", b"p%d" % sequence)],
        events=[Event(position, start, start, "a", "e", str(sequence))],
    )


class ListedLog:
    """The log in memory: blocks `first` to `last`."""

    def __init__(self, last: int = BLOCKS, *, position: int = BLOCKS, first: int = 1) -> None:
        self.first, self.last = first, last
        self.positions = {CONSUMER: position}
        self.read_from: list[int] = []

    async def read(self, after: int, *, stop: asyncio.Event | None = None) -> AsyncIterator[list[Entry]]:
        assert stop is not None
        self.read_from.append(after)
        for sequence in range(max(after + 1, self.first), self.last + 1):
            yield [Entry(sequence, b"", T0)]
        await stop.wait()

    async def get(self, sequence: int) -> Entry | None:
        return Entry(sequence, b"", T0 + sequence * S) if self.first <= sequence <= self.last else None

    async def position(self, consumer: str) -> int:
        return self.positions.get(consumer, 0)

    async def save_position(self, consumer: str, sequence: int) -> None:
        self.positions[consumer] = sequence

    async def status(self) -> LogStatus:
        return LogStatus(self.first, self.last, 0, self.last - self.first + 1, self.positions, {})


class Content:
    """Decodes a block of the log."""

    async def decode(self, entry: Entry) -> Decoded:
        return content(entry.sequence)

    async def decode_all(self, entries: Sequence[Entry]) -> list[Decoded]:
        return [content(entry.sequence) for entry in entries]


class Kept:
    """A keeper under way over a log, beside its feed."""

    def __init__(self, history: History, log: ListedLog) -> None:
        self.log = log
        self.stop = asyncio.Event()
        self.feed = Feed(log, Content())
        self.ingest = Ingest(log, self.feed, Content(), history)
        self.mended = 0
        self.keeper = Keeper(log, self.feed, history, self.ingest, opened=self._opened, mended=self._mended)
        self._history = history
        self._tasks: list[asyncio.Task[None]] = []

    async def _opened(self, sequence: int) -> None:
        await asyncio.to_thread(self._history.current)

    async def _mended(self) -> None:
        self.mended += 1

    async def __aenter__(self) -> Kept:
        self._tasks = [
            asyncio.create_task(self.feed.run(self.log.last, self.stop)),
            asyncio.create_task(self.keeper.run(self.stop)),
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop.set()
        await asyncio.gather(*self._tasks)

    async def whole(self) -> None:
        """Wait until it is open, has come to the log's end, and nothing is missing."""
        async with asyncio.timeout(15):
            while (
                not (self.keeper.open and self.ingest.sequence == self.log.last and not self._history.missing)
                or self.keeper.healing
            ):
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)


def history_at(folder: Path) -> History:
    return History(f"chdb://{folder}/history", folder / "ledger")


def make(folder: Path) -> None:
    """The history of all blocks, closed: several parts, of which some are merged, rolled up but for the last."""
    history = history_at(folder)
    history.open()
    history.begins_at(0)
    for sequence in range(1, BLOCKS + 1):
        history.insert([content(sequence)])
        history.keep_ledger(last=True)
        if sequence == 6:
            history._engine.work.run("OPTIMIZE TABLE readings FINAL")
        if sequence in (5, ROLLED_UP):
            history.rollup(end_of(sequence))
    history.keep_ledger(last=True)
    history.close()


def folders(folder: Path, table: str) -> list[Path]:
    """All parts of a table on disk, also those that were merged into others."""
    sql = next((folder / "history/store").glob(f"*/*/{table}.sql")).read_text()
    uuid = sql.split("UUID '")[1].split("'")[0]
    return [path for path in (folder / "history/store" / uuid[:3] / uuid).glob("*_*_*_*") if path.is_dir()]


def parts(folder: Path, table: str) -> list[Path]:
    """The parts of a table on disk that nothing was made of, of its newest blocks last."""
    found = folders(folder, table)
    active = [path for path in found if not any(_merged_into(path, other) for other in found if other != path)]
    return sorted(active, key=lambda path: int(path.name.split("_")[2]))


def _merged_into(part: Path, other: Path) -> bool:
    partition, first, last, level = part.name.split("_")[:4]
    found, start, end, above = other.name.split("_")[:4]
    return found == partition and int(start) <= int(first) and int(end) >= int(last) and int(above) > int(level)


def flip(path: Path, count: int = 16) -> None:
    """Turn bits in the middle of a file."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    for place in range(middle, min(middle + count, len(data))):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def of_part(table: str, number: int, damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: damage(parts(folder, table)[number])


def definition(name: str, damage: Callable[[Path], None]) -> Callable[[Path], None]:
    return lambda folder: damage(next((folder / "history/store").glob(f"*/*/{name}.sql")))


def assert_whole(history: History) -> None:
    """Every reading is there once, rollups agree with the readings, and current values, events, rejects are right."""
    rows = history._engine.query.rows("SELECT thing, time, number FROM readings FINAL")
    want: dict[tuple[str, int], float] = {}
    for sequence in range(1, BLOCKS + 1):
        table = content(sequence).readings
        times = table.column("time").cast("int64").to_pylist()
        for thing, time, number in zip(
            table.column("thing").to_pylist(), times, table.column("number").to_pylist(), strict=True
        ):
            want[thing, time] = number
    assert len(rows) == len(want)
    assert {(thing, time): number for thing, time, number in rows} == want
    assert_rollups(history)
    current = history.current().to_pydict()
    newest = {thing: max(time for name, time in want if name == thing) for thing in THINGS}
    assert dict(zip(current["thing"], current["number"], strict=True)) == {
        thing: want[thing, time] for thing, time in newest.items()
    }
    assert [reject.payload for reject in history.rejects().items] == [b"p%d" % n for n in range(BLOCKS, 0, -1)]
    assert sorted(int(event.data) for event in history.events().items) == list(range(1, BLOCKS + 1))


def assert_rollups(history: History) -> None:
    """What the rollups answer is what the readings answer; also once everything is rolled up."""
    for _ in range(2):
        for table, seconds in _LEVELS.items():
            columns = "thing, t, c, lo, hi, s, f, l"
            rolled = history._engine.query.rows(
                f"SELECT {columns} FROM (SELECT thing, time AS t, count AS c, min AS lo, max AS hi, sum AS s, "
                f"first AS f, last AS l FROM sql_{table}) ORDER BY thing, t"
            )
            plain = history._engine.query.rows(
                f"SELECT {columns} FROM (SELECT thing, {bucket('time', seconds * S)} AS t, "
                "count() AS c, min(number) AS lo, max(number) AS hi, sum(number) AS s, argMin(number, time) AS f, "
                "argMax(number, time) AS l FROM readings FINAL GROUP BY thing, t) ORDER BY thing, t"
            )
            assert rolled == plain, table
        history.rollup(max(history.newest_position(), end_of(BLOCKS)))
