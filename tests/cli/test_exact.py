"""What came in comes out as it was: every value, in every form, to files, pipes and terminals."""

from __future__ import annotations

import io
import itertools
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from allthings.cli import create
from allthings.things.errors import AllthingsError
from allthings.things.times import format_time
from tests.cli.conftest import Commands

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

START_S: Final = 1_700_000_000
SPAN: Final = ("--from", "2023-01-01T00:00:00Z", "--to", "2025-01-01T00:00:00Z")
FORMS: Final = ("ndjson", "ndjson.gz", "csv", "csv.gz", "arrow", "parquet")
#: What a device may say that a terminal obeys, or that looks like something else.
ACTING: Final = "\x1b[31mRED\x07\x9b2J \u202eevil\u2066 \u200b\x7f"

NUMBERS = st.one_of(
    st.integers(-(10**300), 10**300),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 2**53, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 1e20, 1.8446744073709552e19, 5e-324]),
)
TEXTS = st.one_of(
    st.text(),
    st.sampled_from(
        ["5", "-5", "1e5", "true", "null", "NA", "NaN", "", " x ", "007", "=1+1", '"', "{}", "a\r\nb", ACTING]
    ),
)
PLAIN = st.one_of(NUMBERS, TEXTS, st.booleans(), st.none())
NESTED = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
VALUES = st.one_of(PLAIN, NESTED.filter(lambda value: isinstance(value, list | dict)))


def time_of(row: int) -> str:
    """With fractions of all lengths."""
    return format_time((START_S + row) * 10**9 + (0, 120_000_000, 123_456_000, 123_456_789)[row % 4])


