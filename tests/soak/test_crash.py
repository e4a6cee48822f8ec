"""SIGKILL to anything at any moment loses and doubles nothing. See crash.py, which can be run by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.seeds import seed
from tests.soak import crash


@pytest.mark.system
@pytest.mark.timeout(180)
def test_three_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = crash.run(3, seed(), tmp_path / "data")
    assert outcome.values > 1000
    assert not outcome.faults, f"seed {outcome.seed}"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_thirty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    outcome = crash.run(30, seed(), tmp_path / "data")
    assert outcome.values > 10_000
    assert not outcome.faults, f"seed {outcome.seed}"
