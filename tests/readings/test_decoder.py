"""Decoding on the event loop and in a worker thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from allthings.log.entry import Entry
from allthings.readings.decoder import Decoder
from allthings.readings.model import Model
from allthings.readings.settings import AT_ONCE_STORED_BYTES_MAX
from allthings.things.types import PropertyType
from tests.readings.blocks import Message, entry_of, values_of


class Source:
    """A model source that counts and remembers its callers."""

    def __init__(self) -> None:
        self.model = Model()
        self.calls = 0
        self.fails = False
        self.threads: set[str] = set()

    def __call__(self) -> Model:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise LookupError("no registry")
        return self.model


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def decoder(source: Source) -> AsyncIterator[Decoder]:
    decoder = Decoder(source)
    yield decoder
    await decoder.close()


def entry(sequence: int, rows: int = 1) -> Entry:
    return entry_of([Message("things/a/properties", b'{"t":1}')] * rows, sequence)


async def test_much_is_decoded_in_a_thread_and_little_at_once(decoder: Decoder, source: Source) -> None:
    async def in_thread(one: Entry) -> bool:
        source.threads.clear()
        await decoder.decode(one)
        return any(name.startswith("decode") for name in source.threads)

    assert await in_thread(entry(1))  # the first model is taken in there, too
    assert not await in_thread(entry(2))
    assert await in_thread(entry(3, 50_000))
    # What is small as stored may be large.
    bomb = entry_of([Message("things/a/properties", b" " * 900_000)], 4)
    assert bomb.size < AT_ONCE_STORED_BYTES_MAX
    assert await in_thread(bomb)
    damaged = entry(5)
    damaged.data = damaged.data[:50]
    assert not await in_thread(damaged)
    source.model = Model()
    assert await in_thread(entry(6))


async def test_little_waits_for_much(decoder: Decoder, source: Source) -> None:
    await decoder.decode(entry(1))
    order: list[int] = []

    async def decode(one: Entry) -> None:
        await decoder.decode(one)
        order.append(one.sequence)

    await asyncio.gather(decode(entry(2, 50_000)), decode(entry(3)))
    assert order == [2, 3]


async def test_blocks_are_decoded_together(decoder: Decoder) -> None:
    (found,) = await decoder.decode_all([entry(1, 2), entry(2), entry(3)])
    assert (found.sequence, found.messages) == (3, 4)


async def test_a_new_model_holds_from_the_next_block_on(decoder: Decoder, source: Source) -> None:
    assert values_of(await decoder.decode(entry(1))) == {"t": 1}
    source.model = Model({"a": {"t": PropertyType("string")}})
    refused = await decoder.decode(entry(2))
    assert "type is string" in refused.rejects[0].reason
    source.model = Model()
    assert values_of(await decoder.decode(entry(3))) == {"t": 1}


async def test_a_damaged_block_is_told_not_raised(decoder: Decoder) -> None:
    damaged = entry(1)
    damaged.data = damaged.data[:50]
    assert "damaged" in (await decoder.decode(damaged)).rejects[0].reason


async def test_a_model_that_cannot_be_had_fails_the_call_only(decoder: Decoder, source: Source) -> None:
    source.fails = True
    with pytest.raises(LookupError):
        await decoder.decode(entry(1))
    source.fails = False
    assert (await decoder.decode(entry(1))).messages == 1


async def test_nothing_is_left_after_close(source: Source) -> None:
    before = threading.active_count()
    for _ in range(20):
        decoder = Decoder(source)
        await decoder.decode(entry(1))
        await decoder.close()
    assert threading.active_count() <= before + 1
