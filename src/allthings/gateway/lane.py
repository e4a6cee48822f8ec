"""The lane of many sockets: what a thousand devices send at once is read, examined and acknowledged in columns.

A device that waits for each PUBACK sends one short PUBLISH at a time, like the one before but for its payload and its
packet identifier. One such message takes Python as long as the kernel; numpy looks at a thousand of them in the time
that Python needs for some thirty. Here a connection is a row of a table, by its descriptor: what its next PUBLISH
begins with, and where its parts stand. What looks different, and whatever is special about a connection, is left to
the connection itself (gateway.connection), which gives the verdict on each packet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from allthings.gateway import settings
from allthings.gateway.gathering import Run
from allthings.gateway.ring import Descriptors, Results, Ring, RingError

if TYPE_CHECKING:
    from allthings.gateway.collector import Collector

_LOGGER = logging.getLogger(__name__)

#: What is received from one socket at a time; one that has more than that is left to its connection for a while.
ROW_BYTES: Final = 256
_REST_S: Final = 1.0
#: A packet whose length takes one byte is shorter than this.
PACKET_BYTES_END: Final = 2 + 0x80
#: How much of a packet may be looked at before its payload.
HEAD_BYTES_MAX: Final = 128
_HEAD_WORDS: Final = HEAD_BYTES_MAX // 8
#: PUBACK with "success", in both versions (MQTT 5 section 3.4.2.1): these two bytes and the packet identifier.
_PUBACK: Final = (0x40, 0x02)
_PUBACK_BYTES: Final = 4
#: What stands where no connection is.
_NONE: Final = Run("", "", 0, None, 1, None)

_CONNECTION: Final = np.dtype(
    [
        #: The first bytes of its next PUBLISH, and a bit for each of theirs that has to be so.
        ("head", np.uint64, _HEAD_WORDS),
        ("fixed", np.uint64, _HEAD_WORDS),
        ("heard", np.float64),
        ("resting_until", np.float64),
        #: Which of the connections that had this descriptor it is.
        ("life", np.int64),
        ("payload_at", np.int64),
        ("identifier_at", np.int64),
        #: Messages in all, and those of QoS 1 that are not acknowledged yet.
        ("counts", np.int64, 2),
        ("qos1", np.bool_),
        ("taken", np.bool_),
        #: Whether something waits to be written to it.
        ("busy", np.bool_),
    ],
    align=True,
)


class Rest(NamedTuple):
    """What was received and is not for the lane. `result`: bytes, 0 when the peer ended, or minus an error's number."""

    descriptor: int
    result: int
    data: bytes


class Share(NamedTuple):
    """What the lane counted for one connection."""

    received: int
    unacknowledged: int
    heard_s: float


NO_SHARE: Final = Share(0, 0, 0.0)


