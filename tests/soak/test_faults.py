"""A disk that fails loses and doubles nothing, and service is back by itself. See faults.py, which can be run alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.seeds import seed
from tests.soak import faults, faults_injection
from tests.soak.faults import Fault


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_disk_that_fails_in_three_ways_stops_nothing_for_good(tmp_path: Path) -> None:
    rounds = [(Fault("full"), False)]
    if not faults_injection.impossible():
        rounds += [(Fault("sync", "EIO", once=True), False), (Fault("write", "ENOSPC"), True)]
    outcome = faults.run(rounds, seed(), tmp_path / "disk", devices=6)
    assert outcome.values > 500
    assert outcome.uploaded > 500
    assert set(outcome.refused) <= {503, 507}
    assert not outcome.faults, f"seed {outcome.seed}"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_sixty_rounds_of_a_disk_that_fails(tmp_path: Path) -> None:
    if why_not := faults_injection.impossible():
        pytest.skip(why_not)
    chosen = seed()
    outcome = faults.run(faults.plan(60, chosen, injected=True), chosen, tmp_path / "disk")
    assert outcome.values > 100_000
    assert outcome.refused[507]
    assert not outcome.faults, f"seed {outcome.seed}"
