"""The memory of an idle platform.

python -m bench.idle [--seconds 20]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from allthings.testing.platform import Platform
from bench import report

RSS_MB_MAX = 700.0


def measure(arguments: argparse.Namespace) -> report.Report:
    """Start it on an empty folder, let it settle, add up its processes."""
    made = report.Report("Memory of an idle platform", ["process", "RSS MB", "PSS MB", "USS MB", "CPU share idle"])
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as folder, Platform(Path(folder) / "data") as platform:
        time.sleep(arguments.seconds / 2)
        before = platform.footprints()
        time.sleep(arguments.seconds / 2)
        footprints = platform.footprints()
    for role, each in footprints.items():
        share = (each.cpu_s - before[role].cpu_s) / (arguments.seconds / 2)
        made.rows.append([role, each.rss_mb, each.pss_mb, each.uss_mb, share])
    rss_mb = sum(each.rss_mb for each in footprints.values())
    pss_mb = sum(each.pss_mb for each in footprints.values())
    made.rows.append(["all", rss_mb, pss_mb, sum(each.uss_mb for each in footprints.values()), ""])
    made.below("resident MB of all processes", rss_mb, RSS_MB_MAX)
    made.figures = {"rss_mb": rss_mb, "pss_mb": pss_mb}
    return made


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long it idles before it is looked at")
    report.run(parser.parse_args(), measure)
