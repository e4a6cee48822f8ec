"""The tables that the demo uploads, read by the platform's own upload."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from allthings.readings.model import Model
from allthings.readings.upload import parse_upload
from allthings.scenes.demo import backfill
from allthings.scenes.demo.catalogue import Recording
from allthings.things.times import NS_PER_S, now_ns

RECORDING = Recording(
    np.array([0, 60, 120], dtype=np.int64),
    pa.table(
        {
            "co2": [400.5, None, 420.0],
            "occupants": pa.array([1, 2, 3], pa.int32()),
            "motion": [True, None, False],
            "wind": ["NE", "cv", None],
        }
    ),
)


def uploaded(rows: list[int], times: list[int]) -> list[tuple[str, int, float | None, str | None, int]]:
    """What the platform makes of the tables: property, seconds, number, text, kind."""
    found = []
    for table in backfill.uploads("room", RECORDING, np.array(rows), np.array(times)):
        upload = parse_upload(backfill.encoded(table), backfill.ARROW, now_ns(), Model({}))
        assert (upload.refused, upload.errors) == (0, [])
        for row in upload.readings.drop_columns(["time"]).to_pylist():
            assert row["thing"] == "room"
        seconds = [ns // NS_PER_S for ns in upload.readings.column("time").cast(pa.int64()).to_pylist()]
        for row, second in zip(upload.readings.drop_columns(["time"]).to_pylist(), seconds, strict=True):
            found.append((row["property"], second, row["number"], row["text"], row["kind"]))
    return sorted(found, key=lambda reading: reading[:2])


def test_every_value_that_is_there_is_uploaded_with_its_kind() -> None:
    assert uploaded([0, 1, 2], [1000, 1060, 1120]) == [
        ("co2", 1000, 400.5, None, 0),
        ("co2", 1120, 420.0, None, 0),
        ("motion", 1000, 1.0, None, 1),
        ("motion", 1120, 0.0, None, 1),
        ("occupants", 1000, 1.0, None, 0),
        ("occupants", 1060, 2.0, None, 0),
        ("occupants", 1120, 3.0, None, 0),
        ("wind", 1000, None, "NE", 2),
        ("wind", 1060, None, "cv", 2),
    ]


def test_rows_may_repeat_and_begin_anywhere() -> None:
    assert uploaded([2, 0], [1000, 1060])[:2] == [("co2", 1000, 420.0, None, 0), ("co2", 1060, 400.5, None, 0)]


def test_long_histories_go_in_several_uploads_oldest_first() -> None:
    count = backfill.UPLOAD_ROWS_MAX + 1
    rows, times = np.zeros(count, np.int64), np.arange(count, dtype=np.int64)
    numbers = [
        table for table in backfill.uploads("room", RECORDING, rows, times) if pa.types.is_floating(table["value"].type)
    ]
    assert [table.num_rows for table in numbers] == [2 * backfill.UPLOAD_ROWS_MAX, 2]
    assert numbers[1]["time"][0].value == backfill.UPLOAD_ROWS_MAX * NS_PER_S


def test_nothing_to_upload() -> None:
    assert uploaded([], []) == []
