"""Current values and updates of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np

from allthings.twin.settings import CLOCK_AHEAD_NS_MAX, CLOCK_NS_MIN

Quality = Literal["good", "stale", "clock"]


class CurrentValue(msgspec.Struct, frozen=True, gc=False):
    """The value of one series. `quality`: clock - the device's clock was wrong when it was taken; stale - the thing
    has not been heard of for longer than is usual for it; else good."""

    thing: str
    property: str
    value: Any
    time_ns: int
    received_ns: int
    quality: Quality
    position: int


def wrong_clock(time_ns: Any, received_ns: Any) -> Any:
    """Whether values come from a device whose clock is wrong; for numbers or for arrays of them."""
    return (np.asarray(time_ns) < CLOCK_NS_MIN) | (np.asarray(time_ns) - np.asarray(received_ns) > CLOCK_AHEAD_NS_MAX)
