"""The live feed: filters, slow readers, and coming back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from allthings.log import block
from allthings.log.entry import Entry
from allthings.log.stream import LogStatus
from allthings.readings.decoder import Decoder
from allthings.readings.model import Model
from allthings.twin import live, resume
from allthings.twin.live import Update
from allthings.twin.resume import follow
from allthings.twin.twin import Twin
from tests.readings.blocks import NOW_NS, Message, entry_of
from tests.twin.feed import Clock, block_of, said


@pytest.fixture
def twin() -> Twin:
    return Twin(Clock())


def told(updates: list[Update]) -> list[tuple[str, str, Any]]:
    return [(one.thing, one.property, one.value) for update in updates for one in update.values]


async def take(updates: AsyncIterator[Update], count: int) -> list[Update]:
    return [await asyncio.wait_for(anext(updates), 5) for _ in range(count)]


async def test_every_value_in_order(twin: Twin) -> None:
    with twin.subscribe() as subscription:
        twin.apply(block_of(1, said("a", t=1), said("a", NOW_NS + 1, t=2), said("b", s="x")))
        twin.apply(block_of(2, said("a", at=5, t=0)))
        first, second = await take(subscription, 2)
    assert told([first, second]) == [("a", "t", 1), ("a", "t", 2), ("b", "s", "x"), ("a", "t", 0)]
    assert [one.quality for one in second.values] == ["clock"]
    assert (first.position, second.position) == (block.position(1, 2), block.position(2, 0))
    assert not first.gap


@pytest.mark.parametrize(
    ("things", "properties", "expected"),
    [
        (["a"], None, [("a", "t", 1), ("a", "u", 2)]),
        (None, ["t"], [("a", "t", 1), ("b", "t", 3)]),
        (["b", "c"], ["t", "v"], [("b", "t", 3)]),
    ],
)
async def test_filters(twin: Twin, things: Any, properties: Any, expected: Any) -> None:
    with twin.subscribe(things, properties) as subscription:
        twin.apply(block_of(1, said("z", z=1)))
        twin.apply(block_of(2, said("a", t=1, u=2), said("b", t=3, w=4)))
        assert told(await take(subscription, 1)) == expected


async def test_names_that_meet_in_no_row_give_no_update(twin: Twin) -> None:
    with twin.subscribe(["a"], ["t"]) as subscription:
        twin.apply(block_of(1, said("a", u=1), said("b", t=1)))
        twin.apply(block_of(2, said("a", t=2)))
        assert told(await take(subscription, 1)) == [("a", "t", 2)]


async def test_waiting_ends_with_a_value_or_with_close(twin: Twin) -> None:
    subscription = twin.subscribe()
    waiting = asyncio.create_task(anext(subscription))
    await asyncio.sleep(0)
    assert not waiting.done()
    twin.apply(block_of(1, said("a", t=1)))
    assert told([await waiting]) == [("a", "t", 1)]
    waiting = asyncio.create_task(anext(subscription))
    await asyncio.sleep(0)
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert twin.hub.subscribers == 0


async def test_a_slow_reader_loses_its_place_and_is_told(twin: Twin) -> None:
    with twin.subscribe(queue_max=5) as slow, twin.subscribe() as quick:
        for sequence in range(1, 10):
            twin.apply(block_of(sequence, said("a", NOW_NS + sequence, t=sequence, u=0)))
        assert len(await take(quick, 9)) == 9
        (update,) = await take(slow, 1)
        assert update.gap
        # What is left follows without another gap.
        rest = [await anext(slow) for _ in range(len(slow._frames))]
        assert [one.gap for one in rest] == [False] * len(rest)
        assert told([update, *rest])[-2:] == [("a", "t", 9), ("a", "u", 0)]


async def test_one_block_larger_than_the_queue_is_still_given(twin: Twin) -> None:
    with twin.subscribe(queue_max=1) as subscription:
        twin.apply(block_of(1, said("a", t=1, u=2, v=3)))
        (update,) = await take(subscription, 1)
        assert (len(update.values), update.gap) == (3, False)


async def test_large_blocks_come_in_pieces_that_end_with_a_message(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "UPDATE_VALUES_MAX", 4)
    with twin.subscribe() as subscription:
        twin.apply(block_of(1, *[said("a", NOW_NS + n, t=n, u=n, v=n) for n in range(5)]))
        updates = await take(subscription, 3)
        assert [len(one.values) for one in updates] == [6, 6, 3]
        assert [one.position for one in updates] == [block.position(1, row) for row in (1, 3, 4)]


async def test_subscribers_do_not_see_the_past(twin: Twin) -> None:
    twin.apply(block_of(1, said("a", t=1)))
    with twin.subscribe() as subscription:
        twin.apply(block_of(2, said("a", t=2)))
        assert told(await take(subscription, 1)) == [("a", "t", 2)]


# Coming back


class Blocks:
    """A log in memory, some of which was trimmed away."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.reads = 0

    async def get(self, sequence: int) -> Entry | None:
        self.reads += 1
        await asyncio.sleep(0)
        return self.entries.get(sequence)

    async def status(self) -> LogStatus:
        await asyncio.sleep(0)
        return LogStatus(1, len(self.entries), 0, 0, {}, {})

    def append(self, *messages: Message) -> Entry:
        sequence = len(self.entries) + 1
        self.entries[sequence] = entry_of(list(messages), sequence)
        return self.entries[sequence]


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    decoder = Decoder(Model)
    yield decoder
    await decoder.close()


@pytest.fixture
def log() -> Blocks:
    return Blocks()


