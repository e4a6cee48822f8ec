"""The memory of an idle platform: after a start, and again after it had work.

    python -m bench.idle [--seconds 60] [--burst 20]

The burst is a load at full speed, of which everything is in the history before the second look. What is compared with
the target is what `ps` calls resident (RSS): it counts a page that two processes share twice. PSS and USS do not.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from allthings.testing import recordings
from allthings.testing.platform import Platform
from bench import load, report
from bench.api import Api

RSS_MB_MAX = 700.0
#: Over how long the CPU share is measured, at the end of each wait.
CPU_OVER_S = 10.0
CONSUMED_WITHIN_S = 300.0


def measure(arguments: argparse.Namespace) -> report.Report:
    """Start it on an empty folder, let it settle, look; load it, let it settle, look again."""
    made = report.Report(
        "Memory of an idle platform", ["after", "process", "RSS MB", "PSS MB", "USS MB", "CPU share idle"]
    )
    burst = load.Load(50, 100, arguments.burst, topic="things/burst-%d/properties", topics=20)
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as folder, Platform(Path(folder) / "data") as platform:
        _look(platform, "a start", arguments.seconds, made)
        result = load.publish(burst, platform.mqtt_port, list(recordings.payloads("node-1")))
        Api(platform).wait_consumed(CONSUMED_WITHIN_S)
        _look(platform, "a burst", arguments.seconds, made)
    made.notes.append(f"The burst: {result.acknowledged:,} messages, {result.per_s:,.0f} a second.")
    made.notes.append(f"Looked at {arguments.seconds:g} s after the platform had nothing to do any more.")
    return made


def _look(platform: Platform, after: str, seconds: float, made: report.Report) -> None:
    """Wait, then add up the processes."""
    time.sleep(max(0.0, seconds - CPU_OVER_S))
    before = platform.footprints()
    time.sleep(CPU_OVER_S)
    footprints = platform.footprints()
    for role, each in footprints.items():
        share = (each.cpu_s - before[role].cpu_s) / CPU_OVER_S
        made.rows.append([after, role, each.rss_mb, each.pss_mb, each.uss_mb, share])
    rss_mb, pss_mb, uss_mb = (
        sum(getattr(each, name) for each in footprints.values()) for name in ("rss_mb", "pss_mb", "uss_mb")
    )
    made.rows.append([after, "all", rss_mb, pss_mb, uss_mb, ""])
    made.below(f"resident MB of all processes, after {after}", rss_mb, RSS_MB_MAX)
    made.figures[f"after {after}"] = {"rss_mb": rss_mb, "pss_mb": pss_mb, "uss_mb": uss_mb}


if __name__ == "__main__":
    parser = report.parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it idles before each look")
    parser.add_argument("--burst", type=float, default=20.0, help="seconds of load at full speed before the second")
    report.run(parser.parse_args(), measure)
