"""What is dropped, what stays, and what late readings do to what stayed."""

from __future__ import annotations

from typing import Any

import pytest

from allthings.historian.aggregates import ROLLED
from allthings.historian.errors import QueryRefusedError
from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.historian.retention import Keep, Retention
from allthings.things.calendar import Every
from tests.historian.blocks import T0, Row, S, decoded, end_of, ns
from tests.historian.cutting import rolled_up

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
#: 2026-03-02 is T0; with 90 days everything before 2026-01-01 goes on 2026-04-02.
NOW = T0 + 31 * DAY


def fill(history: History) -> list[Row]:
    """A year of two series, every six hours, and the rollups of it."""
    rows: list[Row] = [
        ("t", name, T0 - i * 6 * HOUR + 7, float(i)) for i in range(4 * 365) for name in ("p", "vibration")
    ]
    history.insert([decoded(1, rows)])
    history.rollup(end_of(1))
    return rows


def answer(history: History, name: str, every: int | None) -> list[dict[str, Any]]:
    aggregates = tuple(ROLLED) if every else ()
    (series,) = history.history(
        HistoryQuery((("t", name),), every=Every(every) if every else None, aggregates=aggregates)
    )
    return series.table.to_pylist()


def wait(history: History) -> None:
    """Deletions go on by themselves; one that deletes nothing waits for those before it."""
    for table in ("readings", "readings_1m", "readings_1h", "readings_1d"):
        history._engine.work.run(f"ALTER TABLE {table} DELETE WHERE 0 SETTINGS mutations_sync = 1")


def months(history: History, table: str = "readings") -> list[int]:
    column = "time" if table == "readings" else "bucket"
    rows = history._engine.query.rows(f"SELECT DISTINCT toYYYYMM({column}) AS m FROM {table} ORDER BY m")
    return [row[0] for row in rows]


def test_readings_go_by_the_month_and_rollups_stay(history: History) -> None:
    fill(history)
    before = {every: answer(history, "p", every) for every in (MINUTE, HOUR, DAY)}
    report = history.retain(NOW, Retention())
    assert (report.months, report.deletions) == (10, 0)
    assert months(history) == [202601, 202602, 202603]
    assert {every: answer(history, "p", every) for every in (MINUTE, HOUR, DAY)} == before
    again = history.retain(NOW, Retention())
    assert (again.months, again.deletions) == (0, 0)


def test_nothing_goes_before_it_is_rolled_up(history: History) -> None:
    rows: list[Row] = [("t", "p", T0 - 1000 * DAY + i * HOUR, float(i)) for i in range(100)]
    history.insert([decoded(1, rows)])
    before = {every: answer(history, "p", every) for every in (HOUR, DAY)}
    history.retain(NOW, Retention())
    assert answer(history, "p", None) == []
    assert {every: answer(history, "p", every) for every in (HOUR, DAY)} == before
    # The minutes of 1000 days ago have gone as well.
    assert answer(history, "p", MINUTE) == []


def test_rules_of_single_properties_go_by_the_day(history: History) -> None:
    fill(history)
    week = Keep(7, 30, None)
    before = {name: answer(history, name, DAY) for name in ("p", "vibration")}
    for rules in ({"vibration": week}, {"t/vibration": week, "vibration": Keep()}):
        history.retain(NOW - 31 * DAY, Retention(Keep(None, None), rules))
        wait(history)
        assert len(answer(history, "vibration", None)) == 4 * 7 + 1
        assert len(answer(history, "vibration", MINUTE)) == 4 * 30 + 1
        assert len(answer(history, "p", None)) == 4 * 365
        assert {name: answer(history, name, DAY) for name in ("p", "vibration")} == before


def test_days_go_when_a_rule_says_so(history: History) -> None:
    fill(history)
    history.retain(NOW, Retention(Keep(30, 30, 60)))
    wait(history)
    # 60 days before 2026-04-02 is in February.
    assert len(answer(history, "p", DAY)) == 30
    assert months(history, "readings_1h") == [202602, 202603]


@pytest.mark.parametrize("minutes", [730, 90])
def test_late_readings_are_added_to_what_stayed(history: History, minutes: int) -> None:
    """Whatever has expired below it, and wherever a rollup is cut off, hours and days count them once."""
    fill(history)
    old = T0 - 300 * DAY
    retention = Retention(Keep(90, minutes))
    history.retain(NOW, retention)

    def day() -> tuple[int, float, float, float]:
        start = old // DAY * DAY
        (series,) = history.history(HistoryQuery((("t", "p"),), start, start + DAY, Every(DAY), tuple(ROLLED)))
        (row,) = series.table.to_pylist()
        return row["count"], row["sum"], row["max"], row["last"]

    count, total, _, last = day()
    assert count == 4
    late: list[Row] = [("t", "p", old + i * S, 10_000.0 + i) for i in range(3)]
    history.insert([decoded(2, late), decoded(2, late)])
    want = (count + 3, total + 30_003.0, 10_002.0, last)
    assert day() == want
    stop = next(statements for statements in range(30) if rolled_up(history, end_of(2), statements))
    assert stop > 5
    assert day() == want
    # One more, with minutes brought up and hours not yet; then both; then the reading itself goes.
    history.insert([decoded(3, [("t", "p", old + HOUR, -1.0)])])
    want = (count + 4, total + 30_002.0, 10_002.0, last)
    assert day() == want
    history.rollup(end_of(3), upper=False)
    assert day() == want
    history.rollup(end_of(3))
    assert day() == want
    history.retain(NOW, retention)
    assert day() == want
    assert months(history)[0] == 202601


def test_late_readings_of_a_series_that_lost_nothing_are_exact(history: History) -> None:
    """Others' expired readings do not matter to a series that is filled in afterwards."""
    fill(history)
    history.retain(NOW, Retention())
    rows: list[Row] = [("new", "p", T0 - 300 * DAY + i * S, float(i)) for i in range(10)]
    for sequence in (2, 3):
        history.insert([decoded(sequence, rows)])
        history.rollup(end_of(sequence))
    (series,) = history.history(HistoryQuery((("new", "p"),), every=Every(DAY), aggregates=("count", "sum")))
    assert [(row["count"], row["sum"]) for row in series.table.to_pylist()] == [(10, 45.0)]


def test_the_state_survives_a_new_start(history: History) -> None:
    fill(history)
    history.retain(NOW, Retention())
    before = answer(history, "p", DAY)
    history.close()
    history.open()
    assert answer(history, "p", DAY) == before
    history.insert([decoded(2, [("t", "p", T0 - 300 * DAY, 1.0)])])
    after = answer(history, "p", DAY)
    assert sum(row["count"] for row in after) == sum(row["count"] for row in before) + 1


@pytest.mark.parametrize("keep", [Keep(0), Keep(90, 30), Keep(None, 730), Keep(90, 730, 365), Keep(10**9, None)])
def test_rules_that_make_no_sense_are_refused(keep: Keep) -> None:
    with pytest.raises(QueryRefusedError):
        Retention(keep).check()


def test_times_of_what_remains(history: History) -> None:
    rows = fill(history)
    history.retain(NOW, Retention())
    (series,) = history.history(HistoryQuery((("t", "p"),)))
    first_of_january = T0 - 60 * DAY
    assert ns(series.table.column("time")) == sorted(
        row[2] for row in rows if row[1] == "p" and row[2] >= first_of_january
    )
