"""The documentation says what the program does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_pages_that_follow_from_the_program_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, "scripts/make_reference.py", "--check"], cwd=TOP, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr


def test_the_lock_names_no_address() -> None:
    assert "://" not in (TOP / "requirements.lock").read_text("utf-8")
