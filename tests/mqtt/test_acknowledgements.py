"""Many PUBACKs at once are the same bytes as one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.codec import encode
from allthings.mqtt.packets import Puback
from allthings.mqtt.packets.acknowledgements import encode_puback_run, encode_pubacks
from allthings.mqtt.versions import V3, V5


@given(st.lists(st.integers(1, 65535)))
def test_runs(packet_ids: list[int]) -> None:
    expected = b"".join(encode(Puback(packet_id), V3) for packet_id in packet_ids)
    assert b"".join(encode(Puback(packet_id), V5) for packet_id in packet_ids) == expected
    assert encode_puback_run([packet_id.to_bytes(2, "big") for packet_id in packet_ids]) == expected
    assert encode_pubacks(packet_ids) == expected
