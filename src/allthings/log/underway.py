"""Writes that the log's server has not answered yet.

A stream of nats-server that could not write or sync once does not answer an append any more until the server is
started anew, while everything else goes on. Who writes notices that here, and whoever can help is told
(`log.probe.Suspicion`). When the connection was made anew, what was under way will never be answered: it ends at once,
so that it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats.errors
import nats.js.errors

from allthings.log import settings

#: JetStream's error codes for a last block that is not the expected one: an answer like any other.
WRONG_LAST_CODES = frozenset({10070, 10071})


class Underway:
    """The writes of one connection."""

    def __init__(self) -> None:
        self._since: dict[asyncio.Timeout, float] = {}
        self._refused = ""
        self._time = asyncio.get_running_loop().time

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Around one write and its answer. Raises TimeoutError when the connection was made anew meanwhile."""
        async with asyncio.timeout(None) as limit:
            self._since[limit] = self._time()
            try:
                yield
            except nats.js.errors.APIError as error:
                if error.err_code not in WRONG_LAST_CODES:
                    self._refused = error.description or repr(error)
                raise
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
                self._refused = repr(error)
                raise
            finally:
                del self._since[limit]

    def interrupt(self) -> None:
        """The connection was made anew."""
        for limit in self._since:
            limit.reschedule(self._time())

    def take_trouble(self) -> str:
        """Why it seems that writes fail: one was refused since this was asked last, or waits for long; else ""."""
        refused, self._refused = self._refused, ""
        waits_s = self._time() - min(self._since.values(), default=self._time())
        if waits_s > settings.SUSPICIOUS_S:
            return f"a write has not been answered for {waits_s:.1f} s"
        return refused
