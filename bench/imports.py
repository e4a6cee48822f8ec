"""Files as people have them: how many are imported right without a word of help, and how fast.

    python -m bench.imports FOLDER [--only TEXT] [--against CHECKOUT] [--rounds 3]

FOLDER holds public recordings (default: ../shared/data beside the checkout). Each tabular file is imported with
`allthings import FILE` into a fresh platform; then first and last time and, of each column, how many values there are
and what they sum up to are compared with bench/imports.json, which other code has made (bench.imports_table). A file
is *right*, *asks* (it was refused with a question, as the table says that it must, or not), or is *wrong*: what was
stored differs.

`--against` measures the speed of another build beside this one, in turns: today's importer of that build gets the
options, and where it needs them the rewritten times, without which it would be wrong.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from allthings.testing.platform import Platform
from bench import report

TABLE: Final = Path(__file__).with_suffix(".json")
ROOT: Final = Path(__file__).parents[1]
RIGHT_MIN: Final = 0.95
FASTER_MIN: Final = 2.0
PREVIEW_S_MAX: Final = 2.0
MEMORY_MB_MAX: Final = 300.0
CONSUMED_WITHIN_S: Final = 300.0
#: Speed is measured on these: file, options that the other build needs, whether it needs its times rewritten.
RACES: Final = (
    ("ampds2-utility-meters/Electricity_B1E-11.csv.gz", ["--time-column", "unix_ts"], ""),
    ("tetouan-power/tetouan_2017-01_to_09.csv.gz", ["--time-column", "Date"], "%m/%d/%y %H:%M"),
)


def measure(arguments: argparse.Namespace) -> report.Report:
    """Everything of this page."""
    made = report.Report("Importing files as people have them", ["file", "outcome", "told"])
    check(arguments, made)
    if arguments.against:
        race(arguments, made)
    if arguments.large_mb:
        large(arguments, made)
    return made


def check(arguments: argparse.Namespace, made: report.Report) -> None:
    """Each file of the table, on one platform."""
    table = {name: entry for name, entry in json.loads(TABLE.read_text()).items() if arguments.only in name}
    outcomes: dict[str, int] = {"right": 0, "asks": 0, "wrong": 0}
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as folder, platform_of(Path(folder)) as platform:
        for name, entry in table.items():
            outcome, told = one(platform, arguments.folder / name, entry)
            outcomes[outcome] += 1
            report.say(f"{outcome:6} {name} {told}")
            if outcome != "right":
                made.rows.append([name, outcome, told])
    made.figures["outcomes"] = outcomes
    made.notes.append(f"{outcomes['right']} of {len(table)} files are right, {outcomes['asks']} ask without need.")
    made.at_least("files that are right, or ask where they must", outcomes["right"] / max(len(table), 1), RIGHT_MIN)
    made.below("files that are silently wrong", outcomes["wrong"], 1)


def platform_of(folder: Path, program: Path | None = None) -> Platform:
    """A platform whose zone is UTC, which keeps what is old."""
    environment = {"ALLTHINGS_ZONE": "UTC", "ALLTHINGS_KEEP_RAW_DAYS": "36500", "ALLTHINGS_KEEP_1M_DAYS": "36500"}
    return Platform(folder / "data", environment=environment, program=program)


def one(platform: Platform, path: Path, entry: dict[str, Any]) -> tuple[str, str]:
    """What comes of one file: an outcome, and what is to be said of it."""
    done = subprocess.run(command(platform, path), capture_output=True, text=True, check=False)
    if done.returncode == 1 and not done.stdout:
        asked = "say" in done.stderr
        if "asks" in entry:
            return ("right" if asked else "wrong"), ""
        return "asks", done.stderr.strip()[:160]
    if "asks" in entry:
        return "wrong", "imported without a question"
    answer = json.loads(done.stdout)
    wait(platform, int(answer["position"]))
    return compared(stored(platform, answer["things"]), entry)


def command(platform: Platform, path: Path, program: Path | None = None) -> list[str]:
    """`allthings import` as a user runs it."""
    binary = program or ROOT / ".venv" / "bin" / "allthings"
    return [str(binary), "import", str(path), "--url", platform.http, "--json"]


def wait(platform: Platform, position: int) -> None:
    """Until the history has everything up to a position."""
    until = time.monotonic() + CONSUMED_WITHIN_S
    while time.monotonic() < until:
        consumers = httpx.get(f"{platform.http}/api/status").json()["consumers"]
        done = {one["name"]: int(one["position"]) for one in consumers}
        if done.get("historian", 0) >= position >> 20:
            return
        time.sleep(0.05)
    raise RuntimeError("the history has not caught up")


def stored(platform: Platform, names: list[str]) -> dict[str, Any]:
    """First and last time, and of each property the count and sum of its values, as SQL has them."""
    within = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
    sql = (
        "SELECT property, count(), sum(number), min(time), max(time) FROM readings "
        f"WHERE thing IN ({within}) GROUP BY property"
    )
    answer = httpx.post(f"{platform.http}/api/query", json={"sql": sql}, timeout=120)
    rows = answer.raise_for_status().json()["rows"]
    return {
        "first": min(row[3] for row in rows) if rows else None,
        "last": max(row[4] for row in rows) if rows else None,
        "columns": {row[0]: [int(row[1]), row[2] or 0.0] for row in rows},
    }


def compared(found: dict[str, Any], entry: dict[str, Any]) -> tuple[str, str]:
    """Right, or what differs."""
    for end in ("first", "last"):
        if found[end] is None or moment(found[end]) != moment(entry[end]):
            return "wrong", f"{end}: {found[end]}, not {entry[end]}"
    for name in sorted(entry["columns"].keys() | found["columns"].keys()):
        count, total = entry["columns"].get(name, [0, 0.0])
        stored_count, stored_total = found["columns"].get(name, [0, 0.0])
        if count != stored_count or not math.isclose(total, stored_total, rel_tol=1e-9, abs_tol=1e-6):
            return "wrong", f"{name}: {stored_count} values, sum {stored_total}; not {count}, {total}"
    return "right", ""


def moment(text: str) -> datetime:
    """A time of RFC 3339."""
    return datetime.fromisoformat(text)


def race(arguments: argparse.Namespace, made: report.Report) -> None:
    """Values a second of this build and another one, in turns, until everything is on disk."""
    program = arguments.against / ".venv" / "bin" / "allthings"
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as name:
        folder = Path(name)
        with platform_of(folder / "ours") as ours, platform_of(folder / "theirs", program) as theirs:
            for file, options, form in RACES:
                path = arguments.folder / file
                plain = rewritten(path, form, folder) if form else path
                mine, others = [], []
                for number in range(arguments.rounds):
                    thing = ["--thing", f"race-{number}"]
                    others.append(timed(theirs, [*command(theirs, plain, program), *options, *thing]))
                    mine.append(timed(ours, [*command(ours, path), *thing]))
                    report.say(f"{path.name}, round {number + 1}: {mine[-1]:,.0f} values/s against {others[-1]:,.0f}")
                ratio = statistics.median(mine) / statistics.median(others)
                made.rows.append([path.name, f"{statistics.median(mine):,.0f} values/s", f"{ratio:.2f} x"])
                made.at_least(f"values a second against the other build, {path.name}", ratio, FASTER_MIN)


def timed(platform: Platform, arguments: list[str]) -> float:
    """Values a second of one import; the history is caught up before and after, outside the time."""
    started = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    accepted: int = json.loads(done.stdout)["accepted"]
    settle(platform)
    return accepted / seconds


def settle(platform: Platform) -> None:
    """Until nothing waits for the history."""
    while True:
        status = httpx.get(f"{platform.http}/api/status").json()
        if all(one["lag_blocks"] == 0 for one in status["consumers"]):
            return
        time.sleep(0.1)


def rewritten(path: Path, form: str, folder: Path) -> Path:
    """The same file with its first column as RFC 3339, for a build that knows no other form."""
    target = folder / (path.name.removesuffix(".gz"))
    with gzip.open(path, "rt", newline="") as source, target.open("w", newline="") as sink:
        reader, writer = csv.reader(source), csv.writer(sink)
        writer.writerow(next(reader))
        for cells in reader:
            writer.writerow([datetime.strptime(cells[0], form).isoformat() + "Z", *cells[1:]])
    return target


def large(arguments: argparse.Namespace, made: report.Report) -> None:
    """A file of many megabytes: how long its preview takes, and how much memory the command and the platform want."""
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as name:
        path = Path(name) / "large.csv"
        write_large(path, arguments.large_mb << 20)
        with platform_of(Path(name)) as platform:
            started = time.monotonic()
            subprocess.run([*command(platform, path), "--preview"], capture_output=True, check=True)
            made.below(f"seconds of the preview of {arguments.large_mb} MB", time.monotonic() - started, PREVIEW_S_MAX)
            before = platform.footprints()["platform"].rss_mb
            running = subprocess.Popen(command(platform, path), stdout=subprocess.PIPE)
            most, client = before, 0.0
            while running.poll() is None:
                most = max(most, platform.footprints()["platform"].rss_mb)
                client = max(client, resident_mb(running.pid))
                time.sleep(0.2)
            made.notes.append(f"the platform's process grew by {most - before:.0f} MB, to {most:.0f} MB")
            made.below("resident MB of the command", client, MEMORY_MB_MAX)


def resident_mb(pid: int) -> float:
    """What a process has in memory; 0 when it has gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6


def write_large(path: Path, size: int) -> None:
    """A CSV of five columns, a row a second."""
    start = 1_262_304_000
    with path.open("w") as sink:
        sink.write("time,a,b,c,d\n")
        row = 0
        while sink.tell() < size:
            lines = []
            for _ in range(10_000):
                lines.append(f"{start + row},{row % 977 / 7:.3f},{row % 131},{row % 17 / 3:.2f},{row % 29}\n")
                row += 1
            sink.write("".join(lines))


if __name__ == "__main__":
    parser = report.parser(__doc__)
    default = ROOT.parent / "shared" / "data"
    parser.add_argument("folder", type=Path, nargs="?", default=default, help="the recordings")
    parser.add_argument("--only", default="", help="only files with this in their path")
    parser.add_argument("--against", type=Path, help="another checkout, with its virtual environment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large-mb", type=int, default=0, help="measure preview and memory with a file of this size")
    report.run(parser.parse_args(), measure)