class Lane:
    """The table of connections.

    `time` is the clock that says when they were heard, `flush` writes what they push: PUBACK packets keep their order
    [MQTT-4.6.0-2].
    """

    def __init__(self, ring: Ring, collector: Collector, time: Callable[[], float], flush: Callable[[], None]) -> None:
        self._ring: Ring | None = ring
        self._collector = collector
        self._time = time
        self._flush = flush
        self._rows = np.zeros((ring.entries, ROW_BYTES), np.uint8)
        self._heads = self._rows[:, :HEAD_BYTES_MAX].view(np.uint64)
        self._numbers = np.arange(ring.entries)
        #: The last row is nobody's: it stands for all descriptors beyond.
        self.table = np.zeros(1, _CONNECTION)
        #: What stands for a message of each.
        self.runs: list[Run] = []

    @classmethod
    def open(cls, collector: Collector, time: Callable[[], float], flush: Callable[[], None]) -> Self | None:
        """None where the kernel has no io_uring for us (gateway.ring)."""
        ring = Ring.open(settings.LANE_SOCKETS_MAX)
        return None if ring is None else cls(ring, collector, time, flush)

    def close(self) -> None:
        """Take nothing any more."""
        self.table["taken"] = False
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    # Who is in it

    def join(self, descriptor: int, head: bytes, identifier_at: int, run: Run, *, busy: bool) -> Place:
        """The next PUBLISH of a connection begins with `head`, but for its length and its identifier.

        That stands at `identifier_at` (0 for QoS 0), the payload behind the head. `run` stands for the message,
        `busy`: something waits to be written. Nothing is taken if the head is too long for the lane.
        """
        if descriptor >= len(self.table) - 1:
            self._grow(descriptor + 2)
        place = Place(self, descriptor)
        if len(head) > HEAD_BYTES_MAX or self._ring is None:
            place.pause()
            return place
        fixed = bytearray(b"\xff" * len(head))
        fixed[1] = 0
        if identifier_at:
            fixed[identifier_at : identifier_at + 2] = b"\0\0"
        row = self.table[descriptor]
        row["fixed"] = _words(fixed)
        row["head"] = _words(head) & row["fixed"]
        row["payload_at"], row["identifier_at"], row["qos1"] = len(head), identifier_at, identifier_at > 0
        row["busy"], row["resting_until"], row["taken"] = busy, 0, True
        self.runs[descriptor] = run
        return place

    def _grow(self, size: int) -> None:
        more = max(size - len(self.table), len(self.table), 1024)
        self.table = np.concatenate([self.table, np.zeros(more, _CONNECTION)])
        self.runs += [_NONE] * more

    def write_waits(self, descriptor: int, waits: bool) -> None:
        """Something waits to be written to a socket, which may be of any kind, or nothing does any more."""
        if descriptor < len(self.table) - 1:
            self.table["busy"][descriptor] = waits

    def among(self, descriptors: Descriptors) -> npt.NDArray[np.bool_]:
        """Which of these sockets are to be read here."""
        table = self.table
        taken = table["taken"].take(descriptors, mode="clip")
        return taken & (table["resting_until"].take(descriptors, mode="clip") <= self._time())

    # What they send

    def take(self, descriptors: Descriptors) -> list[Rest]:
        """Read sockets that are `among` us and take each that sent one PUBLISH like its last one; return the others."""
        received = self._received(descriptors)
        count, rows = len(descriptors), self._rows
        table = self.table.take(descriptors)
        full = received == ROW_BYTES
        if full.any():
            self.table["resting_until"][descriptors[full]] = self._time() + _REST_S
        identifiers = rows[self._numbers[:count, None], table["identifier_at"][:, None] + (0, 1)]
        fits = ((self._heads[:count] & table["fixed"]) == table["head"]).all(axis=1)
        fits &= (received >= table["payload_at"]) & (received < PACKET_BYTES_END) & (rows[:count, 1] == received - 2)
        fits &= ~table["busy"]
        # No identifier is 0 [MQTT-2.2.1-3].
        numbered = (identifiers[:, 0] | identifiers[:, 1]) != 0
        fits &= ~table["qos1"] | (numbered & (table["counts"][:, 1] < settings.RECEIVE_MAXIMUM))
        (fitting,) = fits.nonzero()
        if len(fitting):
            self._add(descriptors, table, received, identifiers, fitting)
        return [
            Rest(int(descriptors[number]), int(received[number]), rows[number, : max(0, received[number])].tobytes())
            for number in (~fits).nonzero()[0]
        ]

    def _received(self, descriptors: Descriptors) -> Results:
        assert self._ring is not None
        try:
            return self._ring.receive(descriptors, self._rows[: len(descriptors)])
        except RingError as error:
            self._failed(error)
            return np.full(len(descriptors), -(error.errno or 1), np.int32)

    def _failed(self, error: RingError) -> None:
        """Which sockets were read or written is not known: their connections end, and clients send again."""
        _LOGGER.error("io_uring: %s; sockets are read and written one by one from now on", error)
        self.close()

    def _add(
        self,
        descriptors: Descriptors,
        table: npt.NDArray[np.void],
        received: Results,
        identifiers: npt.NDArray[np.uint8],
        fitting: npt.NDArray[np.intp],
    ) -> None:
        packets = self._rows[: len(descriptors), :PACKET_BYTES_END].tobytes()
        at = fitting * PACKET_BYTES_END
        begins, ends = at + table["payload_at"][fitting], at + received[fitting]
        payloads = [packets[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        senders, qos1 = descriptors[fitting], table["qos1"][fitting]
        runs = list(map(self.runs.__getitem__, senders.tolist()))
        self.table["heard"][senders] = self._time()
        counts = table["counts"][fitting]
        counts[:, 0] += 1
        counts[:, 1] += qos1
        self.table["counts"][senders] = counts
        acknowledge = None
        owed = fitting[qos1]
        if len(owed):
            pubacks = np.empty((len(owed), _PUBACK_BYTES), np.uint8)
            pubacks[:, :2] = _PUBACK
            pubacks[:, 2:] = identifiers[owed]
            acknowledge = partial(self._acknowledge, descriptors[owed], table["life"][owed], pubacks)
        self._collector.add_many(runs, payloads, int(received[fitting].sum()), acknowledge)

    def _acknowledge(
        self, descriptors: Descriptors, lives: npt.NDArray[np.int64], pubacks: npt.NDArray[np.uint8]
    ) -> None:
        """Send each PUBACK to the connection that its descriptor had when the message came."""
        self._flush()
        table = self.table
        there = table["life"][descriptors] == lives
        at_once = there & ~table["busy"][descriptors]
        for number in (there & ~at_once).nonzero()[0]:
            self._acknowledge_one(descriptors[number], pubacks[number])
        descriptors, pubacks = descriptors[at_once], pubacks[at_once]
        sent = self._sent(descriptors, pubacks)
        # What a connection acknowledges itself it takes from its own count: the sum of both is what is true.
        table["counts"][descriptors[sent > 0], 1] -= 1
        for number in (sent != _PUBACK_BYTES).nonzero()[0]:
            self._acknowledge_one(descriptors[number], pubacks[number, max(0, sent[number]) :])

    def _acknowledge_one(self, descriptor: np.int32, puback: npt.NDArray[np.uint8]) -> None:
        publisher = self.runs[descriptor].publisher
        assert publisher is not None
        publisher.acknowledge(puback.tobytes())

    def _sent(self, descriptors: Descriptors, pubacks: npt.NDArray[np.uint8]) -> Results:
        if self._ring is None:
            return np.zeros(len(descriptors), np.int32)
        try:
            return self._ring.send(descriptors, pubacks)
        except RingError as error:
            self._failed(error)
            for descriptor in descriptors:
                publisher = self.runs[descriptor].publisher
                assert publisher is not None
                publisher.abort()
            return np.full(len(descriptors), _PUBACK_BYTES, np.int32)


class Place(NamedTuple):
    """A connection in the lane."""

    lane: Lane
    descriptor: int

    def pause(self) -> None:
        """Take nothing of it until it joins again; what was taken is still acknowledged."""
        self.lane.table["taken"][self.descriptor] = False

    def leave(self) -> None:
        """It is over: what it is owed goes nowhere, and who has its descriptor next begins anew."""
        row = self.lane.table[self.descriptor]
        row["life"] += 1
        row["taken"], row["counts"], row["heard"] = False, 0, 0
        self.lane.runs[self.descriptor] = _NONE

    @property
    def share(self) -> Share:
        """What was counted for it."""
        row = self.lane.table[self.descriptor]
        received, unacknowledged = row["counts"].tolist()
        return Share(received, unacknowledged, float(row["heard"]))


def _words(head: bytes | bytearray) -> npt.NDArray[np.uint64]:
    return np.frombuffer(bytes(head).ljust(HEAD_BYTES_MAX, b"\0"), np.uint64)
