"""`/api/mqtt/retained`: the message that each topic keeps for those who subscribe later, and clearing one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
import pyarrow as pa
from litestar import Request, delete, get
from litestar.params import QueryParameter

from allthings.gateway.questions import AskRetained, RetainedAnswer, RetainedShown
from allthings.log import block
from allthings.mqtt.errors import MqttError
from allthings.mqtt.filters import check_topic_filter, check_topic_name
from allthings.things.errors import BadInputError, NotFoundError
from allthings.things.times import format_time
from allthings.web import audit, settings
from allthings.web.auth import Identity
from allthings.web.mqtt.asking import ask, payload_text
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_SOURCE: Final = "web"
#: Gateways hear of a message through the log: so often, and so long, they are asked whether they have.
_GONE_EVERY_S: Final = 0.05
_GONE_TRIES: Final = 20
_EXAMPLE: Final[dict[str, Any]] = {
    "topic": "things/pump-7/desired",
    "payload": '{"speed":1200}',
    "payload_base64": None,
    "payload_bytes": 14,
    "qos": 1,
    "time": "2026-11-22T08:30:00Z",
    "expires": None,
}


class Retained(msgspec.Struct):
    """A retained message, its payload cut to its first 4 kB. `payload_base64` is there when it is no UTF-8."""

    topic: str
    payload: str
    payload_base64: str | None
    payload_bytes: int
    qos: int
    time: str
    expires: str | None


class RetainedPage(msgspec.Struct):
    """Messages by topic; `total` match."""

    messages: list[Retained]
    total: int
    next: str | None


@get(
    "/api/mqtt/retained",
    summary="Retained messages",
    tags=["mqtt"],
    opt=describe(example={"messages": [_EXAMPLE], "total": 1, "next": None}),
)
async def list_retained(
    services: Given,
    filter_: Annotated[
        str, QueryParameter(name="filter", min_length=1, max_length=4_096, description="A topic filter: + and #")
    ] = "#",
    limit: Annotated[int, QueryParameter(ge=1, le=settings.GATEWAY_PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str, QueryParameter(name="next", max_length=4_096)] = "",
) -> RetainedPage:
    """Those whose topics match, by topic; `$SYS` topics are not among them."""
    try:
        check_topic_filter(filter_)
    except MqttError as error:
        raise BadInputError(f"filter: {error}") from None
    answers = await ask(services, AskRetained(filter_, limit, next_), RetainedAnswer)
    newest: dict[str, RetainedShown] = {}
    for row in (row for answer in answers for row in answer.messages):
        if row.topic not in newest or newest[row.topic].position < row.position:
            newest[row.topic] = row
    rows = [newest[topic] for topic in sorted(newest)]
    more = rows[limit - 1].topic if len(rows) > limit else None
    return RetainedPage([_shown(row) for row in rows[:limit]], max(answer.total for answer in answers), more)


@delete("/api/mqtt/retained", summary="Clear a retained message", tags=["mqtt"], opt=describe())
async def clear_retained(
    request: Request[Identity, None, Any],
    services: Given,
    topic: Annotated[str, QueryParameter(min_length=1, max_length=4_096, description="The topic, without wildcards")],
) -> None:
    """As a client does: by an empty retained message [MQTT-3.3.1-6]. Those who are subscribed get it."""
    try:
        check_topic_name(topic)
    except MqttError as error:
        raise BadInputError(f"topic: {error}") from None
    if not await _there(services, topic):
        raise NotFoundError(f"no message is retained on {topic[:128]!r}")
    await services.require_room()
    await services.log.append_batch(_empty(topic, services.clock()), _SOURCE)
    await audit.changed(request, services, "retained-cleared", topic)
    for _ in range(_GONE_TRIES):
        if not await _there(services, topic):
            break
        await asyncio.sleep(_GONE_EVERY_S)


async def _there(services: Services, topic: str) -> bool:
    return any(answer.total for answer in await ask(services, AskRetained(topic, 1), RetainedAnswer))


def _empty(topic: str, now_ns: int) -> pa.RecordBatch:
    """A block of one empty retained message of QoS 1."""
    return pa.RecordBatch.from_arrays(
        [
            pa.array([now_ns], block.MESSAGES.field("received").type),
            pa.array([topic]),
            pa.array([b""], pa.binary()),
            pa.array([""]).dictionary_encode(),
            pa.array([1 | block.FLAG_RETAIN], pa.uint8()),
            pa.array([None], pa.binary()),
        ],
        schema=block.MESSAGES,
    )


def _shown(row: RetainedShown) -> Retained:
    text, base64 = payload_text(row.payload)
    return Retained(
        topic=row.topic,
        payload=text,
        payload_base64=base64,
        payload_bytes=row.payload_bytes,
        qos=row.qos,
        time=format_time(row.received_ns),
        expires=format_time(row.expires_ns) if row.expires_ns else None,
    )


HANDLERS: Final[list[Any]] = [list_retained, clear_retained]
