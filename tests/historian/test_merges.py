"""Merges stand back behind everything else, but not for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from allthings.historian import merges, settings
from allthings.historian.history import History
from allthings.historian.retention import Retention
from tests.historian.blocks import T0, S, decoded

#: Whether this machine lets us tell a thread to yield, and to yield no more.
MAY_YIELD = merges._may_take_back()


def threads() -> list[int]:
    names = {thread.name: (thread / "comm").read_text() for thread in Path("/proc/self/task").iterdir()}
    return [int(number) for number, name in names.items() if name.startswith("MergeMutate")]


def policies() -> set[int]:
    return {os.sched_getscheduler(number) for number in threads()}


def insert(history: History, sequence: int) -> None:
    history.insert([decoded(sequence, [("t", "p", T0 + sequence * S, float(sequence))])])


def test_merges_stand_back(history: History) -> None:
    assert policies() == {os.SCHED_IDLE if MAY_YIELD else os.SCHED_OTHER}
    assert {os.getpriority(os.PRIO_PROCESS, number) for number in threads()} == {settings.MERGE_NICENESS}
    assert os.getpriority(os.PRIO_PROCESS, 0) < settings.MERGE_NICENESS, "who asks is not made to wait"
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.skipif(not MAY_YIELD, reason="needs CAP_SYS_NICE or RLIMIT_NICE")
def test_merges_get_their_share_while_parts_are_many(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MERGE_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(settings, "MERGE_PARTS_MANY", 5)
    monkeypatch.setattr(settings, "MERGE_PARTS_FEW", 4)
    history._merges._look_at = 0.0
    work = history._engine.work
    # Each step of the schema has left a part of its own there.
    work.run("OPTIMIZE TABLE versions FINAL")
    work.run("SYSTEM STOP MERGES readings")
    for sequence in range(1, 6):
        insert(history, sequence)
        assert policies() == {os.SCHED_IDLE}
    insert(history, 6)
    assert policies() == {os.SCHED_OTHER}
    assert {os.getpriority(os.PRIO_PROCESS, number) for number in threads()} == {settings.MERGE_NICENESS}
    insert(history, 6)
    assert policies() == {os.SCHED_OTHER}, "also while nothing changes"
    work.run("SYSTEM START MERGES readings")
    work.run("OPTIMIZE TABLE readings FINAL")
    work.run("SYSTEM STOP MERGES readings")
    for sequence in range(7, 11):
        insert(history, sequence)
        assert policies() == {os.SCHED_IDLE}


@pytest.mark.skipif(not MAY_YIELD, reason="needs CAP_SYS_NICE or RLIMIT_NICE")
def test_parts_are_not_counted_after_each_insert(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merges, "_MOST_PARTS", "SELECT 1000")
    insert(history, 1)
    assert policies() == {os.SCHED_IDLE}
    history._merges._look_at = 0.0
    insert(history, 2)
    assert policies() == {os.SCHED_OTHER}


@pytest.mark.skipif(not MAY_YIELD, reason="needs CAP_SYS_NICE or RLIMIT_NICE")
def test_merges_hurry_for_who_waits_until_they_end(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    history.retain(T0, Retention())
    assert policies() == {os.SCHED_OTHER}
    assert {os.getpriority(os.PRIO_PROCESS, number) for number in threads()} == {settings.MERGE_NICENESS}
    history._merges._look_at = 0.0
    insert(history, 1)
    assert policies() == {os.SCHED_IDLE}
    seen: list[set[int]] = []
    engine = history._engine
    close = engine.close

    def closing() -> None:
        seen.append(policies())
        close()

    monkeypatch.setattr(engine, "close", closing)
    history.close()
    assert seen == [{os.SCHED_OTHER}]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_not_take_it_back_does_not_let_merges_yield() -> None:
    program = "import os; from allthings.historian import merges; os.setuid(65534); print(merges._may_take_back())"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False"]


def test_threads_of_questions_and_inserts_do_not_stand_back(tmp_path: Path) -> None:
    """The engine's idle threads serve everybody, and one that a merge made would stand back as the merge does."""
    # A process of its own: an engine that was closed leaves threads of its merges to the next one.
    command = [sys.executable, "-m", "tests.historian.merging", str(tmp_path / "history")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["MergeMutate"]
