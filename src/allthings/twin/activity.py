"""When things were heard of, how often they usually are, and so whether they are online."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from allthings.twin.series import Batch, Ints
from allthings.twin.settings import INTERVAL_GROWTH_MAX, INTERVAL_WEIGHT, ONLINE_INTERVALS, ONLINE_NS_MIN


class ThingState(msgspec.Struct, frozen=True):
    """What is known of a thing's traffic. `interval_ns` is the typical time between messages, 0 if not known."""

    thing: str
    online: bool
    last_received_ns: int
    interval_ns: int
    messages: int
    readings: int
    properties: int


class Activity:
    """Columns over the numbers of things."""

    def __init__(self) -> None:
        self._room(1_024)

    def _room(self, room: int) -> None:
        def grown(name: str, dtype: Any) -> Any:
            column = np.zeros(room, dtype)
            old = getattr(self, name, None)
            if old is not None:
                column[: len(old)] = old
            return column

        self.last_received: Ints = grown("last_received", np.int64)
        self.interval: Any = grown("interval", np.float64)
        self.messages: Ints = grown("messages", np.int64)
        self.readings: Ints = grown("readings", np.int64)

    def make_room(self, things: int) -> None:
        """There are so many things now."""
        if things > len(self.last_received):
            self._room(max(things, 2 * len(self.last_received)))

    def count(self, batch: Batch) -> None:
        """Count readings that were uploaded: that says nothing of how the devices are."""
        found, readings = np.unique(batch.things, return_counts=True)
        self.readings[found] += readings

    def note(self, batch: Batch) -> None:
        """Count a batch's readings, which came from devices."""
        found, inverse, readings = np.unique(batch.things, return_inverse=True, return_counts=True)
        # Rows of one message follow one another and share a position.
        starts = np.concatenate(([True], batch.positions[1:] != batch.positions[:-1]))
        messages = np.bincount(inverse[starts], minlength=len(found))
        newest = np.zeros(len(found), np.int64)
        np.maximum.at(newest, inverse, batch.received)

        self.heard(found, newest)
        self.messages[found] += messages
        self.readings[found] += readings

    def heard(self, found: Ints, newest: Ints) -> None:
        """Things, each once, were heard of at these times."""
        before = self.last_received[found]
        gaps = (newest - before).astype(np.float64)
        typical = self.interval[found]
        # A thing that comes back after a week must not count as online for weeks.
        usual = np.maximum(typical, ONLINE_NS_MIN / ONLINE_INTERVALS)
        gaps = np.where(typical > 0, np.minimum(gaps, usual * INTERVAL_GROWTH_MAX), gaps)
        # Short gaps weigh little, so that ten messages in a burst every five minutes mean five minutes.
        weight = INTERVAL_WEIGHT * np.minimum(1.0, gaps / np.maximum(typical, 1.0))
        mixed = np.where(typical > 0, typical + weight * (gaps - typical), gaps)
        self.interval[found] = np.where((before > 0) & (newest > before), mixed, typical)
        self.last_received[found] = np.maximum(before, newest)

    def online(self, now_ns: int) -> Any:
        """Per thing whether it was heard of lately: within a minute, or three of its typical intervals."""
        within = np.maximum(ONLINE_NS_MIN, ONLINE_INTERVALS * self.interval)
        return (self.last_received > 0) & (now_ns - self.last_received < within)

    def restore(self, number: int, received_ns: int) -> None:
        """Take over when a thing was last heard of, without counting."""
        self.last_received[number] = max(received_ns, int(self.last_received[number]))

    def forget(self, number: int) -> None:
        """Take a thing as never heard of."""
        for column in (self.last_received, self.interval, self.messages, self.readings):
            column[number] = 0

    def state(self, number: int, thing: str, online: bool, properties: int) -> ThingState:
        return ThingState(
            thing,
            online,
            int(self.last_received[number]),
            int(self.interval[number]),
            int(self.messages[number]),
            int(self.readings[number]),
            properties,
        )
