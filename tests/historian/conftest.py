"""Histories on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from allthings.historian.history import History


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(f"chdb://{tmp_path}/history")
    history.open()
    yield history
    history.close()
