"""Opening: new, old, newer, and not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from allthings.historian import schema
from allthings.historian.errors import HistorianUnavailableError
from allthings.historian.history import History
from tests.historian.blocks import T0, decoded, end_of


def test_what_was_kept_is_there_after_a_new_start(history: History) -> None:
    history.insert([decoded(1, [("t", "p", T0, 1.0)])])
    history.close()
    history.open()
    assert history.current().num_rows == 1
    assert history.newest_position() == 1 << 20


def test_an_upgrade_that_was_cut_off_is_done_again(history: History) -> None:
    history._engine.work.run("TRUNCATE TABLE versions")
    history._engine.work.run("DROP TABLE floors")
    history.close()
    history.open()
    assert history._engine.query.value("SELECT max(version) FROM versions") == schema.VERSION
    assert history._engine.query.value("SELECT count() FROM floors") == 0


def test_readings_of_the_first_version_are_merged_as_those_of_a_new_history(history: History) -> None:
    work = history._engine.work
    work.run("ALTER TABLE readings RESET SETTING merge_selector_base")
    work.run("TRUNCATE TABLE versions")
    work.run("INSERT INTO versions VALUES (1)")
    history.insert([decoded(1, [("t", "p", T0, 1.0)])])
    history.close()
    history.open()
    engine = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'readings'"
    assert "merge_selector_base = 10" in history._engine.query.value(engine)
    assert history.current().num_rows == 1


def test_a_newer_history_is_refused(history: History) -> None:
    history._engine.work.run("INSERT INTO versions VALUES (999)")
    history.close()
    with pytest.raises(HistorianUnavailableError, match="newer allthings"):
        history.open()


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(HistorianUnavailableError):
        History("http://127.0.0.1:1/").open()


def test_each_key_of_the_durability_settings_is_in_force(history: History) -> None:
    """An insert must be fsynced and synchronous when it returns."""
    for table in schema.TABLES - {"anew"}:
        created = history._engine.query.value(
            "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            {"name": table},
        )
        for setting in (
            "fsync_after_insert = 1",
            "fsync_part_directory = 1",
            "min_rows_to_fsync_after_merge = 1",
            "min_compressed_bytes_to_fsync_after_merge = 1",
        ):
            assert setting in created, table
    for handles in (history._engine.ingest, history._engine.work):
        assert handles.value("SELECT value FROM system.settings WHERE name = 'async_insert'") == "0"


def test_after_close_nothing_is_left(history: History, tmp_path: Path) -> None:
    """No file of the history stays open, and no thread of ours. (The engine keeps some threads of its own.)"""
    threads = threading.active_count()
    for sequence in range(3):
        history.insert([decoded(sequence, [("t", "p", T0, 1.0)])])
        history.rollup(end_of(sequence))
        history.current()
        history.close()
        held = [file.path for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
        assert (held, threading.active_count()) == ([], threads)
        history.open()


def test_concurrent_questions(history: History) -> None:
    """More threads than handles; each gets its answer."""
    history.insert([decoded(1, [("t", "p", T0 + i, float(i)) for i in range(100)])])
    found: list[int] = []

    def ask() -> None:
        found.extend(history.current().num_rows for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 60
