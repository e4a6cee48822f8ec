"""A process that inserts and rolls up until it is killed. It says each block once that is on disk.

python -m tests.historian.endless DSN FIRST_SEQUENCE
"""

from __future__ import annotations

import sys
import threading

from allthings.historian.history import History
from tests.historian.blocks import T0, Row, S, decoded, end_of

THINGS = 40


def rows(sequence: int) -> list[Row]:
    """What a block holds: new readings of all things, and a correction and a late reading of some."""
    new: list[Row] = [(f"t{i}", "p", T0 + sequence * 7 * S + i, float(sequence)) for i in range(THINGS)]
    some = range(sequence % 5, THINGS, 5)
    corrected: list[Row] = [
        (f"t{i}", "p", T0 + (sequence - sequence % 3 - 3) * 7 * S + i, sequence / 2) for i in some if sequence > 6
    ]
    late: list[Row] = [(f"t{i}", "p", T0 - sequence * 11 * S, -float(sequence)) for i in some]
    return new + corrected + late


def main() -> None:
    dsn, sequence = sys.argv[1], int(sys.argv[2])
    history = History(dsn)
    history.open()
    print("open", flush=True)
    done = [sequence - 1]

    def roll_up() -> None:
        upper = False
        while True:
            history.rollup(end_of(done[0]), upper=upper)
            upper = not upper

    threading.Thread(target=roll_up, daemon=True).start()
    while True:
        history.insert([decoded(sequence, rows(sequence))])
        done[0] = sequence
        print(sequence, flush=True)
        sequence += 1


if __name__ == "__main__":
    main()
