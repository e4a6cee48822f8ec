"""`/api/things`: things as people look through them; adding one by its name, and adopting one."""

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from allthings.things.errors import BadInputError
from allthings.things.names import THING_NAME_MAX
from allthings.things.times import format_time
from allthings.twin.values import Quality
from allthings.web import settings
from allthings.web.catalogue import Item, Snapshot
from allthings.web.names import ThingPath
from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given, Services

Sort = Literal["title", "name", "seen", "created"]
#: Where a thing stands in a list.
Place = tuple[Any, str]


class Main(msgspec.Struct, omit_defaults=True):
    """The newest value of the property that stands for the thing. `titles` are those of the description, `quality` is
    that of the value."""

    property: str
    title: str
    unit: str
    value: Any
    time: str
    quality: Quality
    titles: dict[str, str] = {}


class ThingRow(msgspec.Struct, omit_defaults=True):
    """A thing in the list. `seen` is when it was last heard of; `titles` are those of the description, by language."""

    thing: str
    id: str
    title: str
    type: tuple[str, ...]
    state: str
    online: bool
    seen: str | None
    properties: int
    main: Main | None
    titles: dict[str, str] = {}


class ThingPage(msgspec.Struct):
    """A page; `total` counts all that match."""

    things: list[ThingRow]
    total: int
    next: str | None


class NewThing(msgspec.Struct, forbid_unknown_fields=True):
    """A thing of which nothing more is known yet. The title is its name when none is given."""

    thing: Annotated[str, msgspec.Meta(min_length=1, max_length=THING_NAME_MAX)]
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


