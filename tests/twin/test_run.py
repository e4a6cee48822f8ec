"""The twin as a consumer of a real log, with a real registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from allthings.log import block
from allthings.log.stream import Log
from allthings.readings.decoder import Decoder
from allthings.readings.feed import Feed
from allthings.readings.model import Model
from allthings.registry import Registry, SeenProperty
from allthings.things.times import now_ns
from allthings.twin.run import CONSUMER, run
from allthings.twin.settings import REPORT_EVERY_S
from allthings.twin.twin import Twin
from tests.readings.blocks import entry_of
from tests.twin.feed import said


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(f"sqlite:///{tmp_path}/registry.db")
    registry.migrate()
    return registry


@pytest.fixture
async def twin(log: Log) -> Twin:
    """Standing at the end of the session's log."""
    twin = Twin(now_ns)
    twin.sequence = (await log.status()).last
    return twin


@contextlib.asynccontextmanager
async def running(log: Log, twin: Twin, observe: Callable[[list[SeenProperty], int], int]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    decoder = Decoder(Model)
    feed = Feed(log, decoder)
    tasks = [
        asyncio.create_task(feed.run(twin.sequence, stop)),
        asyncio.create_task(run(log, feed, twin, observe, stop=stop, clock=now_ns)),
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await decoder.close()


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)  # polling a real process, with a limit


async def append(log: Log, thing: str, **values: object) -> int:
    return await log.append_batch(entry_of([said(thing, now_ns(), **values)]).batch, "test")


async def test_from_the_log_to_values_and_discovered_things(log: Log, twin: Twin, registry: Registry) -> None:
    async with running(log, twin, registry.things.observe):
        with twin.subscribe(["room-1"]) as live:
            sequence = await append(log, "room-1", temperature=21.5, mode="heat")
            update = await asyncio.wait_for(anext(live), 10)
            assert update.position == block.position(sequence, 0)
        assert {one.property: one.value for one in twin.values(["room-1"])} == {"temperature": 21.5, "mode": "heat"}
        await until(lambda: registry.things.list().total > 0, 10 * REPORT_EVERY_S)
        (thing,) = registry.things.list().things
        assert (thing.name, thing.state, set(thing.td["properties"])) == (
            "room-1",
            "discovered",
            {"temperature", "mode"},
        )
    assert await log.position(CONSUMER) == twin.sequence >= sequence
    registry.close()


async def test_a_registry_that_fails_is_tried_again(log: Log, twin: Twin, caplog: pytest.LogCaptureFixture) -> None:
    told: list[list[SeenProperty]] = []

    def observe(seen: list[SeenProperty], _now_ns: int) -> int:
        told.append(seen)
        if len(told) == 1:
            raise OSError("the disk is full")
        return len(seen)

    async with running(log, twin, observe):
        await append(log, "room-2", t=1)
        await until(lambda: len(told) == 2, 10 * REPORT_EVERY_S)
        await append(log, "room-2", t=1)
        await until(lambda: twin.totals().messages == 2)
    assert told[0] == told[1]
    assert "trying again" in caplog.text


async def test_stopping_leaves_no_task(log: Log, twin: Twin) -> None:
    before = len(asyncio.all_tasks())
    async with running(log, twin, lambda seen, _: len(seen)):
        await append(log, "room-3", t=1)
        await until(lambda: twin.totals().messages == 1)
    assert len(asyncio.all_tasks()) <= before
