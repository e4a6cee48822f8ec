"""The window and the queue of a subscriber."""

from __future__ import annotations

from allthings.gateway import settings
from allthings.gateway.outgoing import Outgoing
from allthings.mqtt.codec import decode
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import Publish
from allthings.mqtt.versions import V5


class Subscriber:
    def __init__(self, window: int = 2, packet_bytes_max: int = 1000) -> None:
        self.frames = FrameReader()
        self.got: list[Publish] = []
        self.overruns: list[str] = []
        self.outgoing = Outgoing(V5, window, packet_bytes_max, self._write, self.overruns.append)

    def _write(self, data: bytes) -> None:
        for first, body in self.frames.feed(data):
            packet = decode(first, body, V5)
            assert isinstance(packet, Publish)
            self.got.append(packet)

    @property
    def payloads(self) -> list[bytes]:
        return [packet.payload for packet in self.got]


def test_no_more_is_in_flight_than_the_window_and_order_is_kept() -> None:
    subscriber = Subscriber(window=2)
    subscriber.outgoing.send(b"a", [b"1", b"2", b"3"], False, None)
    subscriber.outgoing.send(b"a", [b"4"], False, None)
    assert subscriber.payloads == [b"1", b"2"]
    assert (subscriber.outgoing.in_flight, subscriber.outgoing.queued) == (2, 2)
    assert subscriber.outgoing.acknowledged(subscriber.got[1].packet_id)
    assert subscriber.payloads == [b"1", b"2", b"3"]
    assert subscriber.outgoing.acknowledged(subscriber.got[0].packet_id)
    assert subscriber.outgoing.acknowledged(subscriber.got[2].packet_id)
    assert subscriber.payloads == [b"1", b"2", b"3", b"4"]
    assert len({packet.packet_id for packet in subscriber.got}) == 4


def test_an_unknown_acknowledgement_changes_nothing() -> None:
    subscriber = Subscriber()
    assert not subscriber.outgoing.acknowledged(7)


def test_identifiers_go_round_without_one_that_is_in_flight() -> None:
    subscriber = Subscriber(window=2)
    subscriber.outgoing.send(b"a", [b"stays"], False, None)
    stays = subscriber.got[0].packet_id
    for _ in range(65_600):
        subscriber.outgoing.send(b"a", [b"x"], False, None)
        packet = subscriber.got.pop()
        assert packet.packet_id not in (0, stays)
        subscriber.outgoing.acknowledged(packet.packet_id)


def test_what_is_too_large_for_the_subscriber_is_left_out_and_does_not_block() -> None:
    subscriber = Subscriber(window=1, packet_bytes_max=20)
    subscriber.outgoing.send(b"a", [b"1", b"x" * 100, b"2"], False, None)
    subscriber.outgoing.acknowledged(subscriber.got[0].packet_id)
    assert subscriber.payloads == [b"1", b"2"]
    assert subscriber.outgoing.too_large == 1


def test_one_who_never_acknowledges_is_cut_off() -> None:
    subscriber = Subscriber(window=1)
    subscriber.outgoing.send(b"a", [b""] * (settings.QUEUE_MESSAGES_MAX + 1), False, None)
    assert subscriber.overruns == []
    subscriber.outgoing.send(b"a", [b""], False, None)
    assert len(subscriber.overruns) == 1
