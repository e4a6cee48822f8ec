"""Blocks survive the way through bytes, and positions order everything."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.log import block


def messages(topics: list[str], payloads: list[bytes]) -> pa.RecordBatch:
    count = len(topics)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(range(count), pa.int64()).view(pa.timestamp("ns", tz="UTC")),
            pa.array(topics, pa.string()),
            pa.array(payloads, pa.binary()),
            pa.array(["client"] * count).dictionary_encode(),
            pa.array([1] * count, pa.uint8()),
            pa.nulls(count, pa.binary()),
        ],
        schema=block.MESSAGES,
    )


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=20))
def test_a_block_comes_back_as_it_was(rows: list[tuple[str, bytes]]) -> None:
    batch = messages([topic for topic, _ in rows], [payload for _, payload in rows])
    back = block.decode(block.encode(batch))
    assert back.equals(batch)
    assert not block.is_readings(back)


@given(st.integers(0, 2**43), st.integers(0, block.ROWS_MAX - 1), st.integers(0, 2**43), st.integers(0, 99))
def test_positions_order_by_sequence_then_row(first: int, row: int, second: int, other: int) -> None:
    assert (block.position(first, row) < block.position(second, other)) == ((first, row) < (second, other))
    assert block.sequence(block.position(first, row)) == first
    assert block.position(first, row) < 2**64


def test_damage_is_an_arrow_error() -> None:
    data = block.encode(messages(["a"], [b"x"]))
    with pytest.raises(pa.ArrowInvalid):
        block.decode(data[: len(data) // 2])


@pytest.mark.parametrize("data", [b"", b"damaged", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x9c\xfe\x01\x02" * 9])
def test_damaged_bytes_have_one_error(data: bytes) -> None:
    with pytest.raises(pa.ArrowInvalid):
        block.decode(data)


def test_a_kind_that_a_newer_version_wrote_is_named() -> None:
    newer = messages(["a"], [b"x"]).replace_schema_metadata({"allthings": "messages/2"})
    with pytest.raises(pa.ArrowInvalid, match=r"of the kind b'messages/2', which this version"):
        block.decode(block.encode(newer))


@given(st.lists(st.text(max_size=5), max_size=5), st.binary(max_size=2000))
def test_changes_stand_beside_the_rows_whatever_their_number(topics: list[str], changes: bytes) -> None:
    batch = messages(topics, [b"x"] * len(topics))
    back = block.decode(block.encode(block.with_changes(batch, changes)))
    assert block.changes(back) == changes
    assert back.equals(batch)
    assert back.schema.metadata[b"allthings"] == b"messages/1"
    assert not block.is_readings(back)
    assert block.changes(block.decode(block.encode(batch))) == b""
