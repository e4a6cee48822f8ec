"""The raw form of properties, which the log keeps, and the sharing of the empty one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.errors import EncodeError, MalformedPacketError, RemoteError
from allthings.mqtt.properties import (
    DEFINITIONS,
    NO_PROPERTIES,
    Carrier,
    Properties,
    decode,
    decode_raw,
    encode,
    encode_raw,
)
from allthings.mqtt.wire import Reader
from tests.reaching import must_reach, reach

from .packet_strategies import properties


@given(st.data(), st.sampled_from(Carrier))
def test_raw_round_trip(data: st.DataObject, carrier: Carrier) -> None:
    given_properties = data.draw(properties(carrier))
    raw = encode_raw(given_properties, carrier)
    assert decode_raw(raw, carrier) == given_properties
    whole = encode(given_properties, carrier)
    assert whole.endswith(raw)
    reader = Reader(whole + b"behind", "X")
    assert decode(reader, carrier) == given_properties
    assert reader.rest() == b"behind"


@must_reach("refused", "properties")
@given(st.data(), st.sampled_from(Carrier))
def test_arbitrary_raw_bytes(data: st.DataObject, carrier: Carrier) -> None:
    real = properties(carrier).map(lambda found: encode_raw(found, carrier))
    raw = bytearray(data.draw(st.binary(max_size=60) | real))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=1)):
        raw[at : at + 1] = bytes((byte,))
    check_raw(bytes(raw), carrier)


def check_raw(raw: bytes, carrier: Carrier) -> None:
    try:
        found = decode_raw(raw, carrier)
    except RemoteError:
        reach("refused")
        return
    reach("properties" if raw else "none")
    assert decode_raw(encode_raw(found, carrier), carrier) == found


def test_none_is_shared() -> None:
    assert decode_raw(b"", Carrier.PUBLISH) is NO_PROPERTIES
    assert decode(Reader(b"\0", "X"), Carrier.PUBLISH) is NO_PROPERTIES
    assert encode(NO_PROPERTIES, Carrier.PUBLISH) == encode(Properties(), Carrier.PUBLISH) == b"\0"
    assert encode_raw(NO_PROPERTIES, Carrier.PUBLISH) == b""


def test_the_table_and_the_value_agree() -> None:
    assert tuple(definition.name for definition in DEFINITIONS) == Properties.__struct_fields__
    identifiers = [definition.identifier for definition in DEFINITIONS]
    assert identifiers == sorted(set(identifiers))
    assert all(definition.repeats <= definition.carriers for definition in DEFINITIONS)


def test_falsy_values_are_not_absent_ones() -> None:
    quiet = Properties(message_expiry_interval=0, content_type="", correlation_data=b"", payload_format_indicator=0)
    raw = encode_raw(quiet, Carrier.PUBLISH)
    assert raw == bytes.fromhex("0100 0200000000 030000 090000")
    assert decode_raw(raw, Carrier.PUBLISH) == quiet


def test_another_carrier() -> None:
    with pytest.raises(EncodeError, match="PUBLISH may not have the property will_delay_interval"):
        encode(Properties(will_delay_interval=1), Carrier.PUBLISH)
    with pytest.raises(MalformedPacketError, match="PUBLISH may not have the property will_delay_interval"):
        decode_raw(bytes.fromhex("1800000001"), Carrier.PUBLISH)
