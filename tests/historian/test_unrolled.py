"""What is known of readings that are not rolled up yet, without a look at them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from allthings.historian.buckets import DAYS, HOURS, LEVELS, MINUTES, Level
from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.historian.stretches import Stretch
from allthings.historian.unrolled import Unrolled
from allthings.readings.decoded import Decoded
from allthings.things.calendar import Every
from tests.historian.blocks import T0, Row, S, decoded, end_of

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S
CLEAN: dict[Level, list[Stretch]] = {level: [] for level in LEVELS}


def of(history: History) -> Unrolled:
    assert history._unrolled is not None
    return history._unrolled


def received(block: Decoded, at: int) -> Decoded:
    """The block as if all of it had been received at that time."""
    columns = [
        pa.array([at] * block.readings.num_rows, pa.int64()).cast(field.type) if field.name == "received" else column
        for field, column in zip(block.readings.schema, block.readings.columns, strict=True)
    ]
    return Decoded(
        block.sequence,
        pa.RecordBatch.from_arrays(columns, schema=block.readings.schema),
        messages=block.messages,
    )


def test_it_knows_what_a_look_would_find(history: History) -> None:
    at = T0 + 90 * S
    history.insert([decoded(1, [("t", "p", at, 1.0)]), decoded(2, [("t", "p", at + 2 * MINUTE, 2.0)])])
    known = of(history).dirty(None, None)
    assert known == history._asking(history._engine.query)._looked_for([("t", "p")], None, None)
    assert known == {
        MINUTES: [(T0 + MINUTE, T0 + 4 * MINUTE)],
        HOURS: [(T0, T0 + HOUR)],
        DAYS: [(T0, T0 + DAY)],
    }
    history.rollup(end_of(2), upper=False)
    assert of(history).dirty(None, None) == {MINUTES: [], HOURS: [(T0, T0 + HOUR)], DAYS: [(T0, T0 + DAY)]}
    assert of(history).dirty(T0 + HOUR, None) == CLEAN, "nothing of it lies there"
    history.rollup(end_of(2))
    assert of(history).dirty(None, None) == CLEAN
    history.insert([decoded(2, [("t", "p", at, 1.0)])])
    assert of(history).dirty(None, None) == CLEAN, "a replay changes nothing"


def test_late_readings_are_looked_for(history: History) -> None:
    rows: list[Row] = [("t", "p", T0, 1.0), ("t", "p", T0 + 3 * DAY, 2.0)]
    history.insert([received(decoded(1, rows), T0 + 3 * DAY)])
    assert of(history).dirty(None, None) is None
    assert of(history).dirty(T0 + S, T0 + 4 * DAY) == {
        MINUTES: [(T0 + 3 * DAY, T0 + 3 * DAY + MINUTE)],
        HOURS: [(T0 + 3 * DAY, T0 + 3 * DAY + HOUR)],
        DAYS: [(T0 + 3 * DAY, T0 + 4 * DAY)],
    }, "no late one lies there"
    query = HistoryQuery((("t", "p"),), T0, T0 + 4 * DAY, Every(DAY), ("count",))
    assert history.history(query)[0].table.column("count").to_pylist() == [1, 1]


@pytest.mark.parametrize(("rolled_up", "last"), [(True, T0), (False, T0 + 59 * MINUTE), (False, T0 + 61 * MINUTE)])
def test_after_a_start_it_knows_what_was_left(tmp_path: Path, rolled_up: bool, last: int) -> None:
    dsn = f"chdb://{tmp_path / 'history'}"
    first = History(dsn)
    first.open()
    first.insert([decoded(1, [("t", "p", T0, 1.0), ("t", "p", last, 2.0)])])
    if rolled_up:
        first.rollup(end_of(1))
    first.close()
    second = History(dsn)
    second.open()
    try:
        if rolled_up:
            assert of(second).dirty(None, None) == CLEAN
        else:
            known = of(second).dirty(None, None)
            if last - T0 <= HOUR:
                assert known is not None
                assert known[MINUTES] == [(T0, last + MINUTE)]
            else:
                assert known is None
            assert of(second).dirty(T0 + DAY, None) == CLEAN
            second.rollup(end_of(1))
            assert of(second).dirty(None, None) == CLEAN
    finally:
        second.close()
