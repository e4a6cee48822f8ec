"""Where the buckets of a zone's calendar begin, against a clock that is looked at every minute."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from allthings.things.calendar import Every, Grid
from allthings.things.errors import BadInputError

S = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86_400 * S


def at(text: str) -> int:
    """Nanoseconds of a time in UTC."""
    return (
        int((datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * S
    )


def shown(ns: int, zone: str) -> datetime:
    """What clocks in a zone show."""
    return (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // S)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    )


def hours(every: Every, zone: str, start: str, end: str) -> list[float]:
    edges = Grid(every, zone).edges(at(start), at(end))
    return [(after - before) / HOUR for before, after in itertools.pairwise(edges)]


DAYS: list[tuple[str, str, str, list[float]]] = [
    ("UTC", "2026-03-28", "2026-03-31", [24, 24, 24]),
    ("Europe/Berlin", "2026-03-27T23:00", "2026-03-30T22:00", [24, 23, 24]),
    ("Europe/Berlin", "2026-10-23T22:00", "2026-10-26T23:00", [24, 25, 24]),
    ("Australia/Lord_Howe", "2026-04-03T13:00", "2026-04-05T13:30", [24, 24.5]),
    ("Australia/Lord_Howe", "2026-10-02T13:30", "2026-10-04T13:00", [24, 23.5]),
    ("Asia/Kathmandu", "2026-03-27T18:15", "2026-03-29T18:15", [24, 24]),
    # 30 December 2011 never was.
    ("Pacific/Apia", "2011-12-28T10:00", "2011-12-31T10:00", [24, 24, 24]),
    # Midnight itself is skipped, or comes twice.
    ("America/Sao_Paulo", "2018-11-03T03:00", "2018-11-05T02:00", [24, 23]),
    ("America/Havana", "2026-10-31T04:00", "2026-11-02T05:00", [24, 25]),
    # A minute past midnight clocks are put back to the day before.
    ("America/St_Johns", "2010-11-06T02:30", "2010-11-08T03:30", [24, 25]),
    # Half past eleven in the evening they are put forward beyond midnight.
    ("America/Toronto", "1919-03-30T05:00", "1919-04-01T04:00", [23.5, 23.5]),
    # The day that was lived twice (23 hours of it).
    ("Pacific/Kwajalein", "1969-09-29T13:00", "1969-10-01T12:00", [47]),
    # Before standard time.
    ("Europe/Amsterdam", "1936-12-31T23:40:28", "1937-01-01T23:40:28", [24]),
    ("Europe/Berlin", "1945-05-23T22:00", "1945-05-24T21:00", [23]),
    ("Europe/Berlin", "2061-03-26T23:00", "2061-03-27T22:00", [23]),
]


@pytest.mark.parametrize(("zone", "start", "end", "expected"), DAYS)
def test_days_are_as_long_as_they_are(zone: str, start: str, end: str, expected: list[float]) -> None:
    edges = Grid(Every(1, "d"), zone).edges(at(start), at(end))
    assert edges[0] == at(start)
    assert edges[-1] == at(end)
    assert hours(Every(1, "d"), zone, start, end) == expected


@pytest.mark.parametrize(
    ("zone", "width", "start", "expected"),
    [
        ("Europe/Berlin", 1, "2026-10-25T00:00", [1, 1, 1, 1]),
        ("Europe/Berlin", 2, "2026-10-25T00:00", [3, 2, 2]),
        ("Europe/Berlin", 2, "2026-03-29T01:00", [1, 2, 2]),
        ("Europe/Berlin", 6, "2026-03-28T23:00", [5, 6, 6, 6]),
        ("Europe/Berlin", 12, "2026-10-24T22:00", [13, 12]),
        ("Australia/Lord_Howe", 1, "2026-04-04T14:00", [1.5, 1, 1]),
        ("Australia/Lord_Howe", 1, "2026-10-03T14:30", [1, 0.5, 1]),
        ("Asia/Kathmandu", 1, "2026-10-25T00:15", [1, 1, 1]),
        ("America/St_Johns", 1, "2010-03-14T03:30", [1 / 60, 59 / 60, 1]),
    ],
)
def test_hours_of_the_clock(zone: str, width: int, start: str, expected: list[float]) -> None:
    begin = at(start)
    edges = Grid(Every(width * HOUR), zone).edges(begin, begin + int(sum(expected) * HOUR))
    assert edges[0] == begin
    assert [(b - a) / HOUR for a, b in itertools.pairwise(edges)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("every", "start", "expected"),
    [
        (Every(1, "w"), "2026-11-25", ["2026-11-23", "2026-11-30"]),
        (Every(1, "w"), "1969-12-31", ["1969-12-29", "1970-01-05"]),
        (Every(1, "mo"), "2026-02-28", ["2026-02-01", "2026-03-01"]),
        (Every(3, "mo"), "2026-06-30", ["2026-04-01", "2026-07-01"]),
        (Every(1, "y"), "1969-07-20", ["1969-01-01", "1970-01-01"]),
        (Every(10, "y"), "1969-07-20", ["1960-01-01", "1970-01-01"]),
        (Every(2, "d"), "1970-01-02", ["1970-01-01", "1970-01-03"]),
        (Every(2, "d"), "1969-12-31", ["1969-12-30", "1970-01-01"]),
        (Every(7 * DAY), "1970-01-05", ["1970-01-01", "1970-01-08"]),
    ],
)
def test_calendars_count_from(every: Every, start: str, expected: list[str]) -> None:
    assert Grid(every).edges(at(start), at(start) + 1) == [at(day) for day in expected]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Apia"])
def test_months_begin_at_the_zones_midnight(zone: str) -> None:
    edges = Grid(Every(1, "mo"), zone).edges(at("2011-01-15"), at("2012-12-15"))
    assert [shown(edge, zone) for edge in edges] == [
        datetime(2011 + month // 12, month % 12 + 1, 1) for month in range(25)
    ]


def by_looking(every: Every, zone: str, start: int, end: int) -> list[int]:
    """Every minute: is it a bucket that clocks have not been in, or one of an hour that is lived again?"""
    found, seen, before = [], None, None
    for ns in range(start - 3 * DAY, end, MINUTE):
        now = shown(ns, zone)
        back = before - now + timedelta(minutes=1) if before and now < before else None
        if back and every.unit == "ns" and back % timedelta(seconds=every.count // S) == timedelta(0):
            seen = now - timedelta(minutes=1)
        if seen is None or now > seen:
            label, was = number(every, now), None if seen is None else number(every, seen)
            if label != was and ns >= start:
                found.append(ns)
            seen = now
        before = now
    return found


def number(every: Every, wall: datetime) -> Any:
    """The number of a wall time's bucket."""
    days = (wall.date() - date(1970, 1, 1)).days
    match every.unit:
        case "ns":
            return (days * 1440 + wall.hour * 60 + wall.minute) // (every.count // MINUTE)
        case "d":
            return days // every.count
        case "w":
            return (days + 3) // 7 // every.count
        case "mo":
            return ((wall.year - 1970) * 12 + wall.month - 1) // every.count
        case _:
            return (wall.year - 1970) // every.count


