"""kill -9 at any moment of inserts, rollups and merges."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from allthings.historian.history import History
from tests.historian.blocks import end_of
from tests.historian.endless import rows
from tests.seeds import seed

ROUNDS = 3
_ROLLUPS = {"readings_1m": 60, "readings_1h": 3_600, "readings_1d": 86_400}


def run_and_kill(dsn: str, first: int, blocks: int, delay_s: float) -> int:
    """Run until so many blocks are acknowledged and a moment longer; the last one that was acknowledged."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.historian.endless", dsn, str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        for _ in range(blocks):
            assert process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay_s)
    finally:
        process.kill()
        said = process.stdout.read().split()
        process.wait()
        process.stdout.close()
    return first + blocks - 1 + len(said)


def check(history: History, acknowledged: int) -> None:
    """Every acknowledged reading is there once, as last corrected, and the rollups agree with the readings."""
    want: dict[tuple[str, int], tuple[int, float]] = {}
    for sequence in range(1, acknowledged + 1):
        for thing, _, time, value in rows(sequence):
            want[thing, time] = (sequence, value)
    found = history._engine.query.rows("SELECT thing, time, number, intDiv(position, 1048576) FROM readings FINAL")
    assert len(found) == len({row[:2] for row in found})
    got = {(thing, time): (sequence, value) for thing, time, value, sequence in found}
    for key, (sequence, value) in want.items():
        # A block that was on its way when the process died may be there as well.
        assert got[key] == (sequence, value) or got[key][0] > acknowledged
    assert all(key in want or sequence > acknowledged for key, (sequence, _) in got.items())
    for table, seconds in _ROLLUPS.items():
        columns = "thing, property, t, c, lo, hi, s, f, l"
        rolled = history._engine.query.rows(
            f"SELECT {columns} FROM (SELECT thing, property, time AS t, count AS c, min AS lo, max AS hi, sum AS s, "
            f"first AS f, last AS l FROM sql_{table}) ORDER BY thing, property, t"
        )
        plain = history._engine.query.rows(
            f"SELECT {columns} FROM (SELECT thing, property, "
            f"toStartOfInterval(time, toIntervalNanosecond({seconds} * 1000000000)) AS t, "
            "count() AS c, min(number) AS lo, max(number) AS hi, sum(number) AS s, argMin(number, time) AS f, "
            "argMax(number, time) AS l FROM readings FINAL GROUP BY thing, property, t) ORDER BY thing, property, t"
        )
        assert rolled == plain, table


def test_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(seed())
    dsn = f"chdb://{tmp_path}/history"
    acknowledged = 0
    for _ in range(ROUNDS):
        # A consumer whose position was not kept begins a little before.
        first = max(1, acknowledged - chance.randrange(4))
        last = run_and_kill(dsn, first, chance.randrange(5, 40), chance.uniform(0, 0.3))
        acknowledged = max(acknowledged, last)
        history = History(dsn)
        history.open()
        check(history, acknowledged)
        history.close()
    history.open()
    history.rollup(max(history.newest_position(), end_of(acknowledged)))
    check(history, acknowledged)
    history.close()
