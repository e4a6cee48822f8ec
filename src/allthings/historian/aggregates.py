"""What can be asked of the readings of a bucket.

Rolled up: `avg min max sum count first last`. They are made of the rollups.

Spread: `stddev`, the standard deviation of a sample (n - 1; none of fewer than two numbers), and `p1` to `p99`,
percentiles: exact, between the two numbers nearest by linear interpolation. They are made of the readings.

Held: a value holds until the next reading, so they also need the one before the bucket. `twa` is the average weighted
with time, `increase` how much a counter has risen, `duration` for how many seconds each state held; see holding.py.

Spread and held ones are null in a bucket that begins before readings of the series have expired.
"""

from __future__ import annotations

import re
from typing import Final

#: In SQL, over partials (buckets.py).
ROLLED: Final = {
    "avg": "sum(total) / sum(numbers)",
    "min": "min(low)",
    "max": "max(high)",
    "sum": "sum(total)",
    "count": "sum(n)",
    "first": "argMin(first_value, first_time)",
    "last": "argMax(last_value, last_time)",
}
#: Of these, values of any kind.
VALUES: Final = frozenset({"first", "last"})
HELD: Final = ("twa", "increase", "duration")
#: All that are told of; percentiles may be others too.
AGGREGATES: Final = (*ROLLED, "stddev", "p50", "p95", "p99", *HELD)

_PERCENTILE: Final = re.compile(r"p([1-9]\d?)")


def spread(name: str) -> str | None:
    """In SQL, over readings; None when it is no such aggregate."""
    if name == "stddev":
        return "if(count(number) > 1, stddevSampStable(number), NULL)"
    if match := _PERCENTILE.fullmatch(name):
        return f"quantileExactInclusive({int(match[1]) / 100})(number)"
    return None


def is_aggregate(name: str) -> bool:
    return name in ROLLED or name in HELD or spread(name) is not None