#: Zones, each with times around which its clocks were changed.
CHANGES = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25", "1947-05-11"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-04", "2026-10-03", "1981-02-28"],
    "Pacific/Apia": ["2011-12-30", "2010-09-26"],
    "Pacific/Kwajalein": ["1969-09-30", "1993-08-21"],
    "America/St_Johns": ["2010-03-14", "2010-11-07"],
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],
    "Asia/Kathmandu": ["1985-12-31"],
    "Asia/Pyongyang": ["2015-08-14", "2018-05-04"],
    "America/Caracas": ["2016-05-01", "2007-12-09"],
    "Antarctica/Troll": ["2026-03-29", "2026-10-25"],
}
WIDTHS = [Every(m * MINUTE) for m in (15, 30, 60, 120, 180, 360, 1440)]
WIDTHS += [Every(n, unit) for unit in ("d", "w", "mo", "y") for n in (1, 2)]
near = st.sampled_from(sorted((zone, day) for zone, days in CHANGES.items() for day in days))


@given(near, st.sampled_from(WIDTHS), st.integers(-1500, 1500), st.integers(1, 1440))
@example(("Australia/Lord_Howe", "2026-04-04"), Every(HOUR), 0, 1440)
def test_edges_are_where_the_clock_says(place: tuple[str, str], every: Every, minutes: int, length: int) -> None:
    zone, day = place
    start = at(day) + minutes * MINUTE
    end = start + length * MINUTE
    grid = Grid(every, zone)
    edges = grid.edges(start, end)
    assert edges == sorted(set(edges))
    assert edges[0] <= start < edges[1]
    assert edges[-2] < end <= edges[-1]
    expected = by_looking(every, zone, start, end)
    event(f"{len(expected)} edges" if len(expected) < 3 else "many edges")
    assert [edge for edge in edges if start <= edge < end] == expected
    assert grid.end(start) == edges[1]
    fixed = grid.fixed(start, end)
    if fixed:
        event("fixed")
        width, origin = fixed
        assert all((edge - origin) % width == 0 for edge in edges)
        assert {b - a for a, b in itertools.pairwise(edges)} == {width}


def test_hours_of_whole_zones_are_as_regular_as_those_of_utc() -> None:
    assert Grid(Every(HOUR), "Europe/Berlin").fixed(at("2020-01-01"), at("2030-01-01")) == (HOUR, 0)
    assert Grid(Every(HOUR), "Asia/Kathmandu").fixed(at("2020-01-01"), None) == (HOUR, 15 * MINUTE)
    assert Grid(Every(1, "d"), "Asia/Tokyo").fixed(at("2020-01-01"), at("2030-01-01")) == (DAY, 15 * HOUR)
    assert Grid(Every(1, "d"), "Europe/Berlin").fixed(at("2026-01-01"), at("2026-05-01")) is None
    assert Grid(Every(1, "w")).fixed(None, None) == (7 * DAY, 4 * DAY)
    assert Grid(Every(1, "mo")).fixed(None, None) is None


@pytest.mark.parametrize("every", [Every(5 * HOUR), Every(7 * S), Every(48 * HOUR)])
def test_what_does_not_divide_a_day_is_refused_in_a_zone(every: Every) -> None:
    Grid(every)
    with pytest.raises(BadInputError, match="divide a day"):
        Grid(every, "Europe/Berlin")
