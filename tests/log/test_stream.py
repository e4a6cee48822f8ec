"""The log with a real nats-server, also one that is killed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import NoReturn

import pytest
from nats.aio.transport import TcpTransport

from allthings.log import settings
from allthings.log.entry import Entry
from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from tests.log.test_block import messages
from tests.servers import NatsServer

DATA = messages(["a", "b"], [b"1", b"2"])


async def take(log: Log, after: int, count: int) -> list[Entry]:
    """The next `count` blocks after a sequence."""
    found: list[Entry] = []
    async with asyncio.timeout(20):
        async for entries in log.read(after):
            found += entries
            if len(found) >= count:
                return found
    raise AssertionError("the log ended")


async def test_what_is_appended_is_read_in_order(log: Log) -> None:
    before = (await log.status()).last
    sequences = [await log.append_batch(DATA, "test") for _ in range(10)]
    entries = await take(log, before, 10)
    assert [entry.sequence for entry in entries] == sequences == list(range(before + 1, before + 11))
    assert entries[0].batch.equals(DATA)
    assert entries[0].stored_ns > 1_600_000_000 * 10**9


async def test_a_reader_waits_for_what_comes_and_stops_when_told(log: Log) -> None:
    before = (await log.status()).last
    stop = asyncio.Event()
    seen: list[int] = []

    async def read() -> None:
        async for entries in log.read(before, stop=stop):
            seen.extend(entry.sequence for entry in entries)
            if len(seen) == 3:
                stop.set()

    reading = asyncio.create_task(read())
    for _ in range(3):
        await log.append_batch(DATA, "test")
    await asyncio.wait_for(reading, 10)
    assert seen == [before + 1, before + 2, before + 3]


async def test_get_gives_one_block_or_none(log: Log) -> None:
    sequence = await log.append_batch(DATA, "test")
    entry = await log.get(sequence)
    assert entry is not None
    assert entry.batch.equals(DATA)
    assert await log.get(sequence + 1000) is None


async def test_positions_are_kept(log: Log) -> None:
    assert await log.position("nobody") == 0
    await log.save_position("somebody", 41)
    await log.save_position("somebody", 42)
    assert await log.position("somebody") == 42
    status = await log.status()
    assert status.positions["somebody"] == 42
    assert status.lag["somebody"] == max(0, status.last - 42)


async def test_a_position_is_forgotten(log: Log) -> None:
    await log.save_position("gone", 41)
    await log.forget_position("gone")
    await log.forget_position("never-there")
    assert await log.position("gone") == 0
    assert "gone" not in (await log.status()).positions
    await log.save_position("gone", 7)
    assert (await log.status()).positions["gone"] == 7


async def test_notes_reach_who_listens(log: Log) -> None:
    notes = log.notes("greeting.*")
    waiting = asyncio.create_task(anext(notes))
    while not waiting.done():
        await log.publish_note("greeting.all", b"hello")
        await asyncio.sleep(0.01)
    assert waiting.result() == b"hello"


async def test_trimming_keeps_what_a_consumer_still_needs(own_nats_server: NatsServer) -> None:
    log = await Log.connect(own_nats_server.url)
    try:
        for _ in range(20):
            await log.append_batch(DATA, "test")
        far = 2**62
        assert await log.trim(12, far, keep_age_s=1, keep_bytes=2**40) == 12
        assert (await log.status()).first == 13
        assert await log.trim(20, 0, keep_age_s=1, keep_bytes=2**40) == 0
        assert await log.trim(20, 0, keep_age_s=1, keep_bytes=1) > 0
        assert (await log.status()).last == 20
    finally:
        await log.close()


async def test_appends_and_reads_outlive_a_killed_server(own_nats_server: NatsServer) -> None:
    log = await Log.connect(own_nats_server.url)
    troubles: list[str] = []
    seen: list[int] = []
    complete = asyncio.Event()

    async def read() -> None:
        async for entries in log.read(0):
            seen.extend(entry.sequence for entry in entries)
            if len(seen) >= 40:
                complete.set()

    reading = asyncio.create_task(read())
    acknowledged = []
    appender = log.appender("test")
    for number in range(40):
        if number in (10, 25):
            own_nats_server.kill()
            restart = asyncio.get_running_loop().run_in_executor(None, own_nats_server.start)
        appending = appender.begin(b"block %d" % number, on_trouble=troubles.append)
        acknowledged.append(await appending.stored)
        if number in (10, 25):
            await restart
    await asyncio.wait_for(complete.wait(), 30)
    reading.cancel()
    assert troubles
    assert acknowledged == sorted(set(acknowledged))
    stored = [(await log.get(sequence)) for sequence in acknowledged]
    assert [entry.data for entry in stored if entry] == [b"block %d" % number for number in range(40)]
    # Read in order and without a gap; a block that was stored before its answer was lost stands there once.
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(seen))
    assert (await log.status()).last == 40
    await log.close()


async def test_no_server_is_a_clear_error() -> None:
    with pytest.raises(LogUnavailableError, match="no NATS server answers"):
        await Log.connect("nats://127.0.0.1:1")


async def test_connecting_ends_in_time_also_when_a_refusal_hides_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio.wait_for gives the refusal and not the cancellation when both come in the same moment."""

    async def refused(*_: object, **__: object) -> NoReturn:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        raise ConnectionRefusedError

    monkeypatch.setattr(TcpTransport, "connect", refused)
    monkeypatch.setattr(settings, "CONNECT_WITHIN_S", 0.1)
    connecting = asyncio.create_task(Log.connect("nats://127.0.0.1:1"))
    done, _ = await asyncio.wait({connecting}, timeout=5)
    while not connecting.done():
        connecting.cancel()
        await asyncio.sleep(0)
    assert done
    with pytest.raises(LogUnavailableError, match="no NATS server answers"):
        await connecting