class Adoption(msgspec.Struct, forbid_unknown_fields=True):
    """The title that the person who adopts gives."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


_ROW: Final = {
    "thing": "pump-7",
    "id": "urn:allthings:pump-7",
    "title": "Pump 7",
    "type": [],
    "state": "discovered",
    "online": True,
    "seen": "2026-11-22T08:30:00.021Z",
    "properties": 3,
    "main": {
        "property": "pressure",
        "title": "Pressure",
        "unit": "kPa",
        "value": 231.5,
        "time": "2026-11-22T08:30:00Z",
        "quality": "good",
    },
}


@get(
    "/api/things",
    summary="Things with their state",
    tags=["things"],
    opt=describe(example={"things": [_ROW], "total": 1, "next": None}),
)
async def list_things(
    request: Request[Any, Any, Any],
    services: Given,
    search: Annotated[str, QueryParameter(max_length=256, description="Words in name, id, title, type")] = "",
    state_: Annotated[
        Literal["adopted", "discovered"] | None, QueryParameter(name="state", description="Only these")
    ] = None,
    online: Annotated[bool | None, QueryParameter(description="Only those heard of lately, or not")] = None,
    sort: FromQuery[Sort] = "title",
    order: FromQuery[Literal["asc", "desc"]] = "asc",
    limit: Annotated[int, QueryParameter(ge=1, le=settings.PAGE_MAX)] = settings.PAGE_DEFAULT,
    next_: Annotated[str | None, QueryParameter(name="next", max_length=2_048)] = None,
) -> ThingPage:
    """For people: searched, filtered, sorted, with online state and main value. For programs there is `/things`."""
    snapshot = await request.app.state.catalogue.snapshot()
    seen = services.twin.last_received() if sort == "seen" else {}
    online_things = services.twin.online_things() if online is not None else set()
    words = search.casefold().split()

    def matches(item: Item) -> bool:
        return (
            (state_ is None or item.state == state_)
            and (online is None or (item.name in online_things) is online)
            and all(word in item.search for word in words)
        )

    key = _key(sort, seen)
    choose, pool = _choose, services.pools.encode
    chosen, total = await pool.run(choose, snapshot, matches, key, order == "desc", limit + 1, _place(next_))
    more = len(chosen) > limit
    chosen = chosen[:limit]
    return ThingPage(_rows(services, chosen), total, _token(key(chosen[-1])) if more else None)


def _choose(
    snapshot: Snapshot,
    matches: Callable[[Item], bool],
    key: Callable[[Item], Place],
    descending: bool,
    count: int,
    after: Place | None,
) -> tuple[list[Item], int]:
    """The first so many that match and come after a place, and how many match."""
    found = list(filter(matches, snapshot.items.values()))
    total = len(found)
    if after is not None:
        try:
            found = [item for item in found if (key(item) < after if descending else key(item) > after)]
        except TypeError:
            raise BadInputError("next: is not from an answer in this order") from None
    pick = heapq.nlargest if descending else heapq.nsmallest
    return pick(count, found, key), total


def _key(sort: Sort, seen: Mapping[str, int]) -> Callable[[Item], Place]:
    """What is sorted by, the name last, so that every thing has its own place."""
    if sort == "title":
        return lambda item: (item.order, item.name)
    if sort == "created":
        return lambda item: (item.created_ns, item.name)
    if sort == "seen":
        return lambda item: (seen.get(item.name, 0), item.name)
    return lambda item: (item.name, item.name)


def _rows(services: Services, items: list[Item]) -> list[ThingRow]:
    names = [item.name for item in items]
    states = {one.thing: one for one in services.twin.thing_states(names)}
    mains = {main.name for item in items for main in item.main}
    values = {(one.thing, one.property): one for one in services.twin.values(names, mains)}
    rows = []
    for item in items:
        state = states.get(item.name)
        newest = ((main, values.get((item.name, main.name))) for main in item.main)
        main = next(
            (
                Main(one.name, one.title, one.unit, value.value, format_time(value.time_ns), value.quality, one.titles)
                for one, value in newest
                if value is not None
            ),
            None,
        )
        rows.append(
            ThingRow(
                thing=item.name,
                id=item.id,
                title=item.title,
                type=item.types,
                state=item.state,
                online=state.online if state else False,
                seen=format_time(state.last_received_ns) if state else None,
                properties=item.properties,
                main=main,
                titles=item.titles,
            )
        )
    return rows


def _token(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(token: str | None) -> Place | None:
    if not token:
        return None
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        return msgspec.json.decode(data, type=tuple[str | int, str])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadInputError("next: is not from an answer of ours; begin again without it") from None


@post(
    "/api/things",
    status_code=201,
    summary="Add a thing by its name",
    tags=["things"],
    opt=describe(
        example=_ROW | {"state": "adopted", "online": False, "seen": None, "properties": 0, "main": None},
        request_example={"thing": "pump-7", "title": "Pump 7"},
    ),
)
async def add(request: Request[Any, Any, Any], services: Given, data: JSONBody[NewThing]) -> ThingRow:
    """So that its device can be given a token. Its properties come with its first message; a whole Thing Description
    is added at `/things`. A discovered thing of this name is adopted."""
    td = {"title": data.title or data.thing}
    added = await services.pools.registry.run(services.registry.things.create, td, services.clock(), data.thing)
    snapshot = await request.app.state.catalogue.snapshot()
    return _rows(services, [snapshot.items[added.name]])[0]


@post(
    "/api/things/{thing:str}/adopt",
    status_code=200,
    summary="Adopt a discovered thing",
    tags=["things"],
    opt=describe(example=_ROW | {"state": "adopted"}, request_example={"title": "Pump in the cellar"}),
)
async def adopt(
    request: Request[Any, Any, Any], thing: ThingPath, services: Given, data: JSONBody[Adoption | None] = None
) -> ThingRow:
    """From now on it is one of ours. Adopting again only changes the title."""
    title = data.title if data else None
    adopt_, name = services.registry.things.adopt, reference(thing)
    adopted = await services.pools.registry.run(adopt_, name, services.clock(), title=title)
    snapshot = await request.app.state.catalogue.snapshot()
    return _rows(services, [snapshot.items[adopted.name]])[0]


HANDLERS = [list_things, add, adopt]
