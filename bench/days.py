"""What days of a time zone cost beside days of UTC, and aggregates of the readings beside those of rollups.

    python -m bench.days [--dsn chdb:///tmp/days]

One series of one value a minute over a year is asked for. Both sides of a line are asked in turn in one run; the
ratio is that of their medians.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np

from allthings.historian.history import History
from allthings.historian.query import HistoryQuery
from allthings.things.calendar import Every
from bench.history_load import START_NS
from bench.history_query import YEAR, add_years

SERIES = 2
Side = tuple[str, str, tuple[str, ...]]
ROLLED = ("avg", "min", "max")
UTC_DAYS: Side = ("days of UTC", "UTC", ROLLED)
SIDES: list[tuple[Side, Side]] = [
    (UTC_DAYS, ("days of Berlin (hours)", "Europe/Berlin", ROLLED)),
    (UTC_DAYS, ("days of Tokyo (hours, all as long)", "Asia/Tokyo", ROLLED)),
    (UTC_DAYS, ("days of Kathmandu (minutes)", "Asia/Kathmandu", ROLLED)),
    (UTC_DAYS, ("p95 (readings)", "UTC", ("p95",))),
    (UTC_DAYS, ("twa (readings)", "UTC", ("twa",))),
    (UTC_DAYS, ("increase of Berlin (readings)", "Europe/Berlin", ("increase",))),
]


def took_ms(history: History, i: int, side: Side) -> float:
    _, zone, aggregates = side
    key = (f"year-{i % SERIES}", "power")
    query = HistoryQuery((key,), START_NS - YEAR, START_NS, Every(1, "d"), aggregates, zone=zone, now_ns=START_NS)
    start = time.perf_counter()
    (series,) = history.history(query)
    took = (time.perf_counter() - start) * 1000
    assert 365 <= series.table.num_rows <= 366
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", help="a history to keep; else one in a temporary folder")
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = History(options.dsn or f"chdb://{folder}/history")
        history.open()
        add_years(history, SERIES)
        for one, other in SIDES:
            pairs = [(took_ms(history, i, one), took_ms(history, i, other)) for i in range(options.times + 2)][2:]
            left, right = np.median(np.array(pairs), axis=0)
            print(f"a year: {one[0]} {left:.1f} ms, {other[0]} {right:.1f} ms, ratio {right / left:.2f}", flush=True)
        history.close()


if __name__ == "__main__":
    main()
