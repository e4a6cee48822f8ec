"""Stretches of time: pairs of nanoseconds, the first inclusive, the second exclusive.

Lists of them are sorted and disjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Stretch = tuple[int, int]


def joined(stretches: Iterable[Stretch], most: int) -> list[Stretch]:
    """At most so many stretches that cover these; where they are more, the ones with the shortest gaps become one."""
    made: list[Stretch] = []
    for start, end in sorted(stretches):
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(end, made[-1][1])
        else:
            made.append((start, end))
    if len(made) <= most:
        return made
    by_gap = sorted(range(1, len(made)), key=lambda place: made[place][0] - made[place - 1][1], reverse=True)
    starts = [0, *sorted(by_gap[: most - 1])]
    return [(made[first][0], made[after - 1][1]) for first, after in zip(starts, [*starts[1:], len(made)], strict=True)]


def without(stretches: Sequence[Stretch], gone: Sequence[Stretch]) -> list[Stretch]:
    """What is left of stretches."""
    left = []
    for start, end in stretches:
        for gone_start, gone_end in gone:
            if gone_end <= start or gone_start >= end:
                continue
            if start < gone_start:
                left.append((start, gone_start))
            start = gone_end
            if start >= end:
                break
        if start < end:
            left.append((start, end))
    return left


def within(stretches: Iterable[Stretch], bounds: Stretch) -> list[Stretch]:
    """The part of stretches that lies within bounds."""
    cut = ((max(start, bounds[0]), min(end, bounds[1])) for start, end in stretches)
    return [(start, end) for start, end in cut if start < end]
