"""Rejects that are appended again."""

from __future__ import annotations

import pytest

from allthings.log import block
from allthings.log.entry import Entry
from allthings.readings.decode import decode
from allthings.readings.decoded import Decoded, Reject
from allthings.readings.model import Model
from allthings.readings.replay import original, replay_block
from allthings.things.types import PropertyType
from tests.readings.blocks import NOW_NS, Message, decode_messages, rows_of

STRICT = Model({"a": {"t": PropertyType("boolean")}})


def replayed(rejects: list[Reject], model: Model, sequence: int = 20) -> Decoded:
    return decode(Entry(sequence, block.encode(replay_block(rejects)), NOW_NS), model)


def test_a_mended_reject_becomes_readings_with_its_own_receive_time() -> None:
    first = decode_messages(Message("things/a/properties", b'{"t":21.5,"u":1}', NOW_NS, "dev"), model=STRICT)
    again = replayed(first.rejects, Model())
    assert again.replayed == [first.rejects[0].position]
    assert not again.rejects
    assert {(row.property, row.value, row.time_ns, row.received_ns, row.position) for row in rows_of(again)} == {
        ("t", 21.5, NOW_NS, NOW_NS, block.position(20, 0)),
        ("u", 1, NOW_NS, NOW_NS, block.position(20, 0)),
    }


def test_a_reject_that_fails_again_keeps_its_place() -> None:
    first = decode_messages(
        Message("x", b""), Message("things/a/properties", b'{"t":1}', NOW_NS, "dev"), model=STRICT
    ).rejects
    again = replayed(first, STRICT)
    assert again.replayed == []
    assert again.rejects == first
    # And so it does when it is replayed a second time, from the list.
    assert replayed(again.rejects, Model(), 30).replayed == [first[0].position]


def test_only_the_mended_of_several() -> None:
    rejects = [
        Reject(1_000, NOW_NS, "c", "things/a/properties", "", b'{"t":1}'),
        Reject(1_001, NOW_NS + 1, "c", "things/a/properties", "", b"{"),
        Reject(1_002, NOW_NS + 2, "d", "things/b/events/e", "", b"1"),
    ]
    again = replayed(rejects, Model())
    assert again.replayed == [1_000, 1_002]
    assert [(one.position, one.client) for one in again.rejects] == [(1_001, "c")]
    assert len(again.events) == 1


@pytest.mark.parametrize(
    "text", [None, b"", b"reject=", b"reject=-1", b"reject=1x", b"reject=" + b"9" * 21, b"\x26\x00"]
)
def test_properties_that_name_no_reject(text: bytes | None) -> None:
    assert original(text) is None


def test_a_device_cannot_pass_for_a_replay() -> None:
    decoded = decode_messages(Message("things/a/properties", b'{"t":1}', properties=b"reject=5"))
    assert decoded.replayed == []
