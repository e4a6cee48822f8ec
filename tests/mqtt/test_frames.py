"""Packets out of a stream: the same wherever it is cut, never more kept than allowed."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.codec import encode
from allthings.mqtt.errors import MalformedPacketError, MqttError, ProtocolError
from allthings.mqtt.frames import PACKET_BYTES_MAX, FrameReader
from allthings.mqtt.packets import Publish
from allthings.mqtt.reasons import ReasonCode
from allthings.mqtt.versions import V3, V5
from tests.reaching import must_reach, reach

from .packet_strategies import packets


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@given(st.lists(packets(V5), max_size=5), st.lists(st.integers(0, 600)))
def test_cut_anywhere(sent: list[Publish], places: list[int]) -> None:
    stream = b"".join(encode(packet, V5) for packet in sent)
    whole = list(FrameReader().feed(stream))
    reader = FrameReader()
    assert [frame for part in cut(stream, places) for frame in reader.feed(part)] == whole
    assert reader.buffered == 0
    assert len(whole) == len(sent)


_PIECES = st.sampled_from([b"\xc0\0", b"\x30\x03\0\x01a", b"\x40\x02\0\1", b"\x30\x7f", b"\x30\xff\xff\xff\xff"])


@must_reach("frames", "no frame", "refused", "accepted")
@given(
    st.binary(max_size=300) | st.lists(_PIECES, max_size=8).map(b"".join),
    st.lists(st.integers(0, 300)),
    st.integers(2, 200),
)
def test_any_bytes_cut_anywhere(stream: bytes, places: list[int], limit: int) -> None:
    def run(parts: list[bytes]) -> tuple[list[tuple[int, bytes]], str]:
        reader, frames = FrameReader(limit), []
        try:
            for part in parts:
                for frame in reader.feed(part):
                    frames.append(frame)
                assert reader.buffered <= max(limit, 5)  # a header has up to five bytes
        except MqttError as error:
            return frames, str(error)
        return frames, ""

    frames, refusal = run(cut(stream, places))
    assert (frames, refusal) == run([stream])
    reach("frames" if frames else "no frame")
    reach("refused" if refusal else "accepted")


def test_byte_by_byte() -> None:
    stream = encode(Publish("a/b", b"x" * 300, 1, packet_id=7), V3) * 2
    reader = FrameReader()
    frames = [frame for byte in stream for frame in reader.feed(bytes([byte]))]
    assert frames == [(0x32, stream[3 : len(stream) // 2])] * 2


def test_too_large_is_refused_by_the_header() -> None:
    reader = FrameReader(1000)
    assert list(reader.feed(b"\x30\xe5\x07")) == []  # 1 + 2 + 997 bytes: just allowed
    reader = FrameReader(1000)
    with pytest.raises(ProtocolError) as caught:
        list(reader.feed(b"\x30\xe6\x07"))
    assert caught.value.reason is ReasonCode.PACKET_TOO_LARGE
    assert reader.buffered == 0


def test_the_limit_may_change() -> None:
    reader = FrameReader(10)
    assert list(reader.feed(b"\xc0\x00")) == [(0xC0, b"")]
    reader.packet_bytes_max = PACKET_BYTES_MAX
    assert list(reader.feed(b"\x30\x14" + bytes(20))) == [(0x30, bytes(20))]


def test_packets_before_a_broken_one_are_given_out() -> None:
    reader = FrameReader()
    frames = reader.feed(b"\xc0\x00\xd0\x00\x30\xff\xff\xff\xff\x01")
    assert next(frames) == (0xC0, b"")
    assert next(frames) == (0xD0, b"")
    with pytest.raises(MalformedPacketError, match="more than four bytes"):
        next(frames)


def test_after_an_error_every_feed_raises_it() -> None:
    reader = FrameReader(4)
    for _ in range(3):
        with pytest.raises(ProtocolError, match="5 bytes is over the limit of 4"):
            list(reader.feed(b"\x30\x03\x00\x00\x00\xc0\x00"))


def test_packets_left_in_an_iterator_come_later() -> None:
    reader = FrameReader()
    assert next(reader.feed(b"\xc0\x00\xd0\x00\xe0")) == (0xC0, b"")
    assert list(reader.feed(b"\x00")) == [(0xD0, b""), (0xE0, b"")]


def test_only_mqtt_5_demands_the_shortest_length() -> None:
    assert list(FrameReader(version=V3).feed(b"\xc0\x80\x00")) == [(0xC0, b"")]
    reader = FrameReader()
    assert list(reader.feed(b"\xc0\x80\x00")) == [(0xC0, b"")]
    reader.version = V5
    with pytest.raises(MalformedPacketError, match=r"MQTT-1\.5\.5-1"):
        list(reader.feed(b"\xc0\x80\x00"))


def test_a_mutable_buffer_is_not_kept() -> None:
    reader = FrameReader()
    mine = bytearray(b"\x30\x03\x00")
    list(reader.feed(mine))  # type: ignore[arg-type]
    list(reader.feed(b"\x01"))
    assert mine == b"\x30\x03\x00"


def test_an_announced_size_takes_no_memory() -> None:
    tracemalloc.start()
    readers = [FrameReader() for _ in range(100)]
    for reader in readers:
        list(reader.feed(b"\x30\xff\xff\xff\x7f" + bytes(100)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_many_small_parts_of_a_large_packet_are_cheap() -> None:
    """Quadratic copying of 4 MB in parts of 64 bytes would move 130 GB."""
    body = bytes(4_000_000)
    stream = b"\x30" + b"\x80\x92\xf4\x01" + body
    reader = FrameReader()
    frames = [frame for start in range(0, len(stream), 64) for frame in reader.feed(stream[start : start + 64])]
    assert frames == [(0x30, body)]
