"""A disk that fails loses and doubles nothing, and service is back by itself. See faults.py, which can be run alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.soak import faults, faults_injection


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_disk_that_fails_in_three_ways_stops_nothing_for_good(tmp_path: Path) -> None:
    seed = random.randrange(1 << 31)
    generator = random.Random(seed)
    rounds = [(generator.choice(faults.DISK), False)]
    if not faults_injection.impossible():
        rounds.append((generator.choice([each for each in faults.INJECTED if each.once]), False))
        rounds.append((generator.choice([each for each in faults.INJECTED if not each.once]), True))
    outcome = faults.run(rounds, seed, tmp_path / "disk", devices=6)
    assert outcome.values > 500
    assert outcome.uploaded > 500
    assert set(outcome.refused) <= {503, 507}
    assert not outcome.faults, f"seed {seed}"


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_sixty_rounds_of_a_disk_that_fails(tmp_path: Path) -> None:
    if why_not := faults_injection.impossible():
        pytest.skip(why_not)
    seed = random.randrange(1 << 31)
    outcome = faults.run(faults.plan(60, seed, injected=True), seed, tmp_path / "disk")
    assert outcome.values > 100_000
    assert outcome.refused[507]
    assert not outcome.faults, f"seed {seed}"
