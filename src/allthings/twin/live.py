"""The live feed: every value to whoever subscribed, the newest blocks for who comes back.

A subscriber that does not keep up loses its place: what waited for it is dropped, and the next update says so. It
never holds up the others or the twin. What subscribers are given is made when they ask for it, and of the same
readings once for all of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from allthings.readings.clock import wrong_clock
from allthings.readings.decoded import DECODED, Decoded
from allthings.readings.values import python_value
from allthings.twin.encoding import rows_json, together
from allthings.twin.settings import (
    ENCODED_ALONE_MAX,
    ENCODED_FRAMES_MAX,
    QUEUE_BLOCKS_MAX,
    QUEUE_ROWS_MAX,
    RING_BLOCKS_MAX,
    RING_ROWS_MAX,
    UPDATE_VALUES_MAX,
)
from allthings.twin.values import CurrentValue


class Frame:
    """The readings of some blocks, with the names in them for quick refusal, and what was made of them so far."""

    __slots__ = ("_asked", "_rows_json", "_whole", "properties", "readings", "rows", "sequence", "things", "uploaded")

    def __init__(self, decoded: Decoded) -> None:
        self.sequence = decoded.sequence
        self.readings = decoded.readings
        self.rows: int = decoded.readings.num_rows
        #: Whether devices had nothing to do with it.
        self.uploaded = not decoded.messages
        self.things = frozenset(decoded.readings.column("thing").dictionary.to_pylist())
        self.properties = frozenset(decoded.readings.column("property").dictionary.to_pylist())
        self.release()

    def release(self) -> None:
        """Drop what can be made again."""
        self._whole: list[Update] | None = None
        self._rows_json: pa.StringArray | None = None
        self._asked = 0

    def whole(self) -> list[Update]:
        """All readings, in updates that everyone shares who asked for all."""
        if self._whole is None:
            self._whole = list(self._updates(np.arange(self.rows)))
        return self._whole

    def chosen(self, rows: Any) -> Iterator[Update]:
        """Some of the readings, in updates of bounded size."""
        return iter(self.whole()) if len(rows) == self.rows else self._updates(rows)

    def _updates(self, rows: Any) -> Iterator[Update]:
        positions = self.readings.column("position").to_numpy()
        for start, end in _whole_messages(rows, positions):
            yield Update(self, rows[start:end], int(positions[rows[end - 1]]))

    def take(self, rows: Any) -> pa.RecordBatch:
        """Some of the readings."""
        return self.readings if len(rows) == self.rows else self.readings.take(pa.array(rows))

    def json(self, rows: Any) -> bytes:
        """Some of the readings as JSON objects with commas between them.

        All are encoded once when most of them are wanted, or when others asked for a part before.
        """
        self._asked += 1
        if self._rows_json is None:
            if self._asked <= ENCODED_ALONE_MAX and 2 * len(rows) < self.rows:
                return together(rows_json(self.take(rows), uploaded=self.uploaded))
            self._rows_json = rows_json(self.readings, uploaded=self.uploaded)
        return together(self._rows_json if len(rows) == self.rows else self._rows_json.take(pa.array(rows)))


class Update:
    """New values, in log order. A subscriber that comes back after `position` misses none.

    `gap`: values between the last update and this one were lost for this subscriber, since it was too slow or came
    back too late; the history has them. Such an update may have no values of its own.
    """

    __slots__ = ("_frame", "_json", "_rows", "count", "gap", "position")

    def __init__(self, frame: Frame, rows: Any, position: int) -> None:
        self._frame = frame
        self._rows = rows
        self._json: bytes | None = None
        self.position = position
        self.count = len(rows)
        self.gap = False

    @classmethod
    def lost(cls, position: int) -> Update:
        """No values, but that some were lost up to a position."""
        update = cls(_NOTHING, np.arange(0), position)
        update.gap = True
        return update

    def after_gap(self) -> Update:
        """The same, with a gap before it."""
        copy = Update(self._frame, self._rows, self.position)
        copy.gap = True
        return copy

    @property
    def values(self) -> list[CurrentValue]:
        """The values as objects, made anew each time."""
        return current_values(self._frame.take(self._rows))

    @property
    def json(self) -> bytes:
        """The values as JSON objects with commas between them; made once, also for many subscribers."""
        if self._json is None:
            self._json = self._frame.json(self._rows)
        return self._json


_NOTHING: Final = Frame(Decoded(0, pa.RecordBatch.from_pylist([], schema=DECODED)))


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
        return frame.chosen(np.flatnonzero(wanted))


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
            update = update.after_gap()
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
        if len(self._ring) > ENCODED_FRAMES_MAX:
            # Who is not slow has taken it by now.
            self._ring[-1 - ENCODED_FRAMES_MAX].release()

    def leave_out(self, left: Callable[[Decoded], Decoded]) -> None:
        """Keep of the newest frames only what is `left` of them."""
        for place, frame in enumerate(self._ring):
            whole = Decoded(frame.sequence, frame.readings, messages=0 if frame.uploaded else frame.rows)
            rest = left(whole)
            if rest is not whole:
                self._ring[place] = Frame(rest)
                self._ring_rows += self._ring[place].rows - frame.rows

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
