"""Stretches of time against sets of moments."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from allthings.historian.stretches import Stretch, joined, within, without

MOMENTS = 40
STRETCH = st.tuples(st.integers(0, MOMENTS), st.integers(1, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
STRETCHES = st.lists(STRETCH, max_size=8)


def moments(stretches: Iterable[Stretch]) -> set[int]:
    return {moment for start, end in stretches for moment in range(start, end)}


def check_order(stretches: list[Stretch]) -> None:
    """Sorted, disjoint, none empty."""
    edges = [edge for stretch in stretches for edge in stretch]
    assert edges == sorted(set(edges))


@given(STRETCHES, st.integers(1, 10))
def test_joined_stretches_cover_all_and_are_not_too_many(stretches: list[Stretch], most: int) -> None:
    made = joined(stretches, most)
    check_order(made)
    assert len(made) <= most
    assert moments(made) >= moments(stretches)
    if len(joined(stretches, 100)) <= most:
        assert moments(made) == moments(stretches)
    if made:
        assert (made[0][0], made[-1][1]) == (min(moments(stretches)), max(moments(stretches)) + 1)


def test_the_shortest_gaps_are_closed() -> None:
    assert joined([(0, 10), (12, 20), (50, 60), (61, 70)], 3) == [(0, 10), (12, 20), (50, 70)]
    assert joined([(0, 10), (12, 20), (50, 60), (61, 70)], 2) == [(0, 20), (50, 70)]
    assert joined([(0, 10), (12, 20), (50, 60), (61, 70)], 1) == [(0, 70)]


@given(STRETCHES, STRETCHES)
def test_what_is_gone_is_not_left(stretches: list[Stretch], gone: list[Stretch]) -> None:
    left = without(joined(stretches, 100), joined(gone, 100))
    check_order(left)
    assert moments(left) == moments(stretches) - moments(gone)


@given(STRETCHES, STRETCH)
def test_what_is_within_lies_in_both(stretches: list[Stretch], bounds: Stretch) -> None:
    left = within(joined(stretches, 100), bounds)
    check_order(left)
    assert moments(left) == moments(stretches) & moments([bounds])
