"""Insert much, merge it, and print the names of the threads that stand back.

python -m tests.historian.merging DIR
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from allthings.historian import settings
from allthings.historian.history import History
from tests.historian.blocks import T0, S, decoded


def main() -> None:
    history = History(f"chdb://{sys.argv[1]}")
    history.open()
    for sequence in range(1, 31):
        history.insert([decoded(sequence, [("t", f"p{i}", T0 + sequence * S, float(i)) for i in range(2_000)])])
    history._engine.work.run("OPTIMIZE TABLE readings FINAL")
    print(
        *sorted(
            {
                (thread / "comm").read_text().strip()
                for thread in Path("/proc/self/task").iterdir()
                if os.getpriority(os.PRIO_PROCESS, int(thread.name)) == settings.MERGE_NICENESS
                or os.sched_getscheduler(int(thread.name)) == os.SCHED_IDLE
            }
        )
    )
    history.close()


if __name__ == "__main__":
    main()
