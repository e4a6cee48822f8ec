"""Frames of browsers, against an encoder of its own and however they are cut."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.web import settings
from allthings.web.websocket.frames import (
    CloseCode,
    Event,
    FrameError,
    Frames,
    Opcode,
    encode,
    encode_close,
    unmask,
)
from tests.reaching import must_reach, reach


def masked(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame, written byte by byte after RFC 6455 section 5.2."""
    length = len(payload)
    if length < 126:
        size = struct.pack("!B", 0x80 | length)
    elif length < 0x10000:
        size = struct.pack("!BH", 0x80 | 126, length)
    else:
        size = struct.pack("!BQ", 0x80 | 127, length)
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([(0x80 if final else 0) | opcode]) + size + mask + body


def data(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if event.opcode == Opcode.BINARY)


def test_the_example_of_the_standard() -> None:
    """RFC 6455 section 5.7, but for the opcode: a masked "Hello"."""
    assert Frames().feed(bytes.fromhex("8285 37fa213d 7f9f4d5158".replace(" ", ""))) == [(Opcode.BINARY, b"Hello")]
    assert encode(Opcode.BINARY, b"Hello") == bytes.fromhex("820548656c6c6f")


@given(
    messages=st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=4), max_size=6),
    pings=st.lists(st.binary(max_size=125), max_size=3),
    mask=st.binary(min_size=4, max_size=4),
    cuts=st.data(),
)
def test_whatever_the_cuts_the_data_comes_out(
    messages: list[list[bytes]], pings: list[bytes], mask: bytes, cuts: st.DataObject
) -> None:
    wire, waiting = b"", list(pings)
    for parts in messages:
        for number, part in enumerate(parts):
            opcode = Opcode.CONTINUATION if number else Opcode.BINARY
            wire += masked(opcode, part, final=number == len(parts) - 1, mask=mask)
            if waiting:  # control frames may stand between the parts of a message
                wire += masked(Opcode.PING, waiting.pop(), mask=mask)
    frames, events = Frames(), []
    while wire:
        count = cuts.draw(st.integers(1, len(wire)))
        events += frames.feed(wire[:count])
        wire = wire[count:]
    assert data(events) == b"".join(part for parts in messages for part in parts)
    sent = pings[len(waiting) :][::-1]
    assert [event.data for event in events if event.opcode == Opcode.PING] == sent


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 0xFFFF, 0x10000, 200_000])
def test_every_form_of_length(length: int) -> None:
    payload = bytes(range(256)) * (length // 256 + 1)
    payload = payload[:length]
    assert data(Frames().feed(masked(Opcode.BINARY, payload))) == payload
    frame = encode(Opcode.BINARY, payload)
    assert frame.endswith(payload)
    assert len(frame) - length == (2 if length < 126 else 4 if length < 0x10000 else 10)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_unmask_is_byte_by_byte(payload: bytes, mask: bytes) -> None:
    assert unmask(payload, mask) == bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (bytes.fromhex("820548656c6c6f"), CloseCode.PROTOCOL_ERROR),  # not masked
        (masked(Opcode.TEXT, b"hello"), CloseCode.UNSUPPORTED_DATA),
        (masked(0x3, b""), CloseCode.PROTOCOL_ERROR),
        (masked(0xB, b""), CloseCode.PROTOCOL_ERROR),
        (b"\xc2" + masked(Opcode.BINARY, b"")[1:], CloseCode.PROTOCOL_ERROR),  # a reserved bit
        (masked(Opcode.PING, b"", final=False), CloseCode.PROTOCOL_ERROR),
        (masked(Opcode.PING, b"x" * 126), CloseCode.PROTOCOL_ERROR),
        (masked(Opcode.CONTINUATION, b"x"), CloseCode.PROTOCOL_ERROR),
        (masked(Opcode.BINARY, b"x", final=False) + masked(Opcode.BINARY, b"y"), CloseCode.PROTOCOL_ERROR),
        (masked(Opcode.CLOSE, b"\x03"), CloseCode.PROTOCOL_ERROR),
        (masked(Opcode.CLOSE, b"\x03\xed"), CloseCode.PROTOCOL_ERROR),  # 1005 may not be sent
        (masked(Opcode.CLOSE, b"\x03\xe8\xff"), CloseCode.PROTOCOL_ERROR),  # no UTF-8
        (b"\x82\xff" + (settings.FRAME_BYTES_MAX + 1).to_bytes(8) + b"mask", CloseCode.TOO_BIG),
        (b"\x82\xff" + b"\xff" * 8 + b"mask", CloseCode.TOO_BIG),
    ],
)
def test_what_is_against_the_rules(wire: bytes, code: CloseCode) -> None:
    with pytest.raises(FrameError) as caught:
        Frames().feed(wire)
    assert caught.value.code == code
    # The same, byte by byte.
    frames = Frames()
    with pytest.raises(FrameError):
        data([event for at in range(len(wire)) for event in frames.feed(wire[at : at + 1])])


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0f\xa0", b"\x03\xe8\xc3\xa9"])
def test_farewells(payload: bytes) -> None:
    assert Frames().feed(masked(Opcode.CLOSE, payload)) == [(Opcode.CLOSE, payload)]


def test_a_pong_is_nothing() -> None:
    assert Frames().feed(masked(Opcode.PONG, b"x")) == []


def test_a_long_reason_is_cut_between_characters() -> None:
    frame = encode_close(CloseCode.PROTOCOL_ERROR, "\u00e9" * 200)
    assert len(frame) <= 127
    frame[4:].decode()


@must_reach("refused", "data", "nothing yet")
@given(st.binary(max_size=400) | st.binary(max_size=20).map(lambda rest: masked(Opcode.BINARY, rest) + rest))
def test_any_bytes_are_data_or_refused(wire: bytes) -> None:
    try:
        events = Frames().feed(wire)
    except FrameError:
        reach("refused")
        return
    reach("data" if events else "nothing yet")
    assert sum(len(event.data) for event in events) <= len(wire)
