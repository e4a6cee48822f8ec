"""A gateway for other people's clients, and those."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from allthings.gateway.listeners import Listener
from allthings.gateway.run import run_gateway
from allthings.log.stream import Log
from allthings.things.times import now_ns
from tests.interop.clients import KINDS, VERSIONS, Kind


@pytest.fixture(scope="package")
async def port(log: Log) -> AsyncIterator[int]:
    """One gateway for all of them, as it would be."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.setblocking(False)
        ready, stop = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(
            run_gateway(
                *(log, None, [Listener(listener)]),
                family="interop",
                now_ns=now_ns,
                disk=None,
                disk_reserve_bytes=0,
                ready=ready.set,
                stop=stop,
            )
        )
        async with asyncio.timeout(30):
            await ready.wait()
        yield listener.getsockname()[1]
        stop.set()
        async with asyncio.timeout(30):
            await running


@pytest.fixture(params=KINDS)
def publishing(request: pytest.FixtureRequest) -> Kind:
    """The make that publishes."""
    return KINDS[request.param]()


@pytest.fixture(params=KINDS)
def subscribing(request: pytest.FixtureRequest) -> Kind:
    """The make that subscribes."""
    return KINDS[request.param]()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Of MQTT."""
    return str(request.param)
