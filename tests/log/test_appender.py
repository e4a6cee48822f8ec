"""Each block once and in order, whatever is lost on the way, and however late: the server remembers nothing here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from allthings.log import settings
from allthings.log.errors import LogTakenError
from allthings.log.stream import Log
from tests.log.relay import Relay
from tests.servers import NatsServer

#: The least that the server accepts.
_REMEMBERED_S = 0.1


class Scene:
    """One appender behind a bad connection, and one that looks on from elsewhere."""

    def __init__(self, relay: Relay, log: Log, direct: Log) -> None:
        self.relay = relay
        self.log = log
        self.direct = direct
        self.troubles: list[str] = []

    async def stored(self) -> list[bytes]:
        status = await self.direct.status()
        found = [await self.direct.get(sequence) for sequence in range(max(1, status.first), status.last + 1)]
        return [entry.data for entry in found if entry is not None]

    async def until_stored(self, count: int) -> None:
        async with asyncio.timeout(10):
            while (await self.direct.status()).last < count:
                await asyncio.sleep(0.01)

    async def lose_answers(self, count: int, sending: Callable[[], Awaitable[None]]) -> None:
        """What `sending` sends is stored, `count` blocks in all, but that is told only when nothing is remembered."""
        self.relay.deaf = True
        await sending()
        await self.until_stored(count)
        await asyncio.sleep(3 * _REMEMBERED_S)
        self.relay.cut()
        self.relay.deaf = False


@pytest.fixture
async def scene(own_nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(settings, "DEDUPLICATION_S", _REMEMBERED_S)
    monkeypatch.setattr(settings, "APPEND_TIMEOUT_S", 0.5)
    direct = await Log.connect(own_nats_server.url)
    async with Relay(own_nats_server.port).open() as relay:
        log = await Log.connect(relay.url)
        yield Scene(relay, log, direct)
        await log.close()
    await direct.close()


async def test_a_block_whose_answer_was_lost_for_long_is_stored_once(scene: Scene) -> None:
    sequence = 0

    async def upload() -> None:
        nonlocal sequence
        sequence = await scene.log.append_surely(b"b", "upload", on_trouble=scene.troubles.append)

    assert await scene.log.append_surely(b"a", "upload", on_trouble=scene.troubles.append) == 1
    async with asyncio.TaskGroup() as tasks:

        async def begin() -> None:
            tasks.create_task(upload())

        await scene.lose_answers(2, begin)
    assert sequence == 2
    assert scene.troubles
    assert await scene.log.append_surely(b"c", "upload", on_trouble=scene.troubles.append) == 3
    assert await scene.stored() == [b"a", b"b", b"c"]


@pytest.mark.parametrize("trimmed", [False, True])
async def test_two_blocks_whose_answers_were_lost_are_stored_once(scene: Scene, trimmed: bool) -> None:
    appender = scene.log.appender("gateway")
    await appender.take_over(b"0")
    first = appender.begin(b"1", on_trouble=scene.troubles.append)
    await first.stored
    under_way = []

    async def begin() -> None:
        under_way.extend(appender.begin(data, on_trouble=scene.troubles.append) for data in (b"2", b"3"))

    await scene.lose_answers(4, begin)
    if trimmed:
        assert await scene.direct.trim(2, 2**62, keep_age_s=1, keep_bytes=2**40) == 2
    assert [await each.stored for each in under_way] == [3, 4]
    assert await appender.begin(b"4", on_trouble=scene.troubles.append).stored == 5
    assert await scene.stored() == ([] if trimmed else [b"0", b"1"]) + [b"2", b"3", b"4"]


async def test_a_block_follows_when_all_before_it_was_trimmed_away(scene: Scene) -> None:
    appender = scene.log.appender("gateway")
    await appender.take_over(b"0")
    await scene.direct.append(b"other", "other")
    await scene.direct.trim(2, 2**62, keep_age_s=1, keep_bytes=2**40)
    assert await appender.begin(b"1", on_trouble=scene.troubles.append).stored == 3
    assert await appender.begin(b"2", on_trouble=scene.troubles.append).stored == 4
    assert not scene.troubles
    assert await scene.stored() == [b"1", b"2"]


async def test_a_block_that_the_log_lost_holds_nobody_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    appender = scene.log.appender("gateway")
    await appender.take_over(b"0")
    await appender.begin(b"1", on_trouble=scene.troubles.append).stored
    await scene.direct._js.delete_msg(settings.STREAM, 2)
    assert await appender.begin(b"2", on_trouble=scene.troubles.append).stored == 3
    assert "has lost block 2" in caplog.text


async def test_what_a_predecessor_still_has_on_its_way_is_not_stored(scene: Scene) -> None:
    old = scene.log.appender("gateway")
    await old.take_over(b"0")
    await old.begin(b"1", on_trouble=scene.troubles.append).stored
    scene.relay.late = True
    late = [old.begin(data, on_trouble=scene.troubles.append) for data in (b"late", b"later")]
    await asyncio.sleep(0)
    new = scene.direct.appender("gateway")
    await new.take_over(b"2")
    await new.begin(b"3", on_trouble=scene.troubles.append).stored
    scene.relay.hurry()
    for each in late:
        with pytest.raises(LogTakenError):
            await each.stored
    assert await new.begin(b"4", on_trouble=scene.troubles.append).stored == 5
    assert await scene.stored() == [b"0", b"1", b"2", b"3", b"4"]


async def test_who_gives_up_on_a_block_can_append_the_next_one(scene: Scene) -> None:
    scene.relay.late = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await scene.log.append_surely(b"given up", "upload", on_trouble=scene.troubles.append)
    scene.relay.hurry()
    await scene.log.append_surely(b"next", "upload", on_trouble=scene.troubles.append)
    stored = await scene.stored()
    assert stored.count(b"next") == 1
    assert stored.count(b"given up") <= 1


async def test_uploads_of_several_processes_do_not_wait_for_one_another(scene: Scene) -> None:
    logs = (scene.log, scene.direct)
    appending = [logs[number % 2].append_surely(b"%d" % number, "upload", on_trouble=print) for number in range(40)]
    assert sorted(await asyncio.gather(*appending)) == list(range(1, 41))
    assert sorted(await scene.stored(), key=int) == [b"%d" % number for number in range(40)]
    assert {entry.source for n in range(1, 41) if (entry := await scene.direct.get(n))} == {"upload"}


# nats-py does not close a connection that breaks while it is being made.
@pytest.mark.filterwarnings("ignore:.*StreamWriter:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seed", range(3))
async def test_all_is_stored_once_and_in_order_over_a_bad_connection(
    scene: Scene, own_nats_server: NatsServer, seed: int
) -> None:
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    appender = scene.log.appender("gateway")
    await appender.take_over(b"begin")
    under_way, uploads = [], []
    for number in range(60):
        under_way.append(appender.begin(b"%d" % number, on_trouble=scene.troubles.append))
        if chance.random() < 0.3:
            uploads.append(
                asyncio.create_task(
                    scene.log.append_surely(b"upload %d" % number, "upload", on_trouble=scene.troubles.append)
                )
            )
        event = chance.random()
        if event < 0.05:
            own_nats_server.kill()
            await loop.run_in_executor(None, own_nats_server.start)
        elif event < 0.15:
            scene.relay.deaf = True
            await asyncio.sleep(chance.random() * 0.3)
            scene.relay.cut()
            scene.relay.deaf = False
        elif event < 0.2:
            scene.relay.late = True
            await asyncio.sleep(chance.random() * 0.2)
            scene.relay.cut()
            scene.relay.hurry()
        if len(under_way) > 2:
            await under_way[-2].stored
    sequences = [await each.stored for each in under_way]
    assert sequences == sorted(set(sequences))
    await asyncio.gather(*uploads)
    stored = await scene.stored()
    assert [data for data in stored if data.isdigit()] == [b"%d" % number for number in range(60)]
    assert len({data for data in stored if data.startswith(b"upload")}) == len(uploads) == len(stored) - 61
