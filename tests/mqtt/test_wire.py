"""The data types of the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.mqtt.errors import EncodeError, MalformedPacketError
from allthings.mqtt.wire import (
    VARINT_MAX,
    Reader,
    decode_string,
    encode_binary,
    encode_integer,
    encode_string,
    encode_varint,
)
from tests.reaching import must_reach, reach

#: MQTT 5, table 1-1: where the number of digits changes.
VARINTS = {
    0: "00",
    127: "7F",
    128: "8001",
    16_383: "FF7F",
    16_384: "808001",
    2_097_151: "FFFF7F",
    2_097_152: "80808001",
    268_435_455: "FFFFFF7F",
}


@pytest.mark.parametrize(("number", "digits"), VARINTS.items())
def test_varints_of_the_standard(number: int, digits: str) -> None:
    assert encode_varint(number) == bytes.fromhex(digits)
    assert Reader(bytes.fromhex(digits), "X").varint("n") == number


@given(st.integers(0, VARINT_MAX))
def test_varints(number: int) -> None:
    assert Reader(encode_varint(number), "X").varint("n") == number


@pytest.mark.parametrize("number", [-1, VARINT_MAX + 1])
def test_varints_that_do_not_fit(number: int) -> None:
    with pytest.raises(EncodeError):
        encode_varint(number)


@pytest.mark.parametrize("digits", ["8000", "FF8000", "80", "FFFFFF", "80808080", "FFFFFFFF01", ""])
def test_broken_varints(digits: str) -> None:
    with pytest.raises(MalformedPacketError):
        Reader(bytes.fromhex(digits), "X").varint("n")


@must_reach("no UTF-8", "NUL", "ASCII", "beyond ASCII")
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_strings_are_what_python_calls_utf_8_without_nul(data: bytes) -> None:
    try:
        expected = data.decode("utf-8", "strict")
    except UnicodeDecodeError:
        expected = None
    reach(
        "no UTF-8" if expected is None else "NUL" if "\0" in expected else "a string" if expected.isascii() else "wide"
    )
    if expected is None or "\0" in expected:
        with pytest.raises(MalformedPacketError):
            decode_string(data, "x")
    else:
        reach("ASCII" if expected.isascii() else "beyond ASCII")
        assert decode_string(data, "x") == expected
        assert Reader(encode_string(expected, "x"), "X").string("x") == expected


def test_the_standards_own_example() -> None:
    """Section 1.5.4, figure 1-2: the letter A and U+2A6D4."""
    assert encode_string("A\U0002a6d4", "x") == bytes.fromhex("000541F0AA9B94")


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a" * 65_536, "é" * 32_768])
def test_strings_that_are_not_sent(text: str) -> None:
    with pytest.raises(EncodeError):
        encode_string(text, "x")


@pytest.mark.parametrize(("number", "size"), [(-1, 2), (65_536, 2), (1 << 32, 4)])
def test_integers_that_do_not_fit(number: int, size: int) -> None:
    with pytest.raises(EncodeError):
        encode_integer(number, size, "x")


def test_binary_has_at_most_65535_bytes() -> None:
    assert len(encode_binary(bytes(65_535), "x")) == 65_537
    with pytest.raises(EncodeError):
        encode_binary(bytes(65_536), "x")


def test_a_part_ends_where_it_ends() -> None:
    reader = Reader(b"\x01\x02\x03\x04", "X")
    part = reader.part(2, "the part")
    assert (part.byte("a"), part.byte("b"), bool(part)) == (1, 2, False)
    with pytest.raises(MalformedPacketError, match="X ends within c: 1 bytes needed at offset 2, 0 there"):
        part.byte("c")
    assert reader.rest() == b"\x03\x04"
    reader.finish()


def test_what_is_left_over_is_said() -> None:
    with pytest.raises(MalformedPacketError, match="X has 3 bytes after its last field, at offset 0"):
        Reader(b"abc", "X").finish()
