"""A gateway for other people's clients, and those."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from allthings.log.stream import Log
from tests.interop.clients import KINDS, VERSIONS, Kind
from tests.servers import serving


@pytest.fixture(scope="package")
async def port(log: Log) -> AsyncIterator[int]:
    """One gateway for all of them, as it would be."""
    async with serving(log, family="interop") as port:
        yield port


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
