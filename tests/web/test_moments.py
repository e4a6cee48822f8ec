"""Times and durations in queries."""

from __future__ import annotations

import pytest

from allthings.things.calendar import Every
from allthings.things.errors import BadInputError
from allthings.things.times import TIME_NS_MIN, parse_time
from allthings.things.zones import find_zone
from allthings.web.moments import parse_every, parse_moment

S = 1_000_000_000
NOW = 1_772_409_600 * S


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-1h", NOW - 3600 * S),
        ("-7d", NOW - 7 * 86_400 * S),
        ("now-90m", NOW - 5400 * S),
        ("now+1h", NOW + 3600 * S),
        ("now 1h", NOW + 3600 * S),
        ("+500ms", NOW + S // 2),
        ("-2w", NOW - 14 * 86_400 * S),
        ("-999y", TIME_NS_MIN),
        ("1772409600", NOW),
        ("1772409600000", NOW),
        ("1772409600.5", NOW + S // 2),
        ("-86400", -86_400 * S),
        ("2026-03-02T00:00:00Z", NOW),
        ("2026-03-02T01:00:00+01:00", NOW),
        ("2026-03-02T01:00:00 01:00", NOW),
        ("2026-03-02", NOW),
        (" now ", NOW),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert parse_moment(text, NOW, "from") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("2026-07-01T12:00", "2026-07-01T10:00:00Z"),
        ("2026-07-01 12:00:00.5", "2026-07-01T10:00:00.5Z"),
        ("2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("2026-07-01T12:00Z", "2026-07-01T12:00:00Z"),
        ("2026-07-01T12:00-05:00", "2026-07-01T17:00:00Z"),
        ("2026-07-01T12:00 02:00", "2026-07-01T10:00:00Z"),
        ("1782864000", "2026-07-01T00:00:00Z"),
        ("-1h", "2026-03-01T23:00:00Z"),
    ],
)
def test_times_without_an_offset_are_of_the_zone(text: str, expected: str) -> None:
    assert parse_moment(text, NOW, "from", find_zone("Europe/Berlin")) == parse_time(expected)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1h", "-1x", "-h", "now1", "1e400", "99999999999999999999", "-1h-1h"]
)
def test_no_moments(text: str) -> None:
    with pytest.raises(BadInputError, match="from: "):
        parse_moment(text, NOW, "from")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100ms", Every(S // 10)),
        ("1s", Every(S)),
        ("5m", Every(300 * S)),
        ("1h", Every(3600 * S)),
        ("24h", Every(86_400 * S)),
        ("1d", Every(1, "d")),
        ("2w", Every(2, "w")),
        ("3mo", Every(3, "mo")),
        ("1y", Every(1, "y")),
    ],
)
def test_every(text: str, expected: Every) -> None:
    assert parse_every(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "5", "-1m", "1.5h", "1M", "0mo", "1month", "101y", "999999999999s"])
def test_no_every(text: str) -> None:
    with pytest.raises(BadInputError, match="every: "):
        parse_every(text)
