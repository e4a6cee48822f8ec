"""Decoding in a worker thread, once for all consumers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from allthings.log.entry import Entry
from allthings.readings.decoder import Decoder
from allthings.readings.model import Model
from allthings.readings.settings import DECODED_BLOCKS_MAX
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


async def test_consumers_share_the_work(decoder: Decoder, source: Source) -> None:
    block = entry(1)
    first, second = await asyncio.gather(decoder.decode(block), decoder.decode(block))
    assert first is second is await decoder.decode(block)
    assert source.calls == 1
    assert threading.current_thread().name not in source.threads


async def test_old_blocks_make_room(decoder: Decoder, source: Source) -> None:
    for sequence in range(1, DECODED_BLOCKS_MAX + 2):
        await decoder.decode(entry(sequence))
    assert source.calls == DECODED_BLOCKS_MAX + 1
    await decoder.decode(entry(DECODED_BLOCKS_MAX + 1))
    assert source.calls == DECODED_BLOCKS_MAX + 1
    await decoder.decode(entry(1))
    assert source.calls == DECODED_BLOCKS_MAX + 2


async def test_large_blocks_make_room_sooner(decoder: Decoder, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allthings.readings.decoder.DECODED_ROWS_MAX", 90)
    for sequence in range(1, 5):
        await decoder.decode(entry(sequence, 30))
    await decoder.decode(entry(4, 30))
    assert source.calls == 4
    await decoder.decode(entry(1, 30))
    assert source.calls == 5


async def test_a_new_model_holds_from_the_next_block_on(decoder: Decoder, source: Source) -> None:
    assert values_of(await decoder.decode(entry(1))) == {"t": 1}
    source.model = Model({"a": {"t": PropertyType("string")}})
    refused = await decoder.decode(entry(2))
    assert "type is string" in refused.rejects[0].reason
    source.model = Model()
    assert values_of(await decoder.decode(entry(3))) == {"t": 1}


async def test_a_caller_that_gives_up_does_not_take_the_block_from_others(decoder: Decoder, source: Source) -> None:
    block = entry(1, 50_000)
    impatient = asyncio.create_task(decoder.decode(block))
    patient = asyncio.create_task(decoder.decode(block))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).messages == 50_000
    assert source.calls == 1


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
