"""Which questions are quick."""

from __future__ import annotations

from typing import Any

import pytest

from allthings.historian.query import HistoryQuery
from allthings.historian.weight import is_quick
from allthings.things.calendar import Every

S = 1_000_000_000
DAY = 86_400 * S
NOW = 20_000 * DAY
ONE = (("pump-7", "pressure"),)


def asked(series: Any = ONE, **more: Any) -> bool:
    return is_quick(HistoryQuery(series, **more), NOW)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"limit": 100_000},
        {"start_ns": NOW - DAY, "every": Every(S), "aggregates": ("avg",)},
        {"start_ns": NOW - 365 * DAY, "every": Every(DAY // 2), "aggregates": ("avg", "min", "max", "count")},
        {"start_ns": NOW - 30 * DAY, "every": Every(60 * S), "aggregates": ("avg",)},
        {"aggregates": ("count",)},
        {"start_ns": NOW - 365 * DAY, "every": Every(1, "mo"), "aggregates": ("avg",), "zone": "Europe/Berlin"},
        {"points": 1_000},
        {"series": (("pump-7", None),), "start_ns": NOW - DAY, "limit": 10_000},
        {"series": tuple((f"t{n}", "p") for n in range(10)), "start_ns": NOW - DAY},
    ],
)
def test_charts_and_pages_are_quick(more: dict[str, Any]) -> None:
    assert asked(**more)


@pytest.mark.parametrize(
    "more",
    [
        {"limit": 1_000_000},
        {"start_ns": NOW - 365 * DAY, "every": Every(1, "d"), "aggregates": ("p95",)},
        {"start_ns": NOW - 3 * 365 * DAY, "every": Every(S), "aggregates": ("avg",)},
        {"start_ns": NOW - 30 * DAY, "every": Every(90 * S), "aggregates": ("avg",)},
        {"every": Every(3600 * S), "aggregates": ("avg",)},
        {"end_ns": NOW, "every": Every(3600 * S), "aggregates": ("avg",)},
        {"series": tuple((f"t{n}", "p") for n in range(10))},
        {"series": tuple((f"t{n}", "p") for n in range(1_000)), "start_ns": NOW - DAY, "limit": 1_000},
        {"series": tuple((f"t{n}", "p") for n in range(1_000)), "points": 1_000},
        {"series": tuple((f"t{n}", None) for n in range(1_000)), "aggregates": ("count",)},
    ],
)
def test_much_and_what_may_be_much_is_not(more: dict[str, Any]) -> None:
    assert not asked(**more)
