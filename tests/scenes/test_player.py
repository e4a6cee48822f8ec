"""What the things of the demo send."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest

from allthings.scenes.demo import player
from allthings.scenes.demo.catalogue import DemoThing, Group, Recording
from allthings.scenes.demo.placement import Seam
from allthings.scenes.demo.settings import PAUSE_S_MAX, PAUSE_S_MIN

DAY = 86_400


class Given(DemoThing):
    """A thing whose recording is in memory."""

    recording = Recording(
        np.array([0, 60, 120, 4 * 3600], dtype=np.int64),
        pa.table({"co2": [400.5, None, 420.0, 430.0], "occupants": [1, 2, None, 4]}),
    )


THING = Given("room", {}, None)  # type: ignore[arg-type]


class Short(Group):
    """Its loop is a day, longer than the recording."""

    from allthings.scenes.demo.placement import Span

    span = Span(0, DAY, 1)


GROUP = Short("rooms", (THING,), DAY, 0, 1, 2.0)
SEAM = Seam(recorded_s=60, now_s=1_000_000)


def test_messages_follow_the_seam_and_begin_again_at_the_end() -> None:
    sent = [json.loads(message.payload) for message in islice(player.messages(THING, GROUP, SEAM, None), 6)]
    assert sent == [
        {"co2": 420.0},
        {"co2": 430.0, "occupants": 4},
        {"co2": 400.5, "occupants": 1},
        {"occupants": 2},
        {"co2": 420.0},
        {"co2": 430.0, "occupants": 4},
    ]


def test_without_a_speed_the_pace_is_the_groups() -> None:
    assert {message.pause_s for message in islice(player.messages(THING, GROUP, SEAM, None), 9)} == {2.0}


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(60.0, [PAUSE_S_MAX, PAUSE_S_MAX, 1.0, 1.0]), (1e9, [PAUSE_S_MIN] * 4), (1.0, [60.0, 60.0, 60.0, 60.0])],
)
def test_a_speed_is_relative_to_the_recording_within_bounds(speed: float, expected: list[float]) -> None:
    pauses = [message.pause_s for message in islice(player.messages(THING, GROUP, SEAM, speed), 4)]
    assert pauses == pytest.approx(expected)
