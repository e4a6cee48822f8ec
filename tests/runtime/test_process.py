"""What each role's process does first."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = r"""
import logging
from allthings.runtime.process import set_up
set_up("gateway")
log = logging.getLogger("allthings.test")
log.warning("the client %s was refused", "x\x1b[31m\n2026-01-01T00:00:00Z gateway: all is well\u202e")
try:
    raise ValueError("\x9b2J")
except ValueError:
    log.exception("it failed")
"""


def test_lines_of_the_log_stay_lines_and_do_not_act() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    first, second, *trace = ran.stderr.splitlines()
    assert first.endswith(
        r"gateway: the client x\u001b[31m\n2026-01-01T00:00:00Z gateway: all is well\u202e was refused"
    )
    assert second.endswith("gateway: it failed")
    assert trace[-1] == r"ValueError: \u009b2J"
    assert all(line.isprintable() for line in ran.stderr.split("\n"))
