"""Current values and updates of them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

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
