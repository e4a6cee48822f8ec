"""Times and durations in queries."""

from __future__ import annotations

import pytest

from allthings.things.errors import BadInputError
from allthings.things.times import TIME_NS_MIN
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
    "text", ["", "yesterday", "1h", "-1x", "-h", "now1", "1e400", "99999999999999999999", "-1h-1h"]
)
def test_no_moments(text: str) -> None:
    with pytest.raises(BadInputError, match="from: "):
        parse_moment(text, NOW, "from")


@pytest.mark.parametrize(
    ("text", "expected"), [("100ms", S // 10), ("1s", S), ("5m", 300 * S), ("1h", 3600 * S), ("1d", 86_400 * S)]
)
def test_every(text: str, expected: int) -> None:
    assert parse_every(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "5", "-1m", "1.5h", "2y", "1mo", "999999999999s"])
def test_no_every(text: str) -> None:
    with pytest.raises(BadInputError, match="every: "):
        parse_every(text)
