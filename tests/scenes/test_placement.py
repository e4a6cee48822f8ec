"""Where a recording lies on our time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.scenes.demo.placement import Span, end_row, first_live_row, first_row, history, place

DAY = 86_400
#: A recording of ten days, a value every ten minutes, from a Wednesday's midnight on.
START = int(datetime(2017, 3, 22, tzinfo=UTC).timestamp())
CLOCK = START + np.arange(10 * 144, dtype=np.int64) * 600
SPAN = Span(START, 10 * DAY, repeat=1)
LIVE_FROM = START + 8 * DAY
NOW = int(datetime(2026, 11, 22, 15, 24, 10, tzinfo=UTC).timestamp())


@given(
    now=st.integers(1_700_000_000, 2_000_000_000),
    offset=st.integers(-12 * 3600, 14 * 3600),
    align=st.sampled_from([1, 7]),
)
def test_the_seam_has_our_clock_and_lies_within_one_alignment_before_its_bound(
    now: int, offset: int, align: int
) -> None:
    seam = place(SPAN, LIVE_FROM, align * DAY, now, offset)
    assert (seam.recorded_s - (now + offset)) % (align * DAY) == 0
    assert LIVE_FROM - align * DAY < seam.recorded_s <= LIVE_FROM


def test_days_of_the_week_agree_when_the_alignment_is_a_week() -> None:
    seam = place(SPAN, LIVE_FROM, 7 * DAY, NOW, 0)
    recorded = datetime.fromtimestamp(seam.recorded_s, UTC)
    assert (recorded.weekday(), recorded.time()) == (6, datetime.fromtimestamp(NOW, UTC).time())


def test_a_seam_before_the_recording_moves_into_it() -> None:
    seam = place(SPAN, START + 3600, DAY, START + 7200, 0)
    assert seam.recorded_s == START + 7200


def test_a_bound_outside_the_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="no moment of the recording"):
        place(SPAN, START + 20 * DAY, DAY, NOW, 0)


def test_the_history_ends_now_with_the_row_of_the_seam() -> None:
    seam = place(SPAN, LIVE_FROM, DAY, NOW, 0)
    rows, times = history(CLOCK, SPAN, seam, after_s=-1 << 62)
    assert NOW - 600 < times[-1] <= NOW
    assert CLOCK[rows[-1]] + seam.shift_s == times[-1]
    assert rows[0] == 0
    assert (np.diff(times) == 600).all()


def test_repeats_go_back_seamlessly() -> None:
    span = Span(START, 10 * DAY, repeat=3)
    seam = place(span, LIVE_FROM, DAY, NOW, 0)
    rows, times = history(CLOCK, span, seam, after_s=-1 << 62)
    assert (np.diff(times) == 600).all()
    assert len(rows) == 2 * len(CLOCK) + int(np.searchsorted(CLOCK, seam.recorded_s, side="right"))


def test_what_is_known_already_is_left_out() -> None:
    seam = place(SPAN, LIVE_FROM, DAY, NOW, 0)
    _, everything = history(CLOCK, SPAN, seam, after_s=-1 << 62)
    _, gap = history(CLOCK, SPAN, seam, after_s=int(everything[-4]))
    assert gap.tolist() == everything[-3:].tolist()
    _, nothing = history(CLOCK, SPAN, seam, after_s=NOW)
    assert len(nothing) == 0


def test_a_run_that_was_ended_goes_on_with_the_same_times() -> None:
    """The shift is made of whole days, so minutes later the same rows get the same times."""
    first = history(CLOCK, SPAN, place(SPAN, LIVE_FROM, DAY, NOW, 0), after_s=-1 << 62)[1]
    later = history(CLOCK, SPAN, place(SPAN, LIVE_FROM, DAY, NOW + 300, 0), after_s=int(first[100]))[1]
    assert later[0] == first[101]


def test_live_rows_follow_the_seam() -> None:
    seam = place(SPAN, LIVE_FROM, DAY, NOW, 0)
    rows, _ = history(CLOCK, SPAN, seam, after_s=-1 << 62)
    assert first_live_row(CLOCK, SPAN, seam) == rows[-1] + 1


def test_a_recording_that_ends_at_the_seam_begins_again() -> None:
    span = Span(START, 8 * DAY, repeat=1)
    midnight = NOW // DAY * DAY
    seam = place(span, START + 8 * DAY, DAY, midnight, 0)
    assert seam.recorded_s == START + 8 * DAY
    assert first_live_row(CLOCK[: 8 * 144], span, seam) == 0


def test_rows_beyond_the_loop_are_not_used() -> None:
    span = Span(START + DAY, 3 * DAY, repeat=1)
    assert (first_row(CLOCK, span), end_row(CLOCK, span)) == (144, 4 * 144)
