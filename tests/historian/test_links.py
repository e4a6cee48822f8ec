"""A history is opened again however it was copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.historian.history import History
from allthings.historian.links import mend
from tests.historian.blocks import T0, decoded


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("links") / "history"
    opened = History(f"chdb://{folder}")
    opened.open()
    opened.insert([decoded(7, [("t", "p", T0 + number, float(number)) for number in range(10)])])
    opened.close()
    return folder


def _counted(folder: Path) -> int:
    opened = History(f"chdb://{folder}")
    opened.open()
    try:
        return opened.count_readings()
    finally:
        opened.close()


def _folders(folder: Path) -> Iterator[Path]:
    yield folder / "metadata" / "allthings"
    yield from (folder / "data" / "allthings").iterdir()


def test_a_copy_that_followed_links_opens_and_takes_no_room_twice(
    original: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "history"
    shutil.copytree(original, copy)
    assert not any(path.is_symlink() for path in _folders(copy))
    assert _counted(copy) == 10
    assert "was copied by something that follows links" in caplog.text
    assert all(path.is_symlink() for path in _folders(copy))
    assert mend(copy) == []
    assert [path.name for path in tmp_path.iterdir()] == ["history"]


def test_a_copy_without_links_opens(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "history"
    shutil.copytree(original, copy, symlinks=True)
    for path in _folders(copy):
        path.unlink()
    assert _counted(copy) == 10


def test_a_copy_that_has_folders_where_links_led_only_opens(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "history"
    shutil.copytree(original, copy)
    shutil.rmtree(copy / "store")
    assert _counted(copy) == 10


def test_what_the_store_does_not_have_is_put_aside(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "history"
    shutil.copytree(original, copy)
    readings = copy / "data" / "allthings" / "readings"
    (readings / "more").write_text("x")
    assert _counted(copy) == 10
    aside = [path for path in tmp_path.iterdir() if path.name.startswith("history.copied-")]
    assert len(aside) == 1
    assert (aside[0] / "data" / "allthings" / "readings" / "more").read_text() == "x"


def test_a_history_as_the_engine_left_it_is_left_alone(original: Path) -> None:
    before = sorted(original.rglob("*"))
    assert mend(original) == []
    assert sorted(original.rglob("*")) == before
    assert mend(original / "nothing") == []
