"""Threads for calls that block."""

from __future__ import annotations

import asyncio
import threading

import pytest

from allthings.web.errors import BusyError
from allthings.web.pools import Pool
from tests.web.conftest import until


async def test_results_and_errors_come_back() -> None:
    pool = Pool("test", 1)
    assert await pool.run(lambda a, b: a + b, 1, b=2) == 3
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)
    pool.close()


async def test_waiting_calls_are_bounded() -> None:
    pool, release = Pool("test", 1, waiting_max=1), threading.Event()
    running = [asyncio.create_task(pool.run(release.wait)) for _ in range(2)]
    await until(lambda: pool._taken == 2)
    with pytest.raises(BusyError):
        await pool.run(int)
    release.set()
    await asyncio.gather(*running)
    assert await pool.run(int) == 0
    pool.close()


async def test_an_abandoned_call_keeps_its_place_until_it_ends() -> None:
    pool, release = Pool("test", 1, waiting_max=0), threading.Event()
    call = asyncio.create_task(pool.run(release.wait))
    await until(lambda: pool._taken == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(BusyError):
        await pool.run(int)
    release.set()
    await until(lambda: pool._taken == 0)
    pool.close()
