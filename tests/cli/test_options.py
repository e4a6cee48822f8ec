from __future__ import annotations

import pytest

from allthings.cli.options import moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", "-24h"),
        ("90s", "-90s"),
        ("1y", "-1y"),
        ("-7d", "-7d"),
        ("now", "now"),
        ("2026-11-22T08:30:00Z", "2026-11-22T08:30:00Z"),
        ("1763800000", "1763800000"),
    ],
)
def test_a_bare_age_is_that_long_ago(text: str, expected: str) -> None:
    assert moment(text) == expected
