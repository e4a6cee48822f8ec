"""What is left of a message's expiry, and which properties go out."""

from __future__ import annotations

import pytest

from allthings.gateway.messages import Message, split_expiry, wire_properties
from allthings.mqtt.properties import Carrier, Properties, encode_raw

_NS_PER_S = 1_000_000_000


def raw(**properties: object) -> bytes:
    return encode_raw(Properties(**properties), Carrier.PUBLISH)  # type: ignore[arg-type]


@pytest.mark.parametrize("received_ns", [0, 5 * _NS_PER_S])
def test_the_expiry_is_split_off_and_begins_with_the_receipt(received_ns: int) -> None:
    rest = raw(content_type="text/plain", user_property=(("a", "1"),))
    with_expiry = raw(content_type="text/plain", user_property=(("a", "1"),), message_expiry_interval=7)
    assert split_expiry(with_expiry, received_ns) == (rest, received_ns + 7 * _NS_PER_S)
    assert split_expiry(rest, received_ns) == (rest, 0)
    assert split_expiry(None, received_ns) == (b"", 0)


@pytest.mark.parametrize(
    ("left_ns", "told_s"),
    [(60 * _NS_PER_S, 60), (60 * _NS_PER_S + 50, 60), (59 * _NS_PER_S, 59), (1, 0), (0, 0), (-5 * _NS_PER_S, 0)],
)
def test_nobody_is_told_more_time_than_there_was(left_ns: int, told_s: int) -> None:
    now_ns = 100 * _NS_PER_S
    message = Message(b"t", b"", raw(content_type="x"), now_ns + left_ns, 1)
    properties, expires_ns = split_expiry(wire_properties(message, (), now_ns), 0)
    assert (properties, expires_ns) == (message.properties, told_s * _NS_PER_S)


def test_identifiers_of_all_sizes_follow() -> None:
    message = Message(b"t", b"", raw(response_topic="r"), 0, 1)
    assert wire_properties(message, (1, 200, 268_435_455), 0) == message.properties + bytes.fromhex(
        "0b01 0bc801 0bffffff7f"
    )
    assert message.size == 1 + len(message.properties)
