"""Connections are looked at when they are due, and forgotten when they end."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import cast

import pytest

from allthings.gateway.connection import Connection
from allthings.gateway.deadlines import Deadlines
from allthings.gateway.vigil import Vigil


class Silent:
    """As much of a connection as is needed here."""

    slot = 0


def silent() -> Connection:
    return cast(Connection, Silent())


class Watch:
    """A vigil, and in which order connections were due."""

    def __init__(self) -> None:
        self.deadlines = Deadlines(asyncio.get_running_loop())
        self.due: asyncio.Queue[Connection] = asyncio.Queue()
        self.vigil = Vigil(self.deadlines, self.due.put_nowait)

    async def next(self) -> Connection:
        async with asyncio.timeout(5):
            return await self.due.get()


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    made = Watch()
    yield made
    made.deadlines.close()


async def test_each_is_looked_at_when_it_is_due(watch: Watch) -> None:
    now = asyncio.get_running_loop().time()
    late, early, overdue = silent(), silent(), silent()
    watch.vigil.look(late, now + 0.6)
    watch.vigil.look(early, now + 0.2)
    watch.vigil.look(overdue, now - 5)
    assert [await watch.next() for _ in range(3)] == [overdue, early, late]
    assert 0.6 <= asyncio.get_running_loop().time() - now < 5


async def test_a_later_look_takes_the_place_of_the_one_before(watch: Watch) -> None:
    now = asyncio.get_running_loop().time()
    one, other = silent(), silent()
    watch.vigil.look(one, now + 0.1)
    watch.vigil.look(one, now + 0.7)
    watch.vigil.look(other, now + 0.3)
    assert [await watch.next(), await watch.next()] == [other, one]
    assert watch.due.empty()


async def test_who_is_looked_at_may_be_looked_at_again(watch: Watch) -> None:
    one = silent()
    watch.vigil.look(one, asyncio.get_running_loop().time())
    assert await watch.next() is one
    watch.vigil.look(one, asyncio.get_running_loop().time())
    assert await watch.next() is one


async def test_who_is_forgotten_is_not_looked_at_nor_kept(watch: Watch) -> None:
    now = asyncio.get_running_loop().time()
    gone, there = silent(), silent()
    watch.vigil.look(gone, now + 0.1)
    watch.vigil.look(there, now + 0.1)
    watch.vigil.forget(gone)
    watch.vigil.forget(silent())  # one that was never looked at
    kept = weakref.ref(gone)
    del gone
    gc.collect()
    assert kept() is None
    assert await watch.next() is there
    assert watch.due.empty()
