"""The documentation says what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from allthings.web.app import HANDLERS

#: The console's files and pages are under these.
CONSOLE = ("/{path:path}", "/console", "/assets")
TOP = Path(__file__).parents[2]


def test_pages_that_follow_from_the_program_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, "scripts/make_reference.py", "--check"], cwd=TOP, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr


def test_the_lock_names_no_address() -> None:
    assert "://" not in (TOP / "requirements.lock").read_text("utf-8")


def test_every_route_is_on_the_page_of_http() -> None:
    page = (TOP / "docs/reference/http.md").read_text("utf-8")
    missing = [
        f"{method} {path}"
        for handler in HANDLERS
        for path in sorted(handler.paths)
        for method in sorted(handler.http_methods)
        if not path.startswith(CONSOLE) and re.sub(r"\{\w+:str\}", "{x}", path) not in re.sub(r"\{\w+\}", "{x}", page)
    ]
    assert missing == []
