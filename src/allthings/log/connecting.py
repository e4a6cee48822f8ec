"""How one connects to the log's server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats
import nats.errors

from allthings.log import settings
from allthings.log.errors import LogUnavailableError
from allthings.log.heeding import heed, heeding


def shown(url: str) -> str:
    """A URL without its secret."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


async def connected(url: str, on_reconnect: Callable[[], object]) -> nats.NATS:
    """A connection that is made anew for ever when it is lost; `on_reconnect` is called each time that it was.

    Raises LogUnavailableError when no server answers within a few seconds.
    """

    async def reconnected() -> None:
        on_reconnect()

    async def quiet(_error: Exception) -> None:
        """Errors of the connection reach callers through their calls; nats-py would print them."""
        heed()  # It connects in a loop of its own, where this is the only place that it calls.

    try:
        connection = nats.NATS()
        async with asyncio.timeout(settings.CONNECT_WITHIN_S):
            await heeding(
                connection.connect(
                    url,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.1,
                    connect_timeout=3,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    pending_size=2 * settings.BLOCK_BYTES_MAX,
                    reconnected_cb=reconnected,
                    error_cb=quiet,
                    allow_reconnect=True,
                )
            )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"no NATS server answers at {shown(url)}: {error!r}") from error
    return connection
