"""Free memory goes back to the system."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, since what others did to this one's memory would be measured too.
_PROGRAM = """
import os
from pathlib import Path
import numpy as np
import pyarrow as pa
from allthings.runtime.memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def arrays(count):
    return [pa.array(np.zeros(10_000)).cast(pa.string()) for _ in range(count)]

arrays(1)
give_back()
before = resident()
# Freed pieces below one that is not: without a trim the C library keeps all of them.
pieces = [bytes(n % 1000 + 100_000) for n in range(1_000)]
columns = arrays(200)
kept = bytes(100_000)
grown = resident() - before
del pieces, columns
give_back()
print(grown, resident() - before)
"""


def test_what_is_free_is_returned() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    grown, left = map(int, done.stdout.split())
    assert grown > 50_000_000
    assert left < grown / 4
