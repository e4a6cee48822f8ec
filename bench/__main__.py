"""All measurements, one after another, as Markdown; `--json FILE` keeps the figures as well.

    python -m bench [--quick] [--json FILE]

Each is also a command of its own: `python -m bench.publish --help`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine, report

#: Name, arguments, and arguments of the quick form.
COMMANDS: tuple[tuple[str, list[str], list[str]], ...] = (
    ("load", [], ["--seconds", "1"]),
    ("idle", [], ["--seconds", "45", "--burst", "5"]),
    ("publish", [], ["--rounds", "1", "--seconds", "3"]),
    ("fanout", [], ["--rounds", "1", "--seconds", "3"]),
    ("latency", [], ["--rounds", "1", "--seconds", "5"]),
    ("connections", [], ["--rounds", "1"]),
    ("tls", [], ["--rounds", "1", "--seconds", "3"]),
    ("endtoend", ["--find-limit"], ["--seconds", "10"]),
    ("live", [], ["--seconds", "5"]),
    ("history", [], ["--rows", "20000000"]),
    ("askers", [], ["--seconds", "10", "--rows", "500000"]),
)


def main() -> int:
    """Run all; status 1 when one failed or missed a target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and smaller: to see that everything works")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    print(report.machine_markdown(machine.facts()) + "\n", flush=True)
    outcomes: dict[str, Any] = {}
    failed = []
    for name, full, quick in COMMANDS:
        command = [sys.executable, "-m", f"bench.{name}", "--json", *(quick if arguments.quick else full)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            failed.append(name)
        if done.stdout.startswith("{"):
            outcomes[name] = json.loads(done.stdout)
            fields = {key: value for key, value in outcomes[name].items() if key != "machine"}
            print(report.Report(**fields).markdown(), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(outcomes, indent=2) + "\n")
    if failed:
        print(f"missed a target, or failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
