"""Tables hold the last value of each key, also over a server that is killed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.log.errors import LogUnavailableError
from allthings.log.stream import Log
from allthings.log.table import key_of
from tests.conftest import NatsServer


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
        with pytest.raises(LogUnavailableError):
            await table.delete("k1")
        own_nats_server.start()
        again = await Log.connect(own_nats_server.url)
        rows = {key: value async for key, value in (await again.table("test")).rows()}
        # What failed may be done all the same once the server is there again.
        assert {key: rows[key] for key in rows.keys() - {"lost", "k1"}} == {f"k{n}": b"%d" % n for n in range(2, 100)}
        await again.close()
    finally:
        await log.close()
