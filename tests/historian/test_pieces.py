"""Spans in pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.historian.pieces import pieces
from allthings.historian.settings import NS_PER_DAY, NS_PER_HOUR

DAYS = st.dictionaries(st.integers(-10, 400), st.integers(1, 5_000), max_size=40)
SECOND = 1_000_000_000
WIDTHS = st.sampled_from([1, SECOND, 7 * SECOND, 90 * SECOND, 3_600 * SECOND, NS_PER_DAY])


@given(
    counts=DAYS,
    rows_max=st.integers(1, 2_000),
    grain=WIDTHS,
    origin=st.integers(0, NS_PER_DAY),
    start=st.integers(-11 * NS_PER_DAY, 100 * NS_PER_DAY),
    length=st.integers(1, 500 * NS_PER_DAY),
)
def test_pieces_cover_the_span_once_and_cut_no_bucket(
    counts: dict[int, int], rows_max: int, grain: int, origin: int, start: int, length: int
) -> None:
    days = [(day * NS_PER_DAY, rows) for day, rows in sorted(counts.items())]
    found = pieces((start, start + length), days, rows_max, grain, origin)
    assert found[0][0] == start
    assert found[-1][1] == start + length
    for (_, end), (after, _) in itertools.pairwise(found):
        assert end == after
        assert (end - origin) % grain == 0
    assert all(first < end for first, end in found)


@given(counts=DAYS, rows_max=st.integers(1, 2_000))
def test_no_piece_has_more_rows_than_it_may(counts: dict[int, int], rows_max: int) -> None:
    """With rows spread evenly within each day, and edges anywhere."""
    days = [(day * NS_PER_DAY, rows) for day, rows in sorted(counts.items())]
    found = pieces((-11 * NS_PER_DAY, 500 * NS_PER_DAY), days, rows_max, 1)
    for start, end in found:
        rows = sum(count * max(0, min(end, day + NS_PER_DAY) - max(start, day)) / NS_PER_DAY for day, count in days)
        assert rows <= rows_max * 1.001
    total = sum(counts.values())
    assert len(found) <= 2 * (total / rows_max + 1) + len(days)


@pytest.mark.parametrize(
    ("days", "end_hours"),
    [
        ([], [720]),
        ([(0, 10), (1, 10)], [720]),
        ([(0, 60), (1, 60), (2, 60)], [24, 48, 720]),
        ([(0, 40), (1, 40), (20, 40)], [480, 720]),
        ([(3, 200)], [84, 720]),
        ([(0, 90), (3, 250), (4, 1)], [72, 80, 88, 96, 720]),
    ],
)
def test_where_pieces_end(days: list[tuple[int, int]], end_hours: list[int]) -> None:
    found = pieces((0, 30 * NS_PER_DAY), [(day * NS_PER_DAY, rows) for day, rows in days], 100, 1)
    assert [end / NS_PER_HOUR for _, end in found] == end_hours
