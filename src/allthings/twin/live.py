"""The live feed: every value to whoever subscribed, the newest blocks for who comes back.

A subscriber that does not keep up loses its place: what waited for it is dropped, and the next update says so. It
never holds up the others or the twin. Python objects are made on the subscriber's side, for what it asked for only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import pyarrow as pa

from allthings.readings.decoded import Decoded
from allthings.readings.values import python_value
from allthings.twin.settings import (
    QUEUE_BLOCKS_MAX,
    QUEUE_ROWS_MAX,
    RING_BLOCKS_MAX,
    RING_ROWS_MAX,
    UPDATE_VALUES_MAX,
)
from allthings.twin.values import CurrentValue, Update, wrong_clock


class Frame:
    """The readings of one block, with the names in it for quick refusal."""

    __slots__ = ("properties", "readings", "rows", "sequence", "things")

    def __init__(self, decoded: Decoded) -> None:
        self.sequence = decoded.sequence
        self.readings = decoded.readings
        self.rows: int = decoded.readings.num_rows
        self.things = frozenset(decoded.readings.column("thing").dictionary.to_pylist())
        self.properties = frozenset(decoded.readings.column("property").dictionary.to_pylist())


class Filter:
    """Things and properties asked for; None is all."""

    __slots__ = ("properties", "things")

    def __init__(self, things: frozenset[str] | None, properties: frozenset[str] | None) -> None:
        self.things = things
        self.properties = properties

    def may_match(self, frame: Frame) -> bool:
        """Whether a frame can have a reading that was asked for."""
        return (
            frame.rows > 0
            and (self.things is None or not self.things.isdisjoint(frame.things))
            and (self.properties is None or not self.properties.isdisjoint(frame.properties))
        )

    def updates(self, frame: Frame, after: int) -> Iterator[Update]:
        """The readings asked for that come after a position, in updates of bounded size."""
        readings = frame.readings
        wanted = readings.column("position").to_numpy() > np.uint64(max(after, 0))
        for column, names in (("thing", self.things), ("property", self.properties)):
            if names is not None:
                array = readings.column(column)
                known = np.array([name in names for name in array.dictionary.to_pylist()], np.bool_)
                wanted &= known[array.indices.to_numpy()]
        rows = np.flatnonzero(wanted)
        for start, end in _whole_messages(rows, readings.column("position").to_numpy()):
            chosen = readings if len(rows) == frame.rows == end - start else readings.take(pa.array(rows[start:end]))
            yield Update(chosen.column("position")[-1].as_py(), current_values(chosen))


def _whole_messages(rows: Any, positions: Any) -> Iterator[tuple[int, int]]:
    """Spans of rows of bounded size that end with a message: who comes back after a position misses nothing."""
    start = 0
    while start < len(rows):
        end = min(start + UPDATE_VALUES_MAX, len(rows))
        while end < len(rows) and positions[rows[end]] == positions[rows[end - 1]]:
            end += 1
        yield start, end
        start = end


def current_values(readings: pa.RecordBatch) -> list[CurrentValue]:
    """Readings of the schema DECODED as objects."""
    column = readings.column
    time = column("time").cast(pa.int64())
    received = column("received").cast(pa.int64())
    wrong = wrong_clock(time.to_numpy(), received.to_numpy()).tolist()
    kinds, numbers, texts = column("kind").to_pylist(), column("number").to_pylist(), column("text").to_pylist()
    return [
        CurrentValue(thing, property_, value, time_ns, received_ns, "clock" if clock else "good", position)
        for thing, property_, value, time_ns, received_ns, clock, position in zip(
            column("thing").to_pylist(),
            column("property").to_pylist(),
            map(python_value, numbers, texts, kinds),
            time.to_pylist(),
            received.to_pylist(),
            wrong,
            column("position").to_pylist(),
            strict=True,
        )
    ]


class Subscription:
    """An async iterator of updates. Close it (or use `with`) when done."""

    def __init__(self, chosen: Filter, rows_max: int, after: int, leave: Callable[[Subscription], None]) -> None:
        self.filter = chosen
        #: The position up to which the subscriber has everything (or was told of a gap).
        self.position = after
        self._rows_max = rows_max
        self._leave = leave
        self._frames: deque[Frame] = deque()
        self._rows = 0
        self._gap = False
        self._ready: deque[Update] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, frame: Frame) -> None:
        """Take a frame if it may match. Called by the hub; never waits."""
        if not self.filter.may_match(frame):
            return
        if self._frames and (self._rows + frame.rows > self._rows_max or len(self._frames) >= QUEUE_BLOCKS_MAX):
            self._frames.clear()
            self._rows = 0
            self._gap = True
        self._frames.append(frame)
        self._rows += frame.rows
        self._wake.set()

    def lose_place(self) -> None:
        """Make the next update say that values are missing before it."""
        self._gap = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        while not self._ready:
            while not self._frames:
                if self._closed:
                    raise StopAsyncIteration
                self._wake.clear()
                await self._wake.wait()
            frame = self._frames.popleft()
            self._rows -= frame.rows
            self._ready.extend(self.filter.updates(frame, self.position))
        update = self._ready.popleft()
        if self._gap:
            self._gap = False
            update = Update(update.position, update.values, gap=True)
        self.position = update.position
        return update

    def close(self) -> None:
        """Leave the hub; a waiting iteration ends."""
        self._closed = True
        self._leave(self)
        self._frames.clear()
        self._wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Hub:
    """All subscriptions, and the newest frames."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._ring: deque[Frame] = deque()
        self._ring_rows = 0
        #: The sequence of the last block before the ring: the ring has all that come after it.
        self.ring_after = 0

    def start(self, sequence: int) -> None:
        """Begin after a block; what was before is not in the ring."""
        self._ring.clear()
        self._ring_rows = 0
        self.ring_after = sequence

    def publish(self, decoded: Decoded) -> None:
        """Give a block to everyone and keep it for who comes back."""
        frame = Frame(decoded)
        self._ring.append(frame)
        self._ring_rows += frame.rows
        while len(self._ring) > 1 and (self._ring_rows > RING_ROWS_MAX or len(self._ring) > RING_BLOCKS_MAX):
            dropped = self._ring.popleft()
            self._ring_rows -= dropped.rows
            self.ring_after = dropped.sequence
        for subscription in self._subscriptions:
            subscription.offer(frame)

    def subscribe(self, chosen: Filter, after: int, rows_max: int = QUEUE_ROWS_MAX) -> Subscription:
        """Everything that is published from now on and comes after a position."""
        subscription = Subscription(chosen, rows_max, after, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    def kept(self) -> list[Frame]:
        """The frames of the ring, oldest first."""
        return list(self._ring)

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._subscriptions):
            subscription.close()
