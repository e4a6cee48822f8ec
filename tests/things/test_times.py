import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.errors import BadInputError
from allthings.things.times import NS_PER_S, TIME_NS_MAX, TIME_NS_MIN, format_time, now_ns, parse_time
from tests.reaching import must_reach, reach

_T = 1_795_336_200 * NS_PER_S  # 2026-11-22T08:30:00Z


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ("2026-11-22T08:30:00Z", _T),
        ("2026-11-22t08:30:00z", _T),
        ("2026-11-22 08:30:00", _T),
        ("2026-11-22T09:30:00+01:00", _T),
        ("2026-11-22T00:30-0800", _T),
        ("2026-11-22", _T - (8 * 3600 + 1800) * NS_PER_S),
        ("2026-11-22T08:30:00.123456789Z", _T + 123_456_789),
        ("2026-11-22T08:30:00,5+00:00", _T + 500_000_000),
        ("2026-11-22T08:30:00.1234567899999Z", _T + 123_456_789),
        (1_795_336_200, _T),
        (1_795_336_200_000, _T),
        (1_795_336_200.25, _T + 250_000_000),
        (1_795_336_200_000.5, _T + 500_000),
        (-1, -NS_PER_S),
        (0, 0),
        ("1900-01-01T00:00:00Z", TIME_NS_MIN),
        ("2262-01-01T00:00:00Z", TIME_NS_MAX),
        ("1969-12-31T23:59:59.5Z", -NS_PER_S // 2),
        ("2026-11-22T08:30Z", _T),
        ("2026-11-22T09+01", _T - 1800 * NS_PER_S),
        ("20261122T083000Z", _T),
        ("20261122T093000+0100", _T),
        ("20261122T083000.123456789Z", _T + 123_456_789),
        ("2026-W47-7T08:30:00Z", _T),
        ("2026W477T083000+00:00", _T),
        ("2026-326T08:30", _T),
        ("2026-11-22T08:29:60Z", _T),
        ("2026-11-21T24:00:00Z", _T - 8 * 3600 * NS_PER_S - 1800 * NS_PER_S),
        (20261122, _T - (8 * 3600 + 1800) * NS_PER_S),
        ("20261122", _T - (8 * 3600 + 1800) * NS_PER_S),
        (202611220830, _T),
        ("20261122083000", _T),
        (20261122083000500, _T + 500_000_000),
        (20261322, 20_261_322 * NS_PER_S),
        ("1795336200", _T),
        ("1795336200.25", _T + 250_000_000),
        (1_795_336_200_000_000, _T),
        (1_795_336_200_000_000_000, _T),
        (1_795_336_200_123_456.0, _T + 123_456_000),
    ],
)
def test_times_that_are_understood(value: object, ns: int) -> None:
    assert parse_time(value) == ns


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2026-02-30T00:00:00Z",
        "2026-11-22T25:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "1899-12-31T23:59:59Z",
        "2026-11-22T08:30:00+01:00:00.25",
        "2026-W54-1",
        "2026-366",
        "0x10",
        "1e9",
        "24:00",
        "2026-11-22T24:00:01Z",
        "2026-11-22T08:30:61Z",
        "２０２６-11-22T08:30:00Z",
        pytest.param("2" * 100_000, id="long"),
        pytest.param(10**400, id="large"),
        pytest.param(10**5000, id="huge"),
        pytest.param(-(10**5000), id="-huge"),
        1e300,
        math.nan,
        math.inf,
        True,
        None,
        [],
        {"t": 1},
    ],
)
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_time(value)
    assert len(str(caught.value)) < 200


_NEARLY_A_TIME = st.builds(
    lambda time, end, at, odd: time[:at] + odd + time[at + len(odd) :] + end,
    st.datetimes(datetime(1890, 1, 1), datetime(2270, 1, 1)).map(datetime.isoformat),
    st.sampled_from(["", "Z", "z", "+01:00", "-14:00", "+0100", "+25:00"]),
    st.integers(0, 30),
    st.sampled_from(["", "", "9", " ", "W", "60"]),
)


@given(st.integers(TIME_NS_MIN, TIME_NS_MAX))
def test_a_time_that_is_written_reads_the_same(ns: int) -> None:
    assert parse_time(format_time(ns)) == ns


@given(st.datetimes(datetime(1900, 1, 2), datetime(2261, 12, 31)), st.integers(-14 * 60, 14 * 60))
def test_times_agree_with_the_standard_library(naive: datetime, offset_min: int) -> None:
    offset = timedelta(minutes=offset_min)
    sign = "-" if offset_min < 0 else "+"
    hours, minutes = divmod(abs(offset_min), 60)
    text = f"{naive.isoformat()}{sign}{hours:02d}:{minutes:02d}"
    expected = (naive.replace(tzinfo=UTC) - offset - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse_time(text) == expected * 1000


@must_reach("refused", "a time")
@given(st.text(max_size=40) | _NEARLY_A_TIME)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        found = parse_time(text)
    except BadInputError:
        reach("refused")
        return
    reach("a time")
    assert TIME_NS_MIN <= found <= TIME_NS_MAX


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (_T + 120_000_000, "2026-11-22T08:30:00.120Z"),
        (_T + 120_000, "2026-11-22T08:30:00.000120Z"),
        (TIME_NS_MIN, "1900-01-01T00:00:00Z"),
    ],
)
def test_how_times_are_written(ns: int, text: str) -> None:
    assert format_time(ns) == text


def test_the_clock_is_between_the_limits() -> None:
    assert TIME_NS_MIN < now_ns() < TIME_NS_MAX
