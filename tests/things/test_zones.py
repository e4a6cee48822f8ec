"""Names of zones, and what clocks in them show."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.errors import BadInputError
from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN
from allthings.things.zones import find_zone, instant, periods

S = 1_000_000_000
DAY = 86_400 * S
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "Asia/Calcutta", "America/Argentina/Buenos_Aires", "Etc/GMT-5"]
)
def test_zones_are_found(name: str) -> None:
    assert find_zone(name).key == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Kathmndu", "Asia/Kathmandu"),
        ("Europe", "such as Europe/Berlin"),
        ("+01:00", "is an offset"),
        ("UTC+1", "is an offset"),
        ("Mars/Olympus", "such as Europe/Berlin"),
        ("", "such as Europe/Berlin"),
        ("../../etc/passwd", "such as Europe/Berlin"),
        ("/etc/localtime", "no time zone"),
        ("right/Europe/Berlin", "did you mean Europe/Berlin"),
        ("localtime", "no time zone"),
        ("Europe/Berlin\n", "did you mean Europe/Berlin"),
        ("x" * 10_000, "no time zone"),
    ],
)
def test_what_is_no_zone_is_told_with_what_is_like_it(name: str, said: str) -> None:
    with pytest.raises(BadInputError) as caught:
        find_zone(name)
    assert said in caught.value.detail
    assert len(caught.value.detail) < 250


@given(
    st.sampled_from(["Europe/Berlin", "Pacific/Apia", "Africa/Freetown", "Asia/Gaza", "Europe/Amsterdam", "UTC"]),
    st.integers(TIME_NS_MIN // S, TIME_NS_MAX // S),
)
def test_periods_have_the_zones_offset(name: str, second: int) -> None:
    zone = ZoneInfo(name)
    (period,) = (
        one
        for one in periods(zone, second * S - 400 * 86_400 * S, second * S)
        if one.start_ns <= second * S < one.end_ns
    )
    offset = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset == timedelta(seconds=period.offset_ns // S)


def test_periods_follow_each_other_over_all_time() -> None:
    found = periods(ZoneInfo("Europe/Berlin"), TIME_NS_MIN, TIME_NS_MAX)
    assert all(a.end_ns == b.start_ns and a.offset_ns != b.offset_ns for a, b in itertools.pairwise(found))
    assert found[0].start_ns <= TIME_NS_MIN
    assert found[-1].end_ns >= TIME_NS_MAX
    assert len(found) > 500


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("Europe/Berlin", "2026-07-01T00:00", "2026-06-30T22:00"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30"),
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00"),
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00"),
    ],
)
def test_the_first_moment_of_a_wall_time(zone: str, wall: str, expected: str) -> None:
    def ns(text: str) -> int:
        return int((datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH).total_seconds()) * S

    assert instant(ZoneInfo(zone), ns(wall)) == ns(expected)
