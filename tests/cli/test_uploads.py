"""Files cut into uploads hold what the file held, in whole rows."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pytest

from allthings.cli import uploads
from allthings.cli.errors import InputFileError


def rows_of(bodies: list[bytes]) -> list[list[str]]:
    """All rows of CSV uploads, each of which has the header."""
    found = []
    for body in bodies:
        header, *rows = list(csv.reader(io.StringIO(body.decode(), newline="")))
        assert header == ["thing", "property", "time", "value"]
        found += rows
    return found


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_csv_is_cut_between_rows_also_when_a_text_has_line_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(uploads, "ROWS_MAX", 2)
    rows = [["pump", "note", "2026-11-22", f'line\n"{i}"\nend'] for i in range(5)]
    text = io.StringIO()
    csv.writer(text).writerows([["thing", "property", "time", "value"], *rows])
    path = tmp_path / f"x.csv{suffix}"
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if suffix else data)
    cut = list(uploads.lines(path))
    assert [upload.offset for upload in cut] == [0, 2, 4]
    assert rows_of([upload.body for upload in cut]) == rows


def test_ndjson_is_cut_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "BYTES_MAX", 30)
    path = tmp_path / "x.ndjson"
    path.write_bytes(b'{"thing":"a","x":1}\n' * 5)
    cut = list(uploads.lines(path))
    assert [upload.offset for upload in cut] == [0, 2, 4]
    assert b"".join(upload.body for upload in cut) == path.read_bytes()


def test_a_column_for_each_property(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,pressure,running\n2026-11-22T08:00:00Z,1.5,true\n2026-11-22T08:01:00Z,,false\n")
    pressure, running = (pa.ipc.open_stream(upload.body).read_all() for upload in uploads.tables(path, "pump", ""))
    assert pressure.select(["thing", "property", "value"]).to_pylist() == [
        {"thing": "pump", "property": "pressure", "value": 1.5}
    ]
    assert running.column("value").to_pylist() == [True, False]
    assert str(running.column("time")[1]) == "2026-11-22 08:01:00+00:00"


def test_a_parquet_file_of_other_columns_says_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("time,pressure\n2026-11-22,1\n")
    with pytest.raises(InputFileError, match=r"no column 'thing'.*--thing"):
        list(uploads.tables(path, "", ""))


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson.gz"
    path.write_bytes(gzip.compress(b"{}\n" * 1000)[:-10])
    with pytest.raises(InputFileError, match="cannot be read"):
        list(uploads.lines(path))
