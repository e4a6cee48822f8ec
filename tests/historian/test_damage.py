"""What becomes of a history that was damaged while it was closed, or lost something: it says so, and is whole again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from allthings.historian.errors import HistoryDamagedError
from tests.historian import damaging
from tests.historian.damaging import BLOCKS, Kept, ListedLog, assert_whole, definition, flip, history_at, of_part

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    damaging.make(folder)
    return folder


@pytest.fixture
def folder(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base, tmp_path / "data", symlinks=True)
    return tmp_path / "data"


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def every(table: str, damage: Callable[[Path], None]) -> Damage:
    return lambda folder: [damage(part) for part in damaging.parts(folder, table)]


OF_READINGS: dict[str, Damage] = {
    "bits of the data": of_part("readings", -1, lambda part: flip(part / "data.bin")),
    "bits of a merged part": of_part("readings", 0, lambda part: flip(part / "data.bin")),
    "bits of an index": of_part("readings", 1, lambda part: flip(part / "skp_idx.packed")),
    "bits of every part": every("readings", lambda part: flip(part / "primary.cidx")),
    "data cut": of_part("readings", 1, lambda part: cut(part / "data.bin")),
    "no checksums": of_part("readings", 1, lambda part: empty(part / "checksums.txt")),
    "a file gone": of_part("readings", -1, lambda part: (part / "data.bin").unlink()),
    "a part gone": of_part("readings", 1, shutil.rmtree),
    "all parts gone": every("readings", shutil.rmtree),
}
OF_OTHERS: dict[str, Damage] = {
    "minutes": every("readings_1m", shutil.rmtree),
    "bits of minutes": of_part("readings_1m", 0, lambda part: flip(part / "data.bin")),
    "hours": every("readings_1h", lambda part: empty(part / "count.txt")),
    "days": every("readings_1d", shutil.rmtree),
    "newest readings": every("newest", lambda part: flip(part / "data.bin")),
    "when things were heard of": every("heard", shutil.rmtree),
    "progress": every("progress", shutil.rmtree),
    "bits of progress": every("progress", lambda part: flip(part / "data.bin")),
    "versions": every("versions", lambda part: flip(part / "data.bin")),
    "events": every("events", shutil.rmtree),
    "rejects": every("rejects", lambda part: flip(part / "data.bin")),
    "all but readings": lambda folder: [
        every(name, damage)(folder)
        for name, damage in (
            ("readings_1m", shutil.rmtree),
            ("readings_1h", lambda part: empty(part / "count.txt")),
            ("newest", lambda part: flip(part / "data.bin")),
            ("heard", shutil.rmtree),
            ("progress", lambda part: flip(part / "data.bin")),
            ("versions", lambda part: flip(part / "data.bin")),
            ("events", shutil.rmtree),
            ("rejects", lambda part: flip(part / "data.bin")),
        )
    ],
    "readings and minutes": lambda folder: [every(name, shutil.rmtree)(folder) for name in ("readings", "readings_1m")],
}
OF_THE_WHOLE: dict[str, Damage] = {
    "the folder gone": lambda folder: shutil.rmtree(folder / "history"),
    "a file in its place": lambda folder: (shutil.rmtree(folder / "history"), (folder / "history").write_text("?")),
    "no store": lambda folder: shutil.rmtree(folder / "history/store"),
    "no metadata": lambda folder: shutil.rmtree(folder / "history/metadata"),
    "a definition emptied": definition("readings", empty),
    "a definition gone": definition("readings", Path.unlink),
    "bits of a definition": definition("newest", flip),
    "a view's definition emptied": definition("sql_readings", empty),
    "the database's definition emptied": lambda folder: empty(folder / "history/metadata/allthings.sql"),
    "a definition emptied, no copies": lambda folder: (
        definition("readings", empty)(folder),
        shutil.rmtree(folder / "ledger/tables"),
    ),
    "a definition emptied, no ledger": lambda folder: (
        definition("readings", empty)(folder),
        shutil.rmtree(folder / "ledger"),
    ),
    "bits of the ledger, a part gone": lambda folder: (
        flip(folder / "ledger/ledger"),
        of_part("readings", -1, shutil.rmtree)(folder),
    ),
}


ALL: dict[str, Damage] = {**OF_READINGS, **OF_OTHERS, **OF_THE_WHOLE}
#: The others take the same ways.
SHORT = (
    "bits of the data",
    "data cut",
    "bits of every part",
    "all but readings",
    "the folder gone",
    "a definition emptied",
    "a definition emptied, no ledger",
    "bits of the ledger, a part gone",
)


@pytest.mark.parametrize(
    "damage", [pytest.param(ALL[name], id=name, marks=() if name in SHORT else pytest.mark.soak) for name in ALL]
)
async def test_it_is_said_and_mended(folder: Path, damage: Damage, caplog: pytest.LogCaptureFixture) -> None:
    damage(folder)
    history = history_at(folder)
    with caplog.at_level(logging.WARNING):
        async with Kept(history, ListedLog()) as kept:
            await kept.whole()
            # Damage that no start meets is met by whoever asks.
            try:
                history._engine.query.rows("SELECT sum(cityHash64(*)) FROM readings FINAL")
            except HistoryDamagedError:
                await kept.keeper.check()
            checked = await kept.keeper.check()
            assert not checked.uncounted
            assert_whole(history)
            assert history.losses == []
            assert kept.log.positions["historian"] == BLOCKS
    history.close()
    assert caplog.records, "it was mended in silence"
    # And nothing is left to do at the next start.
    caplog.clear()
    history.open()
    assert history.begins_at(BLOCKS) == BLOCKS
    assert history.missing == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    history.close()
