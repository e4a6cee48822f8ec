"""SIGKILL loses no message of a session and doubles none of QoS 2. See sessions.py, which can be run by itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.seeds import seed
from tests.soak import sessions


@pytest.mark.system
@pytest.mark.timeout(240)
def test_kills_lose_and_double_nothing_that_is_promised_to_sessions(tmp_path: Path) -> None:
    outcome = sessions.run(60, seed(), tmp_path / "data", kills=4)
    assert outcome.deliveries > 1000
    assert not outcome.faults, str(outcome)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_an_hour_of_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SOAK_S seconds of it, an hour if nothing else is said."""
    seconds = float(os.environ.get("SOAK_S", "3600"))
    outcome = sessions.run(seconds, seed(), tmp_path / "data")
    assert outcome.kills >= seconds / 60
    assert not outcome.faults, str(outcome)
