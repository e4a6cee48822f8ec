"""Large answers on their way: in pieces, counted while they hold memory, and none of them for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, cast

from litestar import Request
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from allthings.web import settings
from allthings.web.pools import Pools
from allthings.web.streams import streamed

_LOGGER = logging.getLogger(__name__)


async def sent(pools: Pools, pieces: Iterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """The pieces of an answer that holds so many bytes until the last one has left."""
    with pools.held.holding(size):
        async with aclosing(streamed(pools.answers, pieces)) as made:
            async for piece in made:
                yield piece


def cut(body: bytes) -> Iterator[bytes]:
    """A body in pieces."""
    for start in range(0, len(body), settings.CHUNK_BYTES):
        yield body[start : start + settings.CHUNK_BYTES]


class Patient(Stream):
    """A stream whose client has to take something now and then; else it is treated as one that went away.

    However it ends, the generator is closed, so that it holds nothing any more.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None], media_type: str, headers: dict[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._pieces = pieces

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **given: Any) -> ASGIResponse:
        """The stream with its time limit."""
        return cast(ASGIResponse, _patient(super().to_asgi_response(app, request, **given), self._pieces))


def _patient(app: ASGIApp, pieces: AsyncGenerator[bytes, None]) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        lost = asyncio.Event()

        async def send_while_taken(message: Message) -> None:
            given_up = asyncio.get_running_loop().call_later(settings.TAKE_S_MAX, lost.set)
            try:
                await send(message)
            finally:
                given_up.cancel()

        async def receive_or_lost() -> Any:
            received, given_up = asyncio.ensure_future(receive()), asyncio.ensure_future(lost.wait())
            try:
                await asyncio.wait([received, given_up], return_when=asyncio.FIRST_COMPLETED)
                if received.done():
                    return received.result()
                _LOGGER.info("a client took nothing of its answer for %g s; it is cut off", settings.TAKE_S_MAX)
                return {"type": "http.disconnect"}
            finally:
                received.cancel()
                given_up.cancel()

        async with aclosing(pieces):
            await app(scope, receive_or_lost, send_while_taken)

    return answer
