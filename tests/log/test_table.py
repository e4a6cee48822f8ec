"""Tables hold the last value of each key, also over a server that is killed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.log.table import key_of
from tests.servers import NatsServer


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_name_has_a_key_of_its_own(one: str, other: str) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)
    assert key_of(one).isalnum()
    assert len(key_of(one)) == 40


async def test_rows_are_the_last_values(log: Log) -> None:
    table = await log.table("test-rows")
    assert {key: value async for key, value in table.rows()} == {}
    for number in range(50):
        await table.put(key_of(str(number % 10)), b"%d" % number)
    await table.put("large", b"x" * 9_000_000)
    await table.put("empty", b"")
    await table.delete(key_of("3"))
    await table.delete("never-there")
    again = await log.table("test-rows")
    rows = {key: value async for key, value in again.rows()}
    assert rows == {
        **{key_of(str(number)): b"%d" % (40 + number) for number in range(10) if number != 3},
        "large": b"x" * 9_000_000,
        "empty": b"",
    }


async def test_tables_do_not_know_each_other(log: Log) -> None:
    one, other = await log.table("test-one"), await log.table("test-other")
    await one.put("a", b"1")
    assert [row async for row in other.rows()] == []
    assert [row async for row in one.rows()] == [("a", b"1")]


async def test_rows_outlive_a_killed_server_and_its_absence_is_told(own_nats_server: NatsServer) -> None:
    log = await Log.connect(own_nats_server.url)
    try:
        table = await log.table("test")
        for number in range(100):
            await table.put(f"k{number}", b"%d" % number)
        await table.delete("k0")
        own_nats_server.kill()
        with pytest.raises(LogUnavailableError):
            await table.put("lost", b"")
        own_nats_server.start()
        again = await Log.connect(own_nats_server.url)
        rows = {key: value async for key, value in (await again.table("test")).rows()}
        # What failed may be done all the same once the server is there again.
        assert {key: rows[key] for key in rows.keys() - {"lost"}} == {f"k{n}": b"%d" % n for n in range(1, 100)}
        await again.close()
    finally:
        await log.close()


async def test_one_large_row_is_not_taken_for_none(log: Log) -> None:
    """A watcher of nats-py says that there is nothing while the row is still on its way."""
    table = await log.table("test-large")
    value = bytes(9_000_000)
    await table.put("only", value)
    for _ in range(10):
        assert [(key, len(each)) async for key, each in table.rows()] == [("only", len(value))]
    await table.delete("only")


async def test_reading_leaves_nothing_behind_at_the_server(log: Log) -> None:
    table = await log.table("test-clean")
    for number in range(300):
        await table.put(f"k{number}", b"x")
        await table.delete(f"k{number}") if number % 2 else None
    assert len([row async for row in table.rows()]) == 150
    assert len([row async for row in table.rows()]) == 150
    state = (await log._js.stream_info("KV_allthings-table-test-clean")).state
    assert (state.consumer_count, state.messages) == (0, 150), "marks of deleted rows are swept away"


async def test_rows_that_change_while_they_are_read_are_there_once_at_least(log: Log) -> None:
    table = await log.table("test-busy")
    for number in range(600):
        await table.put(f"k{number}", b"old")
    seen: dict[str, bytes] = {}
    async for key, value in table.rows():
        seen[key] = value
        if len(seen) == 10:
            for number in range(500, 600):
                await table.put(f"k{number}", b"new")
            await table.delete("k499")
    assert seen.keys() | {"k499"} == {f"k{number}" for number in range(600)}


class Lossy:
    """JetStream of which a reader gets only so many rows of each consumer, whatever is said to be left."""

    def __init__(self, js: Any, sent: int) -> None:
        self._js = js
        self.left = sent
        self.consumers = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._js, name)

    async def pull_subscribe(self, *arguments: Any, **more: Any) -> Any:
        self.consumers += 1
        subscription = await self._js.pull_subscribe(*arguments, **more)
        fetch = subscription.fetch
        gave = 0

        async def some(count: int, **more: Any) -> Any:
            nonlocal gave
            gave += 1
            if gave > self.left:
                raise TimeoutError
            return await fetch(1, **more)

        subscription.fetch = some
        self.left += 1
        return subscription


@pytest.mark.parametrize("sent", [0, 2])
async def test_what_the_server_counts_but_does_not_send_is_asked_for_again(log: Log, sent: int) -> None:
    table = await log.table(f"test-stalled-{sent}")
    for number in range(4):
        await table.put(f"k{number}", b"x")
    lossy = Lossy(table._js, sent)
    table._js = lossy
    rows = [key async for key, _ in table.rows()]
    assert sorted(rows) == ["k0", "k1", "k2", "k3"]
    assert lossy.consumers > 1


async def test_rows_that_never_come_are_no_empty_table(log: Log) -> None:
    table = await log.table("test-never")
    await table.put("k", b"x")
    table._js = Lossy(table._js, -1000)
    with pytest.raises(LogUnavailableError, match="counts 1 more, and sends none"):
        [row async for row in table.rows()]
