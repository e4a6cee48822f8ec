"""`/api/mqtt/topics`: the tree of topics that messages came on, level by level."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get
from litestar.params import QueryParameter

from allthings.gateway.questions import AskTopics, Key, TopicsAnswer, TopicShown, TopicSort
from allthings.things.errors import BadInputError
from allthings.things.times import format_time
from allthings.web import settings
from allthings.web.mqtt.asking import ask, page, payload_text, place
from allthings.web.openapi import describe
from allthings.web.services import Given

_NEWEST: Final = {
    "time": "2026-11-22T08:30:00Z",
    "payload": '{"pressure":231.5}',
    "payload_base64": None,
    "payload_bytes": 18,
    "qos": 1,
    "retained": False,
}
_LEVEL: Final[dict[str, Any]] = {
    "name": "properties",
    "topic": "things/pump-7/properties",
    "topics": 1,
    "children": 0,
    "messages": 4711,
    "rate": 1.2,
    "time": "2026-11-22T08:30:00Z",
    "newest": _NEWEST,
}


class Newest(msgspec.Struct):
    """The newest message on a topic, its payload cut to its first kilobyte.

    `payload_base64` is there when it is no UTF-8. `retained`: whether the topic has a retained message.
    """

    time: str
    payload: str
    payload_base64: str | None
    payload_bytes: int
    qos: int
    retained: bool


class Level(msgspec.Struct):
    """One level of the tree: what came on `topic` and below it since the gateway took notice of it.

    `children`: the levels right below it; `topics`: all topics from it on down. `rate`: messages a second over the last
    seconds. `newest` is null where no message came on this very topic.
    """

    name: str
    topic: str
    topics: int
    children: int
    messages: int
    rate: float
    time: str | None
    newest: Newest | None


class Levels(msgspec.Struct):
    """The levels below a prefix: `total` match. In the whole tree there are `topics`; `unlisted` found no room."""

    levels: list[Level]
    total: int
    topics: int
    unlisted: int
    next: str | None


@get(
    "/api/mqtt/topics",
    summary="The tree of topics",
    tags=["mqtt"],
    opt=describe(example={"levels": [_LEVEL], "total": 1, "topics": 12, "unlisted": 0, "next": None}),
)
async def list_topics(
    services: Given,
    prefix: Annotated[
        str, QueryParameter(max_length=4_096, description="Empty for the top, else levels, each with its slash: a/b/")
    ] = "",
    search: Annotated[
        str, QueryParameter(max_length=256, description="Instead of levels, all topics that have this in their names")
    ] = "",
    sort: Annotated[TopicSort, QueryParameter(description="What to sort by")] = "name",
    order: Annotated[Literal["asc", "desc"], QueryParameter(description="Which end comes first")] = "asc",
    limit: Annotated[int, QueryParameter(ge=1, le=settings.GATEWAY_PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str, QueryParameter(name="next", max_length=8_192)] = "",
) -> Levels:
    """The levels below `prefix`. Every message is counted while somebody asks, and for 30 s more.

    At other times busy gateways look only at a part of what they get. With `search` a `name` is all that follows the
    prefix.
    """
    if prefix and not prefix.endswith("/"):
        raise BadInputError("prefix: must be empty or end with a slash")
    descending = order == "desc"
    question = AskTopics(prefix, limit, search, sort, descending, place(next_))
    answers = await ask(services, question, TopicsAnswer)
    merged: dict[str, TopicShown] = {}
    for row in (row for answer in answers for row in answer.levels):
        merged[row.name] = _together(merged[row.name], row) if row.name in merged else row
    shown, more = page(list(merged.values()), lambda row: _key(row, sort), limit, descending=descending)
    return Levels(
        [_level(prefix, row) for row in shown],
        max(answer.total for answer in answers),
        max(answer.topics for answer in answers),
        sum(answer.unlisted for answer in answers),
        more,
    )


def _key(row: TopicShown, sort: TopicSort) -> Key:
    if sort == "messages":
        return float(row.messages), row.name
    return (row.rate, row.name) if sort == "rate" else (row.name, row.name)


def _together(one: TopicShown, other: TopicShown) -> TopicShown:
    """What two gateways know of a level."""
    newer, older = (one, other) if one.own_ns >= other.own_ns else (other, one)
    newer.messages += older.messages
    newer.rate += older.rate
    newer.topics = max(newer.topics, older.topics)
    newer.children = max(newer.children, older.children)
    newer.last_ns = max(newer.last_ns, older.last_ns)
    newer.retained = newer.retained or older.retained
    return newer


def _level(prefix: str, row: TopicShown) -> Level:
    newest = None
    if row.own_ns:
        text, base64 = payload_text(row.payload)
        newest = Newest(format_time(row.own_ns), text, base64, row.payload_bytes, row.qos, row.retained)
    return Level(
        name=row.name,
        topic=prefix + row.name,
        topics=row.topics,
        children=row.children,
        messages=row.messages,
        rate=round(row.rate, 2),
        time=format_time(row.last_ns) if row.last_ns else None,
        newest=newest,
    )


HANDLERS: Final[list[Any]] = [list_topics]
