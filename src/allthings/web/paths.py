"""Paths as clients mean them, before routing.

An id of a thing is a URI and may hold slashes, which arrive percent-encoded (WoT Discovery section 7.3.1). ASGI's
`path` is decoded already and cannot tell `%2F` from `/`; so the path is decoded here from `raw_path`, with a control
character in the place of each encoded slash.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote, unquote

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

_SLASH: Final = "\x1f"
_ENCODED_SLASH: Final = re.compile(rb"%2[fF]")


def reference(segment: str) -> str:
    """A path segment as a handler gets it, with its encoded slashes back."""
    return segment.replace(_SLASH, "/")


def thing_path(thing_id: str) -> str:
    """Where a thing's description is: `/things/{id}`, encoded."""
    return "/things/" + quote(thing_id, safe=":")


class Paths:
    """ASGI: keep encoded slashes apart, and answer HEAD wherever GET is answered (WoT Discovery section 7.3)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        inner: Any = dict(scope)
        raw: bytes = inner.get("raw_path") or b""
        if _ENCODED_SLASH.search(raw):
            kept = _ENCODED_SLASH.sub(b"%1F", raw.split(b"?", 1)[0])
            inner["path"] = unquote(kept.decode("ascii", "replace"))
        if inner["method"] == "HEAD":
            inner["method"] = "GET"
            head = _Head(receive, send)
            receive, send = head.receive, head.send
        await self._app(inner, receive, send)


class _Head:
    """Sends the head of an answer and nothing else; a stream is told that its reader has gone."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._started = False

    async def receive(self) -> Any:
        if self._started:
            return {"type": "http.disconnect"}
        return await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            self._started = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
