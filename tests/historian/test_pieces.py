"""Spans in pieces."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allthings.historian.history import History
from allthings.historian.pieces import pieces
from allthings.historian.query import HistoryQuery
from allthings.historian.settings import NS_PER_DAY, NS_PER_HOUR
from allthings.things.calendar import Every
from tests.historian.blocks import T0, decoded, end_of
from tests.historian.test_rollups import in_pieces

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


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Three series of some weeks with gaps, one of them of texts and numbers, some of it not rolled up."""
    history = History(f"chdb://{tmp_path_factory.mktemp('pieces')}/history")
    history.open()
    random = np.random.default_rng(7)
    for block, days in ((1, range(20)), (2, (5, 40, 41))):
        rows = [
            (thing, "p", T0 + day * NS_PER_DAY + int(at), float(at % 97) if thing != "c" or at % 2 else "on")
            for day in days
            for thing in "abc"
            for at in random.integers(0, NS_PER_DAY, random.integers(1, 60))
        ]
        history.insert([decoded(block, rows)])
        if block == 1:
            history.rollup(end_of(1))
    yield history
    history.close()


BOUNDS = st.one_of(st.none(), st.integers(-5, 50).map(lambda day: T0 + day * NS_PER_DAY + 12_345))


@pytest.mark.timeout(120)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    things=st.sampled_from(["a", "b", "abc", "c"]),
    bounds=st.tuples(BOUNDS, BOUNDS),
    every=st.sampled_from([None, Every(SECOND), Every(90 * SECOND), Every(7_200 * SECOND), Every(36 * 3_600 * SECOND)]),
    limit=st.sampled_from([1, 7, 50, 5_000]),
    descending=st.booleans(),
    rows=st.sampled_from([1, 10, 100]),
)
def test_pieces_answer_as_one(
    filled: History,
    things: str,
    bounds: tuple[int | None, int | None],
    every: Every | None,
    limit: int,
    descending: bool,
    rows: int,
) -> None:
    start, end = bounds
    if start is not None and end is not None and start > end:
        start, end = end, start
    query = HistoryQuery(
        tuple((thing, "p") for thing in things),
        start,
        end,
        every,
        ("count", "max", "last") if every else (),
        limit=limit,
        descending=descending,
    )
    at_once = filled.history(query, quick=True)
    with pytest.MonkeyPatch.context() as patch:
        in_pieces(patch, rows)
        assert filled.history(query) == at_once
        following = replace(query, after=at_once[0].next) if at_once[0].next else None
        if following:
            assert filled.history(following) == filled.history(following, quick=True)
