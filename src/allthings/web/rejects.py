"""`/api/rejects`: messages that could not be used, and their replay once the cause is mended."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from allthings.readings.decoded import Reject
from allthings.readings.replay import replay_block
from allthings.things.times import format_time
from allthings.web import settings
from allthings.web.openapi import describe
from allthings.web.services import Given, Services
from allthings.web.values import dumps

#: A list shows the beginning of each payload; one reject alone is shown whole.
_SHOWN_BYTES_MAX: Final = 4_096
#: A replay is appended in blocks of about this size.
_BLOCK_BYTES: Final = 4 << 20
_PAGE: Final = 100
_SOURCE: Final = "replay"
_EXAMPLE: Final = {
    "id": "1048577",
    "time": "2026-11-22T08:30:00Z",
    "client": "pump-7",
    "topic": "things/pump-7/properties",
    "reason": "pressure: 'high' is no number",
    "payload": '{"pressure":"high"}',
    "payload_bytes": 19,
}

RejectId = Annotated[str, PathParameter(pattern="^[0-9]{1,20}$", description="A reject's id")]


class Match(msgspec.Struct, forbid_unknown_fields=True):
    """Which rejects: those of exactly this reason or topic; all when both are left out."""

    reason: Annotated[str, msgspec.Meta(max_length=4_096)] | None = None
    topic: Annotated[str, msgspec.Meta(max_length=4_096)] | None = None


@get(
    "/api/rejects",
    summary="Rejects, newest first",
    tags=["readings"],
    opt=describe(answers={200: ("A page", {"application/json": {"rejects": [_EXAMPLE], "next": None, "total": 1}})}),
)
async def list_rejects(
    services: Given,
    limit: Annotated[int, QueryParameter(ge=1, le=settings.PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str | None, QueryParameter(name="next", max_length=64)] = None,
    reason: Annotated[str | None, QueryParameter(max_length=4_096, description="Only those of this reason")] = None,
    topic: Annotated[str | None, QueryParameter(max_length=4_096, description="Only those on this topic")] = None,
) -> Response[bytes]:
    """What devices sent and could not be used, with the reason. Long payloads are cut; one reject alone is whole."""

    def ask() -> bytes:
        page = services.history.rejects(limit, next_, topic=topic, reason=reason)
        shown = [_shown(one, _SHOWN_BYTES_MAX) for one in page.items]
        total = services.history.count_rejects(topic=topic, reason=reason)
        return dumps({"rejects": shown, "next": page.next, "total": total})

    return Response(await services.pools.history.run(ask), media_type="application/json")


@get(
    "/api/rejects/{reject_id:str}",
    summary="One reject",
    tags=["readings"],
    opt=describe(answers={200: ("The reject with its whole payload", {"application/json": _EXAMPLE})}),
)
async def get_reject(reject_id: RejectId, services: Given) -> Response[bytes]:
    """`payload_base64` is there when the payload is no UTF-8."""
    reject = await services.pools.history.run(services.history.reject, int(reject_id))
    return Response(dumps(_shown(reject, len(reject.payload))), media_type="application/json")


@post(
    "/api/rejects/{reject_id:str}/replay",
    status_code=200,
    summary="Replay one reject",
    tags=["readings"],
    opt=describe(answers={200: ("It was appended again", {"application/json": {"replayed": 1}})}),
)
async def replay_reject(reject_id: RejectId, services: Given) -> Response[bytes]:
    """Append the message again, with its own times. If it fails again, it stays in the list under its id."""
    reject = await services.pools.history.run(services.history.reject, int(reject_id))
    await services.require_room()
    await services.log.append_batch(replay_block([reject]), _SOURCE)
    return Response(dumps({"replayed": 1}), media_type="application/json")


@post(
    "/api/rejects/replay",
    status_code=200,
    summary="Replay many rejects",
    tags=["readings"],
    opt=describe(
        answers={200: ("How many were appended again", {"application/json": {"replayed": 12, "more": False}})},
        request_example={"topic": "things/pump-7/properties"},
    ),
)
async def replay_rejects(services: Given, data: JSONBody[Match | None] = None) -> Response[bytes]:
    """All that match, at most 10,000 at once; `more` tells that there were more."""
    found, more = await services.pools.history.run(_matching, services, data or Match())
    for rejects in _blocks(found):
        await services.require_room()
        await services.log.append_batch(replay_block(rejects), _SOURCE)
    return Response(dumps({"replayed": len(found), "more": more}), media_type="application/json")


def _matching(services: Services, match: Match) -> tuple[list[Reject], bool]:
    """Oldest first, so that they are appended in their order; and whether there are more."""
    found: list[Reject] = []
    size = 0
    after: str | None = None
    while True:
        page = services.history.rejects(_PAGE, after, topic=match.topic, reason=match.reason)
        found += page.items
        size += sum(len(one.payload) for one in page.items)
        after = page.next
        if after is None or len(found) >= settings.REPLAY_MAX or size >= settings.REPLAY_BYTES_MAX:
            return sorted(found, key=lambda one: one.position), after is not None


def _blocks(rejects: list[Reject]) -> Iterator[list[Reject]]:
    block: list[Reject] = []
    size = 0
    for reject in rejects:
        if block and size + len(reject.payload) > _BLOCK_BYTES:
            yield block
            block, size = [], 0
        block.append(reject)
        size += len(reject.payload)
    if block:
        yield block


def _shown(reject: Reject, bytes_max: int) -> dict[str, Any]:
    payload = reject.payload[:bytes_max]
    shown: dict[str, Any] = {
        "id": str(reject.position),
        "time": format_time(reject.received_ns),
        "client": reject.client,
        "topic": reject.topic,
        "reason": reject.reason,
        "payload": payload.decode("utf-8", "replace"),
        "payload_bytes": len(reject.payload),
    }
    try:
        # A cut in the middle of a character is no fault of the payload.
        reject.payload.decode()
    except UnicodeDecodeError:
        shown["payload_base64"] = base64.b64encode(payload).decode()
    return shown


HANDLERS = [list_rejects, get_reject, replay_reject, replay_rejects]
