"""Current values as JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allthings.things.times import TIME_NS_MAX, TIME_NS_MIN, format_time
from allthings.twin.values import CurrentValue
from allthings.web.values import value_json, values_json


@hypothesis_settings(deadline=None)
@given(st.integers(TIME_NS_MIN, TIME_NS_MAX), st.sampled_from([1, 1_000, 10**6, 10**9]))
def test_times_are_those_of_the_platform(time: int, step: int) -> None:
    time = time // step * step
    shown = value_json(CurrentValue("t", "p", 1, time, -time, "good", 1))
    assert shown["time"] == format_time(time)
    assert shown["received"] == format_time(-time)


def test_values_of_every_kind() -> None:
    values = [1, 1.5, True, None, "ä\n", {"x": [1, {}]}, 2**63]
    body = json.loads(values_json(CurrentValue("t", "p", value, 0, 0, "stale", 1) for value in values))
    assert [one["value"] for one in body["values"]] == values
    assert body["values"][0] == {
        "thing": "t",
        "property": "p",
        "value": 1,
        "time": "1970-01-01T00:00:00Z",
        "received": "1970-01-01T00:00:00Z",
        "quality": "stale",
    }


def test_integers_that_json_libraries_do_not_take_are_kept() -> None:
    for value in (10**30, {"deep": [-(10**40), "ä"]}):
        body = json.loads(values_json([CurrentValue("t", "p", value, 0, 0, "good", 1)]))
        assert body["values"][0]["value"] == value
