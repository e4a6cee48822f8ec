"""`/api/live`: new values as server-sent events (WHATWG HTML section 9.2)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, cast

from litestar import Request, get
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import Stream

from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.things.errors import UnauthorizedError
from allthings.twin.live import Update
from allthings.twin.resume import follow
from allthings.web import settings
from allthings.web.auth import Identities
from allthings.web.errors import BusyError
from allthings.web.names import PropertyParameters, ThingParameters, property_names, thing_names
from allthings.web.openapi import describe
from allthings.web.services import Given

_log = logging.getLogger("allthings.web")
_KEEP_ALIVE = b": still here\n\n"
#: No log is so long. What is no id of an event is like one of a log that is gone: nobody knows what was missed.
_NEVER_GIVEN = (1 << 64) - 1
_EXAMPLE = (
    "id: 4947802324992\nevent: values\n"
    'data: {"values":[{"thing":"pump-7","property":"pressure","value":231.5,"time":"2026-11-22T08:30:00Z",'
    '"received":"2026-11-22T08:30:00.021Z","quality":"good"}]}\n\n'
)


class LiveStreams:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self.open = 0

    def check(self) -> None:
        """Raises BusyError when there are too many."""
        if self.open >= settings.LIVE_STREAMS_MAX:
            raise BusyError(f"{self.open} live streams are open; close one, or try again", retry_after_s=5)


@get(
    "/api/live",
    summary="New values as they arrive",
    tags=["live"],
    opt=describe(answers={200: ("Server-sent events", {"text/event-stream": _EXAMPLE})}),
)
async def live(
    request: Request[Any, Any, Any],
    services: Given,
    thing: ThingParameters = None,
    property_: PropertyParameters = None,
    last_event_id: Annotated[
        str | None, HeaderParameter(name="Last-Event-ID", description="Go on after this event")
    ] = None,
    after: Annotated[
        str | None, QueryParameter(description="As Last-Event-ID, for clients that set no headers")
    ] = None,
) -> Stream:
    """Events `values`, each with the values of a few milliseconds; its id is where to go on after a break.

    An event `gap` says that values are missing before the next one, since the reader was too slow, came back too late,
    or gave an id that no event of this log had; the history has them. Ids only grow. A comment is sent every 15
    seconds when nothing else is.
    """
    things, properties = await thing_names(services, thing), property_names(property_)
    # A client that loses its connection before the first event still knows where it was.
    now = block.position(services.twin.sequence + 1, 0) - 1
    given = last_event_id or after
    place = _position(given) if given else now
    streams: LiveStreams = request.app.state.live
    streams.check()
    updates = cast(
        AsyncGenerator[Update, None],
        follow(services.twin, services.log, services.decoder, things, properties, after=place),
    )
    # Ids only grow: where the client stands may be ahead of us, or no place at all.
    opening = b"retry: 2000\nid: %d\n\n" % place if place <= now else b"retry: 2000\n\n"
    events = _events(request, updates, streams, opening)
    return Stream(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(
    request: Request[Any, Any, Any], updates: AsyncGenerator[Update, None], streams: LiveStreams, opening: bytes
) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[Update | None] = asyncio.Queue(settings.LIVE_UPDATES_WAITING_MAX)
    # A task of its own, so that its clean-up is not cut short when the request is cancelled.
    reader = asyncio.create_task(_read(updates, queue), name="live stream")
    streams.open += 1
    try:
        yield opening
        ahead: Update | None = None
        while True:
            try:
                async with asyncio.timeout(settings.LIVE_KEEPALIVE_S):
                    first = ahead or await queue.get()
            except TimeoutError:
                yield _KEEP_ALIVE
                if not await _still_allowed(request, request.app.state.identities):
                    return
                continue
            if first is None:
                return
            gathered, ahead = _gather(first, queue)
            yield _event(gathered)
    finally:
        streams.open -= 1
        reader.cancel()


async def _read(updates: AsyncGenerator[Update, None], queue: asyncio.Queue[Update | None]) -> None:
    try:
        async with aclosing(updates):
            async for update in updates:
                await queue.put(update)
    except LogUnavailableError as error:
        # The stream ends; the client comes back with the id of its last event.
        _log.warning("a live stream ends: %s", error.detail)
    await queue.put(None)


def _gather(first: Update, queue: asyncio.Queue[Update | None]) -> tuple[list[Update], Update | None]:
    """What is there already, as one event; and the update that belongs to the next one.

    A single update has the values of some milliseconds; there are several for who was away or is slow.
    """
    gathered, count = [first], first.count
    while count < settings.LIVE_EVENT_VALUES_MAX and not queue.empty():
        update = queue.get_nowait()
        if update is None:
            queue.put_nowait(None)  # the end comes after these
            return gathered, None
        if update.gap:
            return gathered, update
        gathered.append(update)
        count += update.count
    return gathered, None


async def _still_allowed(request: Request[Any, Any, Any], identities: Identities) -> bool:
    """A stream outlives its request's check: ask again from time to time."""
    try:
        await identities.of(request.headers, request.cookies)
    except UnauthorizedError:
        return False
    return True


def _event(updates: list[Update]) -> bytes:
    position = updates[-1].position
    head = b'event: gap\ndata: {"before":"%d"}\n\n' % updates[0].position if updates[0].gap else b""
    filled = [update for update in updates if update.count]
    if not filled:
        return b"id: %d\n%b" % (position, head)
    body = filled[0].json if len(filled) == 1 else b",".join(update.json for update in filled)
    return b'%bid: %d\nevent: values\ndata: {"values":[%b]}\n\n' % (head, position, body)


def _position(text: str) -> int:
    text = text.strip()
    return min(int(text), _NEVER_GIVEN) if text.isascii() and text.isdecimal() and len(text) < 32 else _NEVER_GIVEN


HANDLERS = [live]
