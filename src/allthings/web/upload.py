"""`POST /api/readings`: many readings at once, durable when answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from litestar import Request, post

from allthings.log import block
from allthings.log.errors import LogUnavailableError
from allthings.readings.model import Model
from allthings.readings.upload import MEDIA_TYPES, parse_upload, split
from allthings.web import settings
from allthings.web.bodies import content_type, read_body
from allthings.web.errors import BusyError
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_SOURCE: Final = "upload"
_RETRY_AFTER_S: Final = 2


class RejectedRow(msgspec.Struct):
    """A row that was not taken; rows count from 1."""

    row: int
    reason: str


class Accepted(msgspec.Struct):
    """What became of an upload. `position` is the place in the log up to which to wait to see it; when no row was
    taken, the newest that is known."""

    accepted: int
    rejected: list[RejectedRow]
    rejected_total: int
    position: str


class Uploads:
    """Lets a few uploads in at once, since each is held in memory."""

    def __init__(self) -> None:
        self._under_way = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises BusyError when all places are taken."""
        if self._under_way >= settings.UPLOADS_MAX:
            raise BusyError(
                f"{self._under_way} uploads are under way; send this one again in {_RETRY_AFTER_S} s",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


_ROW: Final = '{"thing":"pump-7","property":"pressure","time":"2026-11-22T08:30:00Z","value":231.5}\n'
_EXAMPLE: Final = {
    "accepted": 2,
    "rejected": [{"row": 3, "reason": "pressure: 'high' is no number"}],
    "rejected_total": 1,
    "position": "4947802324993",
}


@post(
    "/api/readings",
    status_code=200,
    request_max_body_size=settings.UPLOAD_BYTES_MAX,
    summary="Upload readings",
    tags=["readings"],
    opt=describe(
        request={
            "application/x-ndjson": _ROW,
            "application/json": [{"thing": "pump-7", "time": "2026-11-22T08:30:00Z", "values": {"pressure": 231.5}}],
            "text/csv": "thing,property,time,value\npump-7,pressure,2026-11-22T08:30:00Z,231.5\n",
            "application/vnd.apache.arrow.stream": None,
            "application/vnd.apache.parquet": None,
        },
        example=_EXAMPLE,
    ),
)
async def upload(request: Request[Any, Any, Any], services: Given) -> Accepted:
    """Readings with thing, property, time and value. They are on disk when this answers, and queryable soon after.

    Rows that cannot be used are listed (the first hundred) and counted; the others are taken. A few uploads are
    served at once; another one is told to come back (503 with Retry-After). While the disk is nearly full, nothing is
    taken (507).
    """
    kind = content_type(request, MEDIA_TYPES, "application/x-ndjson")
    uploads: Uploads = request.app.state.uploads
    with uploads.place():
        await services.require_room()
        body = await read_body(request, settings.UPLOAD_BODY_S_MAX)
        parsed = await services.pools.uploads.run(_parse, services, body, kind)
        position = block.position(services.twin.sequence + 1, 0) - 1
        for batch in split(parsed.readings):
            await services.require_room()
            position = block.position(await append(services, batch), batch.num_rows - 1)
    listed = parsed.errors[: settings.UPLOAD_REJECTED_LISTED_MAX]
    return Accepted(
        accepted=parsed.readings.num_rows,
        rejected=[RejectedRow(error.row, error.reason) for error in listed],
        rejected_total=parsed.refused,
        position=str(position),
    )


def _parse(services: Services, body: bytes, kind: str) -> Any:
    return parse_upload(body, kind, services.clock(), Model(services.registry.things.all_types()))


async def append(services: Services, batch: Any) -> int:
    """Append one block, again for a while when the log does not answer; it is stored once."""
    data = await services.pools.uploads.run(block.encode, batch)
    troubles: list[str] = []
    try:
        async with asyncio.timeout(settings.UPLOAD_APPEND_S_MAX):
            return await services.log.append_surely(data, _SOURCE, on_trouble=troubles.append)
    except TimeoutError:
        why = troubles[-1] if troubles else "it does not answer"
        raise LogUnavailableError(
            f"the log did not take the upload ({why}); send it again: a reading with the same time replaces itself"
        ) from None


HANDLERS = [upload]
