"""How fast blocks are decoded, for several kinds of messages and sizes of blocks.

Values a second of processor time, of all threads, so that the figure holds on a busy machine too.

    python -m bench.decode [--profile CASE]
"""

from __future__ import annotations

import cProfile
import json
import pstats
import random
import sys
import time
from collections.abc import Callable

import pyarrow as pa

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.decode import decode
from allthings.readings.model import Model
from allthings.things.types import PropertyType

NOW_NS = 1_790_000_000_000_000_000
THINGS = 1_000
ROUNDS = 9


def flat(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    thing = rng.randrange(THINGS)
    values = {"a": round(rng.random() * 100, 2), "b": round(rng.random(), 3), "c": rng.random() < 0.5}
    return f"things/room-{thing}/properties", json.dumps(values).encode(), 3


def timed(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    topic, payload, values = flat(rng, row)
    return topic, b'{"@time":"2026-09-21T12:00:00.%06dZ",' % (row % 1_000_000) + payload[1:], values


def epoch(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    topic, payload, values = flat(rng, row)
    return topic, b'{"@time":%d,' % (NOW_NS // 1_000_000 + row) + payload[1:], values


def single(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    return f"things/room-{rng.randrange(THINGS)}/properties/a", b"%.2f" % (rng.random() * 100), 1


def text(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    payload = json.dumps({"mode": rng.choice(["heat", "cool", "off"]), "note": f"n{row}", "t": 1.5})
    return f"things/room-{rng.randrange(THINGS)}/properties", payload.encode(), 3


def buffered(rng: random.Random, row: int) -> tuple[str, bytes, int]:
    rows = [{"@time": NOW_NS // 1_000_000 + row + i, "a": rng.random(), "b": i} for i in range(20)]
    return f"things/room-{rng.randrange(THINGS)}/properties", json.dumps(rows).encode(), 40


CASES: dict[str, Callable[[random.Random, int], tuple[str, bytes, int]]] = {
    "flat": flat,
    "flat, typed": flat,
    "text @time": timed,
    "epoch @time": epoch,
    "single": single,
    "texts": text,
    "arrays": buffered,
}


def blocks(case: str, rows: int, count: int) -> tuple[list[Entry], int]:
    """Encoded blocks of one case, and how many values they hold."""
    rng = random.Random(7)
    made, values = [], 0
    for number in range(count):
        messages = [CASES[case](rng, number * rows + row) for row in range(rows)]
        values += sum(message[2] for message in messages)
        columns = [
            pa.array([NOW_NS + number * rows + row for row in range(rows)], pa.timestamp("ns", tz="UTC")),
            pa.array([message[0] for message in messages]),
            pa.array([message[1] for message in messages], pa.binary()),
            pa.array([message[0].split("/")[1] for message in messages]).dictionary_encode(),
            pa.array([0] * rows, pa.uint8()),
            pa.nulls(rows, pa.binary()),
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=block.MESSAGES)
        made.append(Entry(number + 1, block.encode(batch), NOW_NS))
    return made, values


def model(case: str) -> Model:
    if not case.endswith("typed"):
        return Model()
    types = {
        "a": PropertyType("number", minimum=-40, maximum=120),
        "b": PropertyType("number"),
        "c": PropertyType("boolean"),
    }
    return Model({f"room-{n}": types for n in range(THINGS)})


def run(case: str, rows: int, count: int) -> tuple[float, int]:
    """Best processor time in seconds of all blocks, reading the Arrow bytes included, and the values."""
    made, values = blocks(case, rows, count)
    known = model(case)
    best = float("inf")
    for _ in range(ROUNDS):
        fresh = [Entry(entry.sequence, entry.data, entry.stored_ns) for entry in made]
        start = time.process_time()
        found = sum(decode(entry, known).readings.num_rows for entry in fresh)
        best = min(best, time.process_time() - start)
        assert found == values, (found, values)
    return best, values


def main() -> None:
    if "--profile" in sys.argv:
        case = sys.argv[sys.argv.index("--profile") + 1]
        with cProfile.Profile() as profile:
            run(case, 500, 40)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    print(f"{'case':<14}{'rows/block':>12}{'values/s':>14}{'us/message':>12}")
    for case in CASES:
        for rows, count in ((100, 100), (1_000, 20), (20_000, 2)):
            if case == "arrays" and rows > 1_000:
                continue
            seconds, values = run(case, rows, count)
            rate, each = values / seconds, seconds / (rows * count) * 1e6
            print(f"{case:<14}{rows:>12,}{rate:>14,.0f}{each:>12.2f}")


if __name__ == "__main__":
    main()
