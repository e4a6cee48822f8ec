"""How long a history takes to be opened, with and without the comparison with its ledger.

    python -m bench.start [--rows 100000000] --against CHECKOUT [--rounds 5]

CHECKOUT is that of another build, with an interpreter in its `.venv` (or name one with `--python`). It makes a
history, of which this build gets a copy; then both open theirs in turns, each in a process of its own: engine, tables,
and the newest value of each series, as the platform needs them before it serves. The first opening, in which this build
writes its ledger, is shown apart. Without `--against` only this build is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import report

#: This build may be so many times slower.
RATIO_MAX = 1.1
_SERIES = 5_000

#: Run by either build's interpreter. The ledger is taken where the build has one.
_OPEN = """
import inspect, json, sys, time
from pathlib import Path
from allthings.historian.history import History

folder = Path(sys.argv[1])
given = {"ledger": folder / "ledger"} if "ledger" in inspect.signature(History).parameters else {}
began, cpu_before = time.perf_counter(), time.process_time()
history = History(f"chdb://{folder}/history", **given)
history.open()
if given:
    history.begins_at(0)
series = history.current().num_rows
took, cpu = time.perf_counter() - began, time.process_time() - cpu_before
assert series == int(sys.argv[2]), series
missing = len(history.missing) if given else 0
parts = history._engine.query.value("SELECT count() FROM system.parts WHERE active")
history.close()
print(json.dumps({"seconds": took, "cpu": cpu, "missing": missing, "parts": parts}))
"""


def measure(arguments: argparse.Namespace) -> report.Report:
    """Load a history, then open it in turns."""
    made = report.Report("Opening a history", ["build", "opening", "seconds", "CPU seconds"])
    sides = {"this build": (Path(sys.executable), Path.cwd())}
    if arguments.against:
        python = arguments.python or arguments.against / ".venv/bin/python"
        sides = {"the other build": (python, arguments.against), **sides}
    with tempfile.TemporaryDirectory(prefix="bench-start-", dir=arguments.folder) as name:
        folders = {side: Path(name) / str(place) for place, side in enumerate(sides)}
        made_at = next(iter(folders.values()))
        _load(*next(iter(sides.values())), made_at, arguments.rows)
        for folder in folders.values():
            if folder != made_at:
                shutil.copytree(made_at, folder, symlinks=True)
        # What a first opening finds (caches of the disk, tables to be made newer) is nobody's figure.
        for side, (python, root) in sides.items():
            first = _open(python, root, folders[side])
            made.rows.append([side, "first", first["seconds"], first["cpu"]])
        times: dict[str, list[float]] = {side: [] for side in sides}
        cpu: dict[str, list[float]] = {side: [] for side in sides}
        parts = 0
        for number in range(arguments.rounds):
            for side, (python, root) in sides.items():
                opened = _open(python, root, folders[side])
                parts = opened["parts"]
                times[side].append(opened["seconds"])
                cpu[side].append(opened["cpu"])
                report.say(f"round {number + 1}, {side}: {opened['seconds']:.2f} s, {opened['cpu']:.2f} s of CPU")
    for side, taken in times.items():
        made.rows.append([side, f"middle of {len(taken)}", statistics.median(taken), statistics.median(cpu[side])])
        made.figures[side] = {"seconds": taken, "cpu": cpu[side]}
    if arguments.against:
        ratio = statistics.median(times["this build"]) / statistics.median(times["the other build"])
        made.below("this build against the other one, middle to middle", ratio, RATIO_MAX)
    made.notes.append(f"{arguments.rows:,} readings of {_SERIES:,} series in {parts:,} parts of all tables.")
    return made


def _load(python: Path, checkout: Path, folder: Path, rows: int) -> None:
    report.say(f"loading {rows:,} readings")
    dsn = f"chdb://{folder}/history"
    command = [str(python), "-m", "bench.history_load", "--dsn", dsn, "--rows", str(rows), "--series", str(_SERIES)]
    subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.DEVNULL)


def _open(python: Path, checkout: Path, folder: Path) -> dict[str, Any]:
    command = [str(python), "-c", _OPEN, str(folder), str(_SERIES)]
    done = subprocess.run(
        command, cwd=checkout, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    opened: dict[str, Any] = json.loads(done.stdout)
    return opened


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--against", type=Path, help="the checkout of another build")
    parser.add_argument("--python", type=Path, help="its interpreter, if not in its .venv")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the history is made")
    report.run(parser.parse_args(), measure)
