"""Identifiers and stages of what is in flight, against the plain meaning of a window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from allthings.mqtt.outbox import Outbox, Stage


def outbox(window: int, *qos: int, bytes_max: int = 2**62) -> Outbox[str]:
    """With messages in flight, named by their order."""
    box: Outbox[str] = Outbox(bytes_max)
    box.connect(65535)
    box.again()
    for number, each in enumerate(qos, 1):
        assert box.claim(f"m{number}", each) == number
    box.disconnect()
    box.connect(window)
    return box


def test_a_new_connection_gets_everything_again_in_order_before_anything_new() -> None:
    box = outbox(10, 1, 2, 1)
    assert box.room == 0
    assert [(packet_id, flight.item) for packet_id, flight in box.again()] == [(1, "m1"), (2, "m2"), (3, "m3")]
    assert box.room == 7
    assert box.again() == []


def test_a_smaller_window_is_kept_while_sending_again() -> None:
    box = outbox(2, 1, 1, 1, 1)
    assert [packet_id for packet_id, _ in box.again()] == [1, 2]
    assert box.again() == []
    assert box.acknowledged(1)
    assert [packet_id for packet_id, _ in box.again()] == [3]
    assert box.acknowledged(3)
    assert box.acknowledged(2)
    assert [packet_id for packet_id, _ in box.again()] == [4]
    assert box.room == 1


def test_what_is_dropped_for_its_size_makes_room_for_the_next_one_again() -> None:
    box = outbox(1, 1, 1)
    assert [packet_id for packet_id, _ in box.again()] == [1]
    box.drop(1)
    assert [packet_id for packet_id, _ in box.again()] == [2]


def test_what_was_received_is_only_released_again() -> None:
    box = outbox(5, 2)
    flight = box.received(1, Stage.RELEASED)
    assert flight is not None
    assert flight.item is None
    box.disconnect()
    box.connect(5)
    assert [flight.stage for _, flight in box.again()] == [Stage.RELEASED]
    assert box.received(1, Stage.RECEIVED) is flight
    assert flight.stage is Stage.RELEASED, "a second PUBREC does not go back"


def test_answers_that_belong_to_nothing_change_nothing() -> None:
    box = outbox(5, 1, 2)
    assert not box.acknowledged(2), "PUBACK for QoS 2"
    assert box.received(1, Stage.RELEASED) is None, "PUBREC for QoS 1"
    assert not box.acknowledged(9)
    assert box.received(9, Stage.RELEASED) is None
    assert not box.drop(9)
    assert sorted(box.flights) == [1, 2]


def test_identifiers_go_round_and_pass_over_those_in_use() -> None:
    box = outbox(65535, 1)
    seen = [box.claim("x", 1) for _ in range(65534)]
    assert sorted(seen) == list(range(2, 65536))
    for packet_id in (7, 65535):
        box.drop(packet_id)
    assert [box.claim("y", 1), box.claim("z", 1)] == [7, 65535]


def test_a_restored_flight_tells_which_message_stood_there() -> None:
    box = outbox(5, 1)
    assert box.restore(1, "other", 2, Stage.SENT) == "m1"
    assert box.restore(4, "more", 2, Stage.SENT) is None
    box.received(4, Stage.RELEASED)
    assert box.restore(4, "again", 2, Stage.SENT) is None, "what was received does not wait again"
    assert box.claim("next", 1) == 5


@given(st.lists(st.integers(1, 100), min_size=1), st.integers(1, 200))
def test_large_messages_wait_for_answers_whatever_the_window(sizes: list[int], bytes_max: int) -> None:
    box = outbox(65535, bytes_max=bytes_max)
    box.again()
    sent = 0
    for size in sizes:
        if box.room <= 0:
            break
        box.claim("x", 1, Stage.SENT, size)
        sent += size
    assert sent - (sizes[len(box.flights) - 1]) < bytes_max, "only the last one may go beyond"
    for packet_id in list(box.flights):
        assert box.acknowledged(packet_id)
    assert box.room == 65535
    assert box.room_bytes == bytes_max


class OutboxMachine(RuleBasedStateMachine):
    """Any answers in any order: the window holds, identifiers are unique, nothing is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.box: Outbox[int] = Outbox()
        self.number = 0
        #: What the receiver holds on this connection.
        self.there: set[int] = set()
        self.open: dict[int, int] = {}

    @rule(window=st.integers(1, 5))
    def connect(self, window: int) -> None:
        self.box.disconnect()
        assert self.box.room <= 0
        self.box.connect(window)
        self.there.clear()
        self.send_again()

    def send_again(self) -> None:
        for packet_id, _ in self.box.again():
            assert packet_id not in self.there
            self.there.add(packet_id)

    @precondition(lambda self: self.box.room > 0)
    @rule(qos=st.integers(1, 2))
    def claim(self, qos: int) -> None:
        self.number += 1
        packet_id = self.box.claim(self.number, qos)
        assert packet_id not in self.open
        self.open[packet_id] = self.number
        self.there.add(packet_id)

    @precondition(lambda self: self.there)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        packet_id = data.draw(st.sampled_from(sorted(self.there)))
        flight = self.box.flights[packet_id]
        if flight.qos == 2 and flight.item is not None:
            assert self.box.received(packet_id, Stage.RELEASED) is flight
            return
        assert self.box.acknowledged(packet_id) if flight.qos == 1 else self.box.drop(packet_id)
        self.there.discard(packet_id)
        del self.open[packet_id]
        self.send_again()

    @invariant()
    def all_open_ones_are_there(self) -> None:
        assert self.box.flights.keys() == self.open.keys()
        assert len(self.there) <= max(self.box.window, 0)
        numbers = [flight.item for flight in self.box.flights.values() if flight.item is not None]
        assert numbers == sorted(numbers), "in the order in which they were first sent"


TestOutbox = OutboxMachine.TestCase
