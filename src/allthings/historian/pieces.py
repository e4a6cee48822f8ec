"""A span of time in pieces of about as many rows each, so that no statement needs much memory, and none is asked for
more than is answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allthings.historian.settings import NS_PER_DAY
from allthings.historian.stretches import Stretch


def pieces(
    bounds: Stretch, days: Sequence[tuple[int, int]], rows_max: int, grain_ns: int, origin_ns: int = 0
) -> list[Stretch]:
    """Stretches that cover the bounds, in order of time, each of about `rows_max` rows.

    `days` has the beginning and the rows of each day (UTC) that has any, in order. Within a day rows are taken to be
    spread evenly. All edges but the bounds lie on whole grains, counted from an origin.
    """
    start, end = bounds
    edges = [start]
    for edge in _edges(days, rows_max):
        on_grain = (edge - origin_ns) // grain_ns * grain_ns + origin_ns
        if edges[-1] < on_grain < end:
            edges.append(on_grain)
    return list(zip(edges, [*edges[1:], end], strict=True))


def _edges(days: Sequence[tuple[int, int]], rows_max: int) -> Iterator[int]:
    """Where a piece is full."""
    held = 0
    for day, rows in days:
        if held and held + rows > rows_max:
            yield day
            held = 0
        parts = max(1, -(-rows // rows_max))
        yield from (day + part * NS_PER_DAY // parts for part in range(1, parts))
        held = held + rows if parts == 1 else rows_max
