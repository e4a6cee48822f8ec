"""Recordings in files of every form hold the same."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from allthings.cli.errors import InputFileError
from allthings.cli.recordings import read
from allthings.things.times import parse_time

CSV = "time,temperature,mode,on\n2026-11-22T08:00:00Z,21.5,heat,true\n2026-11-22T08:00:01.5Z,,cool,false\n"
NDJSON = (
    '{"time":"2026-11-22T08:00:00Z","temperature":21.5,"mode":"heat","on":true}\n'
    '{"time":"2026-11-22T08:00:01.5Z","mode":"cool","on":false}\n'
)
TIMES = [parse_time("2026-11-22T08:00:00Z"), parse_time("2026-11-22T08:00:01.5Z")]
ROWS = [{"temperature": 21.5, "mode": "heat", "on": True}, {"mode": "cool", "on": False}]
TABLE = pa.table(
    {
        "time": pa.array(
            [datetime(2026, 11, 22, 8, tzinfo=UTC), datetime(2026, 11, 22, 8, 0, 1, 500_000, tzinfo=UTC)],
            pa.timestamp("us", tz="UTC"),
        ),
        "temperature": [21.5, None],
        "mode": ["heat", "cool"],
        "on": [True, False],
    }
)


def arrow_stream(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


def arrow_file(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)


FORMS: dict[str, Callable[[Path], object]] = {
    "pump.csv": lambda path: path.write_text(CSV),
    "pump.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV.encode())),
    "pump.ndjson": lambda path: path.write_text(NDJSON),
    "pump.parquet": lambda path: pq.write_table(TABLE, path),
    "pump.arrow": arrow_stream,
    "pump.feather": arrow_file,
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(tmp_path: Path, name: str) -> None:
    FORMS[name](tmp_path / name)
    recorded = read(tmp_path / name)
    assert recorded.times_ns == TIMES
    assert list(recorded.rows()) == ROWS


@pytest.mark.parametrize(
    ("header", "first", "expected"),
    [
        ("timestamp", "2013-12-02 21:15:00", "2013-12-02T21:15:00Z"),
        ("unix_ts", "1393263000", "2014-02-24T17:30:00Z"),
        ("ts", "1393263000500", "2014-02-24T17:30:00.5Z"),
        ("date", "2019-01-01", "2019-01-01T00:00:00Z"),
        ("when", "2019-01-01T06:00:00+01:00", "2019-01-01T05:00:00Z"),
    ],
)
def test_times(tmp_path: Path, header: str, first: str, expected: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{header},value\n{first},1\n")
    recorded = read(path, "when" if header == "when" else "")
    assert recorded.times_ns == [parse_time(expected)]


def test_a_file_without_times_has_none(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    recorded = read(path)
    assert recorded.times_ns is None
    assert list(recorded.rows()) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.txt", "a", "the end of its name must tell its form"),
        ("x.parquet", "no parquet", "cannot be read"),
        ("x.csv", "", "cannot be read"),
        ("x.csv", "time,a\n,1\n", "1 rows have no time"),
        ("x.csv", "time,a\nyesterday,1\n", "'yesterday' is no RFC 3339"),
        ("x.csv", "time\n2019-01-01\n", "no column beside"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputFileError, match=reason):
        read(tmp_path / name)


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputFileError, match="no column 'when'; it has a, b"):
        read(tmp_path / "x.csv", "when")