async def fill(twin: Twin, log: Blocks, decoder: Decoder, count: int) -> None:
    """Blocks of two messages with two values each."""
    for _ in range(count):
        n = len(log.entries) + 1
        entry = log.append(said("a", NOW_NS + 2 * n, t=n, u=n), said("b", NOW_NS + 2 * n + 1, t=-n, u=-n))
        twin.apply(await decoder.decode(entry))


async def test_what_was_missed_comes_from_memory(twin: Twin, log: Blocks, decoder: Decoder) -> None:
    await fill(twin, log, decoder, 5)
    updates = follow(twin, log, decoder, ["a", "b"], ["t"], after=block.position(3, 0))
    found = await take(updates, 3)
    assert told(found) == [("b", "t", -3), ("a", "t", 4), ("b", "t", -4), ("a", "t", 5), ("b", "t", -5)]
    assert log.reads == 0
    await fill(twin, log, decoder, 1)
    assert told(await take(updates, 1)) == [("a", "t", 6), ("b", "t", -6)]
    assert not any(one.gap for one in found)
    await updates.aclose()  # type: ignore[attr-defined]
    assert twin.hub.subscribers == 0


async def test_what_was_missed_comes_from_the_log(
    twin: Twin, log: Blocks, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_ROWS_MAX", 8)
    await fill(twin, log, decoder, 10)
    updates = follow(twin, log, decoder, ["a"], ["t"], after=block.position(2, 1))
    missed = await take(updates, 4)
    # Blocks that come while the past is read wait for their turn.
    await fill(twin, log, decoder, 3)
    missed += await take(updates, 7)
    assert told(missed) == [("a", "t", n) for n in range(3, 14)]
    assert log.reads == 7
    assert not any(one.gap for one in missed)


async def test_everything_after_any_position_once(
    twin: Twin, log: Blocks, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_ROWS_MAX", 8)
    await fill(twin, log, decoder, 5)
    everything = [
        (block.position(sequence, row), value)
        for sequence in range(1, 6)
        for row, value in ((0, sequence), (1, -sequence))
    ]
    for after, _ in [(0, 0), *everything]:
        updates = follow(twin, log, decoder, None, ["t"], after=after)
        expected = [value for position, value in everything if position > after]
        found: list[Any] = []
        while len(found) < len(expected):
            found += [one.value for one in (await take(updates, 1))[0].values]
        assert found == expected
        await updates.aclose()  # type: ignore[attr-defined]


async def test_what_the_log_has_no_longer_is_a_gap(
    twin: Twin, log: Blocks, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_ROWS_MAX", 4)
    await fill(twin, log, decoder, 6)
    for sequence in (1, 2, 3):
        del log.entries[sequence]
    found = await take(follow(twin, log, decoder, ["a"], ["t"], after=block.position(1, 0)), 3)
    assert told(found) == [("a", "t", 4), ("a", "t", 5), ("a", "t", 6)]
    assert [one.gap for one in found] == [True, False, False]


async def test_what_is_too_far_back_is_a_gap(
    twin: Twin, log: Blocks, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_ROWS_MAX", 4)
    monkeypatch.setattr(resume, "RESUME_BLOCKS_MAX", 3)
    await fill(twin, log, decoder, 9)
    found = await take(follow(twin, log, decoder, ["a"], ["t"], after=block.position(2, 0)), 1)
    assert (told(found), found[0].gap) == ([("a", "t", 9)], True)


async def test_a_position_of_another_log_is_a_gap(twin: Twin, log: Blocks, decoder: Decoder) -> None:
    await fill(twin, log, decoder, 2)
    updates = follow(twin, log, decoder, after=block.position(900, 0))
    (lost,) = await take(updates, 1)
    assert (lost.gap, lost.count, lost.position) == (True, 0, block.position(3, 0) - 1)
    await fill(twin, log, decoder, 1)
    (update,) = await take(updates, 1)
    assert (update.gap, len(update.values)) == (False, 4)


async def test_a_position_that_the_twin_has_not_reached_again(twin: Twin, log: Blocks, decoder: Decoder) -> None:
    await fill(twin, log, decoder, 4)
    restarted = Twin(Clock())
    for sequence in (1, 2):
        restarted.apply(await decoder.decode(log.entries[sequence]))
    updates = follow(restarted, log, decoder, ["b"], ["t"], after=block.position(4, 0))
    waiting = asyncio.create_task(anext(updates))
    await asyncio.sleep(0)
    for sequence in (3, 4):
        restarted.apply(await decoder.decode(log.entries[sequence]))
    update = await asyncio.wait_for(waiting, 5)
    assert (told([update]), update.gap) == ([("b", "t", -4)], False)


async def test_a_gap_is_told_though_no_value_is_left(
    twin: Twin, log: Blocks, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING_ROWS_MAX", 4)
    await fill(twin, log, decoder, 6)
    del log.entries[3]
    (lost,) = await take(follow(twin, log, decoder, ["a"], ["x"], after=block.position(3, 0)), 1)
    assert (lost.gap, lost.values, lost.json) == (True, [], b"")


async def test_from_now_on(twin: Twin, log: Blocks, decoder: Decoder) -> None:
    await fill(twin, log, decoder, 2)
    updates = follow(twin, log, decoder, ["a"], ["t"])
    waiting = asyncio.create_task(anext(updates))
    await asyncio.sleep(0)
    await fill(twin, log, decoder, 1)
    assert told([await asyncio.wait_for(waiting, 5)]) == [("a", "t", 3)]
