"""SIGKILL to everything in the middle of deletions: all of one or nothing of it, and every answer agrees."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from allthings.testing.platform import Platform, wait_until
from tests.seeds import seed

ROUNDS = 12
READINGS, DELETED = 60_000, 40_001
T0_S, EVERY_S = 1_790_000_000, 7
LEVELS = ("1m", "1h", "1d")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_deletion_that_is_cut_off_is_made_or_was_never_begun(tmp_path: Path) -> None:
    chance = random.Random(seed())
    with Platform(tmp_path / "data") as platform:
        made = [_round(platform, f"thing-{number}", chance.uniform(0.1, 4.0)) for number in range(ROUNDS)]
        assert any(made)
        # Whatever was noted was noted before anything went.
        entries = httpx.get(f"{platform.http}/api/audit", params={"kind": "history-deleted"}).json()["entries"]
        assert len(entries) >= sum(made)


def _round(platform: Platform, thing: str, delay_s: float) -> bool:
    """Upload, begin to delete, kill everything after a while, and look; whether it was deleted."""
    rows = "".join(f"{thing},v,{T0_S + place * EVERY_S},{place}\n" for place in range(READINGS))
    upload = httpx.post(
        f"{platform.http}/api/readings",
        content=f"thing,property,time,value\n{rows}",
        headers={"Content-Type": "text/csv"},
        timeout=60,
    )
    assert upload.raise_for_status().json()["accepted"] == READINGS
    deleting = threading.Thread(target=_delete, args=(platform.http, thing))
    deleting.start()
    deleting.join(delay_s)
    platform.kill_all()
    deleting.join()
    platform.start()
    left = (READINGS, READINGS - DELETED)
    assert wait_until(lambda: _counts(platform, thing)[0] in left, 60), _counts(platform, thing)
    counts = _counts(platform, thing)
    assert set(counts) == {counts[0]}, (delay_s, counts)
    return counts[0] == left[1]


def _delete(url: str, thing: str) -> None:
    end = T0_S + EVERY_S * DELETED - 1
    try:
        httpx.delete(f"{url}/api/history", params={"thing": thing, "to": end}, timeout=60)
    except httpx.HTTPError:
        # It was killed.
        return


def _counts(platform: Platform, thing: str) -> list[int]:
    """How many readings there are, by the readings and by each rollup."""

    def points(**more: Any) -> list[list[Any]]:
        asked = {"thing": thing, "property": "v", "limit": 1_000_000, **more}
        answer = httpx.get(f"{platform.http}/api/history", params=asked, timeout=60).raise_for_status().json()
        found: list[list[Any]] = answer["series"][0]["points"]
        return found

    rolled = [sum(point[1] for point in points(every=every, aggregate="count")) for every in LEVELS]
    return [len(points()), *rolled]