class Exact:
    """One client of one platform, and the commands in this process."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.http = httpx.Client(base_url=commands.platform.http, timeout=60)
        self._numbers = itertools.count()

    def name(self) -> str:
        """A thing that was not there before."""
        return f"exact-{next(self._numbers):05d}"

    def upload(self, thing: str, values: list[Any], names: Sequence[str] = ("v",)) -> None:
        """Values of these properties in turn, about a second apart, and wait for them."""
        rows = [
            {"thing": thing, "property": names[row % len(names)], "time": time_of(row), "value": value}
            for row, value in enumerate(values)
        ]
        body = b"\n".join(map(msgspec.json.encode, rows))
        answer = self.http.post("/api/readings", content=body, headers={"Content-Type": "application/x-ndjson"}).json()
        assert (answer["accepted"], answer["rejected"]) == (len(values), [])
        self.wait(thing, len(values))

    def wait(self, thing: str, count: int) -> None:
        """Until the history has so many readings of a thing."""
        question = {"sql": f"SELECT count() FROM readings WHERE thing = '{thing}'"}
        deadline = time.monotonic() + 30
        while (found := self.http.post("/api/query", json=question).json()["rows"][0][0]) < count:
            assert time.monotonic() < deadline, f"{found} of {count}"
            time.sleep(0.02)
        assert found == count

    def points(self, thing: str) -> bytes:
        """All readings of a thing as the platform says them."""
        answer = self.http.get("/api/history", params={"thing": thing})
        return bytes(msgspec.json.decode(answer.content, type=dict[str, msgspec.Raw])["series"]).replace(
            thing.encode(), b"THING"
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(create(), [*arguments, "--url", self.commands.platform.http])
        assert result.exit_code == status, (result.output, result.exception)
        return result.output

    def refusal(self, *arguments: str) -> str:
        """What a command that fails says."""
        result = CliRunner().invoke(create(), [*arguments, "--url", self.commands.platform.http])
        assert isinstance(result.exception, AllthingsError), result
        return result.exception.detail


@pytest.fixture(scope="module")
def exact(commands: Commands) -> Iterator[Exact]:
    made = Exact(commands)
    yield made
    made.http.close()


def renamed(path: Path, old: str, new: str) -> None:
    """The same file about another thing."""
    if path.suffix in (".arrow", ".parquet"):
        table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_stream(path.read_bytes()).read_all()
        place = table.schema.get_field_index("thing")
        assert set(table.column("thing").to_pylist()) <= {old}
        table = table.set_column(place, "thing", pa.array([new] * table.num_rows, pa.string()))
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_stream(path, table.schema) as writer:
                writer.write_table(table)
        return
    import gzip

    packed = path.suffix == ".gz"
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    data = data.replace(old.encode(), new.encode())
    path.write_bytes(gzip.compress(data) if packed else data)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, min_size=1, max_size=60))
@example([5, "5", 5.5, True, "true", None, "null", [], "[]", {"a": 2**70}, "", 2**64, "18446744073709551616", 1e300])
@example(["eco"])
def test_what_is_exported_is_imported_as_it_was(exact: Exact, tmp_path: Path, values: list[Any]) -> None:
    source = exact.name()
    exact.upload(source, values, ("v", '=1+1,"', "\u202eevil é"))
    expected = exact.points(source)
    copies = {form: exact.name() for form in FORMS}
    for form, copy in copies.items():
        path = tmp_path / f"{source}.{form}"
        exact.run("export", str(path), source, *SPAN)
        renamed(path, source, copy)
        exact.run("import", str(path))
    for form, copy in copies.items():
        exact.wait(copy, len(values))
        assert exact.points(copy) == expected, form


def test_no_digit_is_lost(exact: Exact, tmp_path: Path) -> None:
    thing, values = exact.name(), [2**64, -(2**63) - 1, 10**250 + 7, 0.1, 1e300, {"n": 2**64 + 1}]
    exact.upload(thing, values)
    points = json.loads(exact.run("history", thing, *SPAN, "--json"))["series"][0]["points"]
    assert [point[1] for point in points] == values
    table = exact.run("history", thing, *SPAN)
    for value in values[:4]:
        assert f" {value}\n" in table
    assert '{"n":18446744073709551617}' in table
    path = tmp_path / "all.ndjson"
    exact.run("export", str(path), thing, *SPAN)
    assert [json.loads(line)["value"] for line in path.read_text().splitlines()] == values
    sql = "SELECT toFloat64(1e20) AS x, toDecimal128('12345678901234567890.123456789012345678', 18) AS d, "
    sql += "toUInt256('115792089237316195423570985008687907853269984665640564039457584007913129639935') AS u"
    for form in ("json", "csv", "table"):
        answer = exact.run("query", sql, "--format", form)
        assert "12345678901234567890.123456789012345678" in answer
        assert "115792089237316195423570985008687907853269984665640564039457584007913129639935" in answer
    assert float(json.loads(exact.run("query", sql, "--json"))["rows"][0][0]) == 1e20


def test_watching_loses_no_digit(exact: Exact) -> None:
    commands, thing, big = exact.commands, exact.name(), 2**64 + 1
    exact.upload(thing, [1])
    with subprocess.Popen(
        [sys.executable, "-c", "from allthings.cli import main; main()", "watch", thing, "--json", "--count", "2"],
        stdout=subprocess.PIPE,
        env=commands.environment(),
    ) as watching:
        assert watching.stdout is not None
        os.set_blocking(watching.stdout.fileno(), False)
        row = START_S + 10
        lines: list[bytes] = []
        while watching.poll() is None:
            # Again and again, as nobody says when it has begun to watch.
            row += 1
            document = {"thing": thing, "@time": row, "big": big, "text": "a\u2028b\x85c"}
            exact.http.post("/api/readings", json=document).raise_for_status()
            lines += (watching.stdout.read() or b"").splitlines()
        lines += (watching.stdout.read() or b"").splitlines()
    assert {one["property"]: one["value"] for one in map(json.loads, lines)} == {"big": big, "text": "a\u2028b\x85c"}


def test_a_series_that_changes_its_type_late_can_be_saved(exact: Exact, tmp_path: Path) -> None:
    thing, rows = exact.name(), 200_050
    times = pa.array([(START_S + row) * 10**9 for row in range(rows + 1)], pa.timestamp("ns", tz="UTC"))
    columns = {
        "thing": pa.array([thing] * (rows + 1)),
        "property": pa.array(["v"] * (rows + 1)),
        "time": times,
        "number": pa.array([*map(float, range(rows)), None]),
        "text": pa.array([None] * rows + ["ERR"]),
    }
    sink = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
    assert exact.http.post("/api/readings", content=sink.getvalue(), headers=headers).json()["accepted"] == rows + 1
    exact.wait(thing, rows + 1)
    exact.run("history", thing, "v", *SPAN, "--limit", "0", "--format", "parquet", "-o", str(tmp_path / "v.parquet"))
    saved = pq.read_table(tmp_path / "v.parquet")
    assert saved.column_names == ["thing", "property", "time", "number", "text", "kind"]
    assert saved.num_rows == rows + 1
    assert saved.slice(rows).to_pylist()[0] | {"time": None} == {
        "thing": thing,
        "property": "v",
        "time": None,
        "number": None,
        "text": "ERR",
        "kind": "string",
    }
    exact.run("history", thing, "v", *SPAN, "--limit", "0", "--format", "csv", "-o", str(tmp_path / "v.csv"))
    lines = (tmp_path / "v.csv").read_text().splitlines()
    assert len(lines) == rows + 2
    assert lines[1].endswith(",0,number")
    assert lines[-1].endswith(",ERR,string")


def test_the_end_of_a_name_tells_the_form(exact: Exact, tmp_path: Path) -> None:
    thing = exact.name()
    exact.upload(thing, ["=1+1", 5])
    exact.run("export", str(tmp_path / "a.CSV"), thing, *SPAN)
    assert (tmp_path / "a.CSV").read_text().splitlines()[0] == "thing,property,time,value,kind"
    exact.run("export", str(tmp_path / "b.csv"), thing, *SPAN, "--spreadsheet-safe")
    assert ",'=1+1,string" in (tmp_path / "b.csv").read_text()
    saved = exact.run("history", thing, *SPAN, "--format", "csv", "--spreadsheet-safe")
    assert ",'=1+1,string" in saved
    parameters = {"thing": thing, "format": "csv", "spreadsheet_safe": "true"}
    assert ",'=1+1,string" in exact.http.get("/api/history", params=parameters).text
    assert "'=1+1" in exact.run("query", "SELECT '=1+1' AS x", "--format", "csv", "--spreadsheet-safe")
    for name in ("a.txt", "a", "a.json", "a.csv.zip", "a.parquet.gz", "a.arrow.gz", ".csv"):
        refusal = exact.refusal("export", str(tmp_path / name), thing)
        assert "its name must tell" in refusal or "not packed" in refusal
        assert not (tmp_path / name).exists()
    exact.run("export", str(tmp_path / "x.parquet"), thing, "--spreadsheet-safe", status=2)
    exact.run("history", thing, "--spreadsheet-safe", status=2)
    exact.run("query", "SELECT 1", "--json", "--spreadsheet-safe", status=2)
    assert exact.http.get("/api/history", params={**parameters, "format": "arrow"}).status_code == 400
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "b.csv")
    exact.run("export", str(link), thing, *SPAN)
    assert link.is_symlink()
    assert ",=1+1,string" in (tmp_path / "b.csv").read_text()


def test_a_file_is_whole_or_not_there(exact: Exact, tmp_path: Path) -> None:
    thing = exact.name()
    exact.upload(thing, [1, 2])
    path = tmp_path / "a.csv"
    assert "no such thing" in exact.refusal("export", str(path), thing, "no such thing!", *SPAN)
    assert list(tmp_path.iterdir()) == []
    path.write_text("before")
    assert "no such thing" in exact.refusal("export", str(path), thing, "no such thing!", *SPAN)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]
    exact.run("export", str(path), thing, *SPAN)
    assert path.read_text().count("\n") == 3
    assert "cannot be written" in exact.refusal("export", str(tmp_path / "no" / "a.csv"))


def test_nothing_that_a_device_says_acts_on_a_terminal(exact: Exact) -> None:
    thing = exact.name()
    exact.upload(thing, [ACTING, {"a": ACTING}])
    told = [
        ("history", thing, *SPAN),
        ("history", thing, *SPAN, "--json"),
        ("history", thing, *SPAN, "--format", "csv"),
        ("things", "show", thing),
        ("query", f"SELECT text, '{ACTING}' AS `{ACTING}` FROM readings WHERE thing = '{thing}'"),
        ("query", f"SELECT text FROM readings WHERE thing = '{thing}'", "--json"),
        ("query", f"SELECT text FROM readings WHERE thing = '{thing}'", "--format", "csv"),
        ("watch", thing, "--count", "1"),
    ]
    named = [("history", thing, ACTING), ("things", "show", ACTING), ("audit", "--who", ACTING)]
    for commands in (told, named):
        for said in on_terminal(exact, thing, commands):
            assert "\\u001b" in said.lower() or "\\x1b" in said or commands is named
            for character in set(ACTING) - set(" "):
                assert character.isprintable() or character not in said, said


def on_terminal(exact: Exact, thing: str, commands: list[tuple[str, ...]]) -> list[str]:
    """What commands write to a terminal, both streams, one after the other in one process."""
    program = (
        "import json, sys\nfrom allthings.cli import main\n"
        "for arguments in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['allthings', *arguments]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    print('=' * 9, flush=True)\n"
    )
    ours, theirs = pty.openpty()
    environment = {**exact.commands.environment(), "TERM": "dumb", "COLUMNS": "400"}
    with subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(commands)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    ) as running:
        os.close(theirs)
        said = b""
        while running.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    said += os.read(ours, 65_536)
                except OSError:  # the other side has closed it
                    break
            else:
                # For who watches.
                exact.http.post("/api/readings", json={"thing": thing, "property": "w", "value": ACTING})
    os.close(ours)
    found = said.decode().split("=" * 9)
    assert "Traceback" not in said.decode()
    assert len(found) == len(commands) + 1
    return found[:-1]
