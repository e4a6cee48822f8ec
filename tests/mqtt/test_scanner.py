"""The hot path agrees with a slow reading of the same bytes."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.scanner import Frame, Run, frame, scan
from tests.reaching import must_reach, reach


def varint(number: int) -> bytes:
    out = b""
    while True:
        number, digit = divmod(number, 128)
        out += bytes([digit | (0x80 if number else 0)])
        if not number:
            return out


def publish(
    topic: bytes, payload: bytes, *, qos: int = 0, identifier: int = 1, first: int | None = None, v5: bool
) -> bytes:
    body = struct.pack(">H", len(topic)) + topic
    if qos:
        body += struct.pack(">H", identifier)
    if v5:
        body += b"\0"
    body += payload
    return bytes([0x30 | qos << 1 if first is None else first]) + varint(len(body)) + body


messages = st.lists(
    st.tuples(
        st.sampled_from([b"a", b"things/x/properties", b"t" * 200]),
        st.one_of(st.binary(max_size=8), st.binary(min_size=120, max_size=300)),
        st.integers(0, 1),
        st.integers(1, 65535),
        st.booleans(),
    ),
    max_size=30,
)


@given(messages, st.booleans(), st.integers(0, 40))
def test_scan_finds_every_whole_packet_in_order(items: list, v5: bool, cut: int) -> None:
    packets = [
        publish(topic, payload, qos=qos, identifier=identifier, first=0x30 | qos << 1 | retain, v5=v5)
        for topic, payload, qos, identifier, retain in items
    ]
    whole = b"".join(packets)
    buffer = whole[: max(0, len(whole) - cut)]
    runs: list[Run] = []
    end = scan(buffer, 0, v5, runs)

    expected, at = [], 0
    for packet, (topic, payload, qos, identifier, retain) in zip(packets, items, strict=True):
        if at + len(packet) > len(buffer):
            break
        at += len(packet)
        expected.append((0x30 | qos << 1 | retain, topic, payload, struct.pack(">H", identifier) if qos else None))
    found = [
        (run.first, run.topic, payload, run.identifiers[n] if run.identifiers else None)
        for run in runs
        for n, payload in enumerate(run.payloads)
    ]
    assert found == expected
    assert end == at


@must_reach("found", "nothing found")
@given(st.binary(max_size=400) | st.binary(max_size=40).map(lambda rest: b"\x30\x04\0\x01ab" + rest), st.booleans())
def test_arbitrary_bytes_stop_the_scan_and_nothing_else(data: bytes, v5: bool) -> None:
    runs: list[Run] = []
    end = scan(data, 0, v5, runs)
    reach("found" if runs else "nothing found")
    assert 0 <= end <= len(data)
    assert sum(len(p) for run in runs for p in run.payloads) <= end


def test_what_is_unusual_is_left_to_the_codec() -> None:
    plain = publish(b"a", b"1", qos=1, v5=True)
    for other in (
        publish(b"a", b"1", qos=2, v5=True),
        publish(b"a", b"1", qos=1, first=0x3A, v5=True),
        publish(b"a", b"1", qos=1, identifier=0, v5=True),
        publish(b"", b"1", qos=1, v5=True),
        publish(b"a", b"", qos=1, v5=True)[:-1] + b"\x02\x01\x00",
        b"\xc0\x00",
        b"\x30\xff\xff\xff\xff\x01",
    ):
        runs: list[Run] = []
        assert scan(plain + plain + other, 0, True, runs) == 2 * len(plain)
        assert [len(run.payloads) for run in runs] == [2]


def test_frame_tells_where_a_body_stands() -> None:
    assert frame(b"\xc0\x00", 0) == Frame(0xC0, 2, 2)
    assert frame(b"\x30\x80", 0) is None
    assert frame(b"\x30\x80\x01", 0) == Frame(0x30, 3, 131)
    assert frame(b"\x30\xff\xff\xff\xff", 0) == Frame(0x30, 5, -1)