async def test_a_block_is_never_stored_before_the_one_it_is_behind(own_nats_server: NatsServer) -> None:
    log = await Log.connect(own_nats_server.url)
    appender = log.appender("test")
    under_way = []
    for number in range(60):
        if number in (15, 40):
            own_nats_server.kill()
            restart = asyncio.get_running_loop().run_in_executor(None, own_nats_server.start)
        under_way.append(appender.begin(b"%d" % number, on_trouble=lambda _: None))
        if number % 7 == 0:
            # Somebody else appends between the two.
            await log.append(b"other", "other") if log.connected and number not in (15, 40) else None
        if len(under_way) > 3:
            await under_way[-3].stored
    sequences = [await appending.stored for appending in under_way]
    await restart
    assert sequences == sorted(set(sequences))
    stored = [await log.get(sequence) for sequence in sequences]
    assert [entry.data for entry in stored if entry] == [b"%d" % number for number in range(60)]
    await log.close()


async def test_a_question_is_answered_by_all_who_are_there(log: Log) -> None:
    async def shout(question: bytes) -> bytes:
        return question.upper()

    async def count(question: bytes) -> bytes:
        return str(len(question)).encode()

    assert await log.ask("test", b"anyone?", within_s=10) == []
    async with asyncio.TaskGroup() as tasks:
        one = tasks.create_task(log.answers("test", shout))
        while await log.ask("test", b"there?", within_s=10, replies=1) != [b"THERE?"]:
            await asyncio.sleep(0.01)
        other = tasks.create_task(log.answers("test", count))
        while len(await log.ask("test", b"both?", within_s=10)) < 2:
            await asyncio.sleep(0.01)
        assert sorted(await log.ask("test", b"hello", within_s=10, replies=2)) == [b"5", b"HELLO"]
        assert sorted(await log.ask("test", b"hello", within_s=0.3, replies=3)) == [b"5", b"HELLO"]
        one.cancel()
        other.cancel()


async def test_a_question_at_a_log_that_is_gone_is_an_error(nats_server: NatsServer) -> None:
    closed = await Log.connect(nats_server.url)
    await closed.close()
    with pytest.raises(LogUnavailableError):
        await closed.ask("test", b"anyone?", within_s=1)
