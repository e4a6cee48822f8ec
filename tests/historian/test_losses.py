"""What the log no longer has is lost, and said: how much, of which things, of which times. Nothing else is lost."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from allthings.historian.history import History
from allthings.historian.ledger import Loss
from allthings.historian.query import HistoryQuery
from allthings.historian.retention import Keep, Retention
from allthings.historian.settings import NS_PER_DAY
from allthings.things.times import TIME_NS_MIN
from tests.historian import damaging
from tests.historian.blocks import T0, Row, S, decoded, end_of
from tests.historian.damaging import BLOCKS, THINGS, Kept, ListedLog, assert_rollups, assert_whole, history_at

#: The month of the readings of odd blocks.
_ODD = "202601"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    damaging.make(folder)
    return folder


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


@contextlib.contextmanager
def opened(folder: Path, position: int = BLOCKS) -> Iterator[History]:
    """The history, without anybody who keeps it going."""
    history = history_at(folder)
    history.open()
    try:
        history.begins_at(position)
        yield history
    finally:
        history.close()


@contextlib.asynccontextmanager
async def mended(folder: Path, log: ListedLog) -> AsyncIterator[tuple[History, list[Loss]]]:
    """The history after it was opened and mended, open, and what it has lost."""
    history = history_at(folder)
    try:
        async with Kept(history, log) as kept:
            await kept.whole()
            yield history, history.losses
    finally:
        history.close()


async def test_readings_that_only_rollups_know(folder: Path) -> None:
    with opened(folder) as history:
        before = days(history)
        count = history._engine.query.value("SELECT count() FROM readings FINAL")
    for part in damaging.folders(folder, "readings"):
        # With those that were merged since and are still on disk.
        if part.name.startswith(_ODD) and int(part.name.split("_")[2]) <= 10:
            shutil.rmtree(part)
    async with mended(folder, ListedLog(first=11)) as (history, losses):
        (loss,) = losses
        assert (loss.table, loss.things, loss.more) == ("readings", list(THINGS), 0)
        gone = count - history._engine.query.value("SELECT count() FROM readings FINAL")
        # A reading that was corrected since counts as gone.
        assert gone <= loss.rows <= gone + 1 > 1
        start = T0 - 40 * NS_PER_DAY
        assert start - NS_PER_DAY <= loss.start_ns < loss.end_ns == start + NS_PER_DAY
        # What is lost stays in the rollups, also when more comes for those minutes. The correction of a reading that
        # is lost counts as one more, as that of one that has expired.
        after = days(history)
        assert [row for row in after if row[0] != "a"] == [row for row in before if row[0] != "a"]
        assert sum(row[2] for row in after) == sum(row[2] for row in before) + 1
        history.insert([decoded(BLOCKS + 1, [("a", "p", start + 3_600 * S, 1.0)])])
        history.rollup(end_of(BLOCKS + 1))
        assert sum(row[2] for row in days(history)) == sum(row[2] for row in after) + 1
        assert history.compare() == 0
        assert history.missing == []


def days(history: History) -> list[tuple[str, int, int, float]]:
    rows = history._engine.query.rows("SELECT thing, time, count, sum FROM sql_readings_1d ORDER BY thing, time")
    return [(thing, time, count, total) for thing, time, count, total in rows]


async def test_everything_that_the_log_does_not_reach(folder: Path) -> None:
    shutil.rmtree(folder / "history")
    async with mended(folder, ListedLog(first=9)) as (history, losses):
        assert_rollups(history)
        found = {loss.table: loss for loss in losses}
        assert set(found) == {"readings", "events", "rejects"}
        loss = found["readings"]
        assert loss.things == list(THINGS)
        assert loss.start_ns == T0 - 40 * NS_PER_DAY - 600 * S
        assert loss.rows >= 8 * 40 * len(THINGS)
        assert loss.end_ns == history._engine.query.value("SELECT min(time) FROM readings WHERE time > '2026-02-01'")
        payloads = {reject.payload for reject in history.rejects().items}
        assert payloads == {b"p%d" % n for n in range(9, BLOCKS + 1)}
    with opened(folder) as history:
        # It is remembered, and not looked for again.
        assert history.losses == losses
        assert history.missing == []


async def test_a_history_that_nobody_wrote_down(folder: Path) -> None:
    shutil.rmtree(folder / "history")
    shutil.rmtree(folder / "ledger")
    async with mended(folder, ListedLog(first=9)) as (_, (loss,)):
        assert loss == Loss("readings", 0, TIME_NS_MIN, T0 + 9 * S)


@pytest.mark.parametrize("ledger", [True, False])
async def test_a_position_ahead_of_the_history(tmp_path: Path, base: Path, ledger: bool) -> None:
    """As when an older copy of the history was put back."""
    with opened(tmp_path, 0) as history:
        for sequence in range(1, 8):
            history.insert([damaging.content(sequence)])
        history.keep_ledger(last=True)
    shutil.rmtree(tmp_path / "ledger")
    if ledger:
        shutil.copytree(base / "ledger", tmp_path / "ledger")
        shutil.rmtree(tmp_path / "ledger/tables")
    async with mended(tmp_path, ListedLog()) as (history, losses):
        assert losses == []
        assert_whole(history)


async def test_what_came_after_the_ledger_is_read_once_more(folder: Path) -> None:
    """As after a kill: the newest parts are not written down, and one of them is gone."""
    with opened(folder) as history:
        for sequence in (BLOCKS + 1, BLOCKS + 2):
            history.insert([damaging.content(sequence)])
    shutil.rmtree(damaging.parts(folder, "readings")[-1])
    async with mended(folder, ListedLog(BLOCKS + 2, position=BLOCKS + 2)) as (history, losses):
        assert losses == []
        beyond = f"SELECT count() FROM readings FINAL WHERE position > {end_of(BLOCKS)}"
        assert history._engine.query.value(beyond) == 2 * 121


async def test_merges_retention_and_deletions_are_no_loss(tmp_path: Path) -> None:
    rows: list[Row] = [(thing, "p", T0 - i * 6 * 3_600 * S, float(i)) for thing in THINGS for i in range(1_500)]
    with opened(tmp_path, 0) as history:
        history.insert([decoded(1, rows), decoded(2, rows[:700])])
        history.keep_ledger(last=True)
        history._engine.work.run("OPTIMIZE TABLE readings FINAL")
        history.retain(T0 + 31 * NS_PER_DAY, Retention())
        history.retain(T0, Retention(Keep(None, None), {"a/p": Keep(7, 30, 60)}))
    async with mended(tmp_path, ListedLog(2, position=2)) as (history, losses):
        assert history.compare() == 0
        assert (losses, history.missing) == ([], [])
        # What is dropped next is written down only by its beginning, as when a kill comes between.
        history.keep_ledger(last=True)
        shutil.copytree(tmp_path / "ledger", tmp_path / "kept")
        with history.integrity.leaving("readings", "readings_1m", "readings_1h", "readings_1d"):
            shutil.copytree(tmp_path / "ledger", tmp_path / "during", dirs_exist_ok=True)
            for table in ("readings", "readings_1m", "readings_1h", "readings_1d"):
                history._engine.work.run(f"ALTER TABLE {table} DELETE WHERE thing = 'b' SETTINGS mutations_sync = 1")
            history._engine.work.run("ALTER TABLE readings DROP PARTITION 202601")
            history._engine.work.run("ALTER TABLE readings_1m DROP PARTITION 202601")
            history._engine.work.run("ALTER TABLE readings_1h DROP PARTITION 2026")
            history._engine.work.run("ALTER TABLE readings_1d DROP PARTITION 2026")
    shutil.rmtree(tmp_path / "ledger")
    shutil.move(tmp_path / "during", tmp_path / "ledger")
    log = ListedLog(2, position=2)
    async with mended(tmp_path, log) as (history, losses):
        assert set(log.read_from) == {2}, "nothing is read again for it"
        assert losses == []
        (series,) = history.history(HistoryQuery((("b", "p"),)))
        assert series.table.num_rows == 0
