"""The things of the demo are described well, and their recordings fit their descriptions."""

from __future__ import annotations

import re
from importlib import resources
from itertools import chain

import numpy as np
import pytest

from allthings.scenes.demo import catalogue
from allthings.scenes.demo.catalogue import DemoThing, Group
from allthings.scenes.demo.placement import history, place
from allthings.things.names import id_from_name, name_from_id
from allthings.things.td import check_td, property_types
from allthings.things.values import check_value

GROUPS = catalogue.load()
THINGS = list(chain.from_iterable(group.things for group in GROUPS))
RECORDINGS = resources.files("allthings.scenes.demo").joinpath("recordings")
PACKAGE_BYTES_MAX = 5_000_000
WEEK = 7 * 86_400


def by_name(thing: DemoThing) -> str:
    return thing.name


def test_there_are_rooms_a_machine_meters_an_air_station_a_sensor_network_and_a_city() -> None:
    assert [(group.name, len(group.things)) for group in GROUPS] == [
        ("rooms", 3),
        ("machine", 1),
        ("electricity", 1),
        ("water", 1),
        ("gas", 1),
        ("air", 1),
        ("nodes", 8),
        ("pedestrians", 21),
    ]


@pytest.mark.parametrize("thing", THINGS, ids=by_name)
def test_descriptions_are_valid_and_complete(thing: DemoThing) -> None:
    checked = check_td(thing.td)
    assert checked["id"] == id_from_name(thing.name)
    assert name_from_id(checked["id"]) == thing.name
    assert {"en", "zh"} <= checked["titles"].keys()
    assert "{{" not in str(checked)
    assert any(link["rel"] == "license" for link in checked["links"])
    for name, form in checked["properties"].items():
        assert {"en", "zh"} <= form["titles"].keys(), name
        assert form["readOnly"], name
        assert form["type"] in ("boolean", "string") or form["unit"], name


@pytest.mark.parametrize("thing", THINGS, ids=by_name)
def test_recordings_fit_their_descriptions(thing: DemoThing) -> None:
    types = property_types(check_td(thing.td))
    recording = thing.recording
    assert set(recording.values.column_names) == types.keys()
    assert (np.diff(recording.clock_s) > 0).all()
    for name in recording.values.column_names:
        for value in recording.values.column(name).unique().to_pylist():
            assert value is None or not check_value(value, types[name]), (name, value)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("hour", range(0, 7 * 24, 5))
def test_at_every_hour_of_the_week_there_are_weeks_behind_and_something_ahead(group: Group, hour: int) -> None:
    now = 1_795_000_000 + hour * 3600
    seam = place(group.span, group.live_from_s, group.align_s, now, 3600)
    for thing in group.things:
        _, times = history(thing.recording.clock_s, group.span, seam, -1 << 62)
        assert times[-1] <= now
        assert times[-1] > now - 2 * 86_400
        assert (np.diff(times) > 0).all()
        if thing.name.startswith("counter-188"):
            continue
        assert times[-1] - times[0] > 1.9 * WEEK
    ahead_s = group.span.start_s + group.span.period_s - seam.recorded_s
    assert ahead_s > 86_400 / 24


def test_the_failure_of_the_machine_comes_live() -> None:
    (group,) = (group for group in GROUPS if group.name == "machine")
    recording = group.things[0].recording
    marked = recording.clock_s[recording.values.column("anomaly").to_numpy()]
    seam = place(group.span, group.live_from_s, group.align_s, 1_795_000_000, 0)
    ahead = marked[marked > seam.recorded_s]
    assert 0 < ahead[0] - seam.recorded_s < 2 * 86_400


def test_files_are_few_and_licensed() -> None:
    files = [file for file in RECORDINGS.iterdir() if file.name.endswith(".parquet")]
    assert {file.name for file in files} == {f"{thing.name}.parquet" for thing in THINGS}
    assert sum(len(file.read_bytes()) for file in files) <= PACKAGE_BYTES_MAX
    named = set(re.findall(r"`([a-z0-9-]+\*?)`", RECORDINGS.joinpath("LICENSES.md").read_text("utf-8")))
    for thing in THINGS:
        assert thing.name in named or f"{thing.name.partition('-')[0]}-*" in named, thing.name
