"""Whoever asks: in whose name a request counts, and whether there is still somebody who waits for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar import Request

from allthings.web.auth import ANYONE, Identity
from allthings.web.errors import ClientGoneError

R = TypeVar("R")


def asker(request: Request[Any, Any, Any]) -> str:
    """The user; without authentication the address that the request came from."""
    identity: Identity = request.user
    if identity != ANYONE:
        return f"user {identity.user}"
    return f"address {request.client.host if request.client else ''}"


async def unless_gone(request: Request[Any, Any, Any], call: Coroutine[Any, Any, R]) -> R:
    """The call's result; the call is cancelled when the client goes away before. Raises ClientGoneError then."""
    answering = asyncio.create_task(call)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGoneError("the client went away before there was an answer")
        return answering.result()
    finally:
        # Both are awaited: none may take a message or a thread behind our back.
        for task in (answering, gone):
            task.cancel()
        await asyncio.wait([answering, gone])


async def _gone(request: Request[Any, Any, Any]) -> None:
    """Until the client has closed the connection. The request's body has been read, or it has none."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
