"""The sending side of a session (MQTT 5 sections 4.3, 4.4, 4.9): what has a packet identifier, and in which stage.

No I/O: the caller sends what these methods say. The same for both versions.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Generic, TypeVar

T = TypeVar("T")

_IDENTIFIER_MAX = 65535


class Stage(IntEnum):
    """How far a message with a packet identifier is."""

    #: It has its identifier, but must not go out yet (the claim is on its way to the disk).
    CLAIMED = 0
    #: PUBLISH goes or went out on this or an earlier connection.
    SENT = 1
    #: PUBREC came, and must not be answered yet.
    RECEIVED = 2
    #: PUBREL goes or went out.
    RELEASED = 3


class Flight(Generic[T]):
    """A message with its identifier. `item` is None, and `size` 0, once the receiver has it."""

    __slots__ = ("item", "qos", "size", "stage")

    def __init__(self, item: T, qos: int, stage: Stage, size: int) -> None:
        self.item: T | None = item
        self.qos = qos
        self.stage = stage
        self.size = size


class Outbox(Generic[T]):
    """In-flight messages in the order in which they were first sent, within a window (Receive Maximum).

    `bytes_max`: once messages of this size are in flight no further one may be.
    """

    __slots__ = ("_again", "_bytes", "_bytes_max", "_next", "flights", "window")

    def __init__(self, bytes_max: int = 2**62) -> None:
        #: Messages that may be in flight at once on this connection; 0 while there is none.
        self.window = 0
        self.flights: dict[int, Flight[T]] = {}
        self._bytes_max = bytes_max
        self._bytes = 0
        # Identifiers of earlier connections that still have to go out on this one, the last one first.
        self._again: list[int] | None = None
        self._next = 1

    @property
    def room(self) -> int:
        """How many new messages may be sent now. None or less: wait for an answer."""
        return 0 if self._again or self._bytes >= self._bytes_max else self.window - len(self.flights)

    @property
    def room_bytes(self) -> int:
        """The size at which no further message may be sent."""
        return self._bytes_max - self._bytes

    def connect(self, window: int) -> None:
        """A connection is there. What is in flight goes out again first: see `again`."""
        self.window = window
        self._again = list(reversed(self.flights)) if self.flights else None

    def disconnect(self) -> None:
        self.window = 0
        self._again = None

    def again(self) -> list[tuple[int, Flight[T]]]:
        """What has to be sent again, in order, as far as the window allows [MQTT-4.4.0-1] [MQTT-4.6.0-1].

        A flight that is SENT means its PUBLISH with DUP, RELEASED its PUBREL, else nothing for now. Ask again after
        sending: what proved to be too large has made room.
        """
        due = []
        while self._again and len(self.flights) - len(self._again) < self.window:
            packet_id = self._again.pop()
            flight = self.flights.get(packet_id)
            if flight is not None:
                due.append((packet_id, flight))
        return due

    def claim(self, item: T, qos: int, stage: Stage = Stage.SENT, size: int = 0) -> int:
        """Give a message (QoS 1 or 2) an identifier. Call it while there is `room`."""
        packet_id = self._next
        while packet_id in self.flights:
            packet_id = packet_id % _IDENTIFIER_MAX + 1
        self._next = packet_id % _IDENTIFIER_MAX + 1
        self.flights[packet_id] = Flight(item, qos, stage, size)
        self._bytes += size
        return packet_id

    def restore(self, packet_id: int, item: T, qos: int, stage: Stage) -> T | None:
        """Put a flight where it was before a crash; returns the message that stood there, if it never arrived."""
        before = self.flights.get(packet_id)
        self.drop(packet_id)
        self.flights[packet_id] = Flight(item, qos, stage, 0)
        self._next = packet_id % _IDENTIFIER_MAX + 1
        return before.item if before is not None else None

    def fill(self, packet_id: int, item: T, size: int) -> None:
        """Give a restored flight its message."""
        flight = self.flights[packet_id]
        self._bytes += size - flight.size
        flight.item, flight.size = item, size

    def acknowledged(self, packet_id: int) -> bool:
        """PUBACK came. False when no QoS 1 message has this identifier."""
        flight = self.flights.get(packet_id)
        return flight is not None and flight.qos == 1 and self.drop(packet_id)

    def received(self, packet_id: int, stage: Stage) -> Flight[T] | None:
        """PUBREC came: the message is the receiver's. None when no QoS 2 message has this identifier.

        The flight becomes `stage` (RECEIVED or RELEASED) if it was not as far yet.
        """
        flight = self.flights.get(packet_id)
        if flight is None or flight.qos != 2:
            return None
        if flight.stage < Stage.RECEIVED:
            flight.stage = stage
            flight.item = None
            self._bytes -= flight.size
            flight.size = 0
        return flight

    def drop(self, packet_id: int) -> bool:
        """The flight is over: PUBCOMP came, or the receiver refused the message. False when there is none."""
        flight = self.flights.pop(packet_id, None)
        if flight is None:
            return False
        self._bytes -= flight.size
        return True
