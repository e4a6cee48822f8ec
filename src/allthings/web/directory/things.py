"""Create, read, update and delete one Thing Description (WoT Discovery sections 7.3.2.1 to 7.3.2.4)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, delete, get, patch, post, put

from allthings.registry.rows import Check
from allthings.registry.things import Thing
from allthings.things.errors import BadInputError
from allthings.web import settings
from allthings.web.bodies import content_type, parse_json, read_body
from allthings.web.conditions import conditions
from allthings.web.directory.serve import MEDIA_TYPE, collection_tag, represented
from allthings.web.names import ThingPath
from allthings.web.openapi import describe
from allthings.web.paths import reference, thing_path
from allthings.web.removing import newest_position, take_away
from allthings.web.services import Given, Services

_TD_TYPES: Final = (MEDIA_TYPE, "application/json", "application/ld+json")
_PATCH_TYPE: Final = "application/merge-patch+json"
_BODY_S_MAX: Final = 30.0
_EXAMPLE: Final = {
    "@context": "https://www.w3.org/2022/wot/td/v1.1",
    "id": "urn:example:pump-7",
    "title": "Pump 7",
    "security": "nosec_sc",
    "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
    "properties": {"pressure": {"type": "number", "unit": "kPa", "readOnly": True}},
}
_ANONYMOUS: Final = {key: value for key, value in _EXAMPLE.items() if key != "id"}


@post(
    "/things",
    status_code=201,
    request_max_body_size=settings.TD_BYTES_MAX,
    summary="Add a thing whose id the directory chooses",
    tags=["directory"],
    opt=describe(
        request={MEDIA_TYPE: _ANONYMOUS},
        answers={201: ("Created; `Location` tells where", {})},
    ),
)
async def create_anonymous_thing(request: Request[Any, Any, Any], services: Given) -> Response[None]:
    """A Thing Description without an id (section 7.3.2.1.2). One that has an id is sent with PUT to its own path."""
    check = conditions(request)
    if check.given:
        check.check("list of things", await collection_tag(request, services))
    td = await _read_td(request)
    if "id" in td:
        raise BadInputError(
            f"a Thing Description that has an id is sent with PUT {thing_path(str(td['id']))}",
            validationErrors=[{"field": "/id", "description": "POST takes anonymous Thing Descriptions only"}],
        )
    thing = await services.pools.registry.run(services.registry.things.create, td, services.clock())
    _, tag = await services.pools.encode.run(represented, thing, request, services)
    return Response(None, status_code=201, headers={"Location": thing_path(thing.id), "ETag": tag})


@put(
    "/things/{thing:str}",
    request_max_body_size=settings.TD_BYTES_MAX,
    summary="Add or replace a thing",
    tags=["directory"],
    opt=describe(
        request={MEDIA_TYPE: _EXAMPLE},
        answers={201: ("Created", {}), 204: ("Replaced", {})},
    ),
    status_code=204,
)
async def put_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> Response[None]:
    """The whole Thing Description; its `id` is the one in the path (sections 7.3.2.1.1 and 7.3.2.3). A property that
    it names no longer stays away until its device sends it again."""
    td = await _read_td(request)
    put_, check = services.registry.things.put, _check(request, services, thing)
    position = await newest_position(services)
    stored, created = await services.pools.registry.run(
        put_, reference(thing), td, services.clock(), check=check, position=position
    )
    await take_away(services, stored.name)
    _, tag = await services.pools.encode.run(represented, stored, request, services)
    headers = {"ETag": tag}
    if created:
        headers["Location"] = thing_path(stored.id)
    return Response(None, status_code=201 if created else 204, headers=headers)


@get(
    "/things/{thing:str}",
    summary="A thing's description",
    tags=["directory"],
    opt=describe(
        answers={
            200: ("The Thing Description, with forms", {MEDIA_TYPE: _EXAMPLE}),
            304: ("The one that `If-None-Match` names is still the newest", {}),
        }
    ),
)
async def get_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> Response[bytes]:
    """By id (percent-encoded) or by name (section 7.3.2.2). The answer has forms and registration times."""
    stored = await services.pools.registry.run(services.registry.things.get, reference(thing))
    body, tag = await services.pools.encode.run(represented, stored, request, services)
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Host"}
    if not conditions(request).check(f"thing {stored.name}", tag):
        return Response(b"", status_code=304, headers=headers, media_type=MEDIA_TYPE)
    return Response(body, media_type=MEDIA_TYPE, headers=headers)


@patch(
    "/things/{thing:str}",
    request_max_body_size=settings.TD_BYTES_MAX,
    status_code=204,
    summary="Change parts of a thing's description",
    tags=["directory"],
    opt=describe(
        request={_PATCH_TYPE: {"title": "Pump in the cellar", "description": None}},
        answers={204: ("Changed", {})},
    ),
)
async def patch_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> Response[None]:
    """A JSON merge patch, RFC 7396 (section 7.3.2.3). A property that is taken out stays away until its device sends
    it again."""
    content_type(request, (_PATCH_TYPE,), "")
    merge = parse_json(await read_body(request, _BODY_S_MAX))
    if not isinstance(merge, dict):
        raise BadInputError("a merge patch of a Thing Description is a JSON object")
    merge.pop("registration", None)
    change, check = services.registry.things.patch, _check(request, services, thing)
    position = await newest_position(services)
    stored = await services.pools.registry.run(
        change, reference(thing), merge, services.clock(), check=check, position=position
    )
    await take_away(services, stored.name)
    _, tag = await services.pools.encode.run(represented, stored, request, services)
    return Response(None, status_code=204, headers={"ETag": tag})


@delete(
    "/things/{thing:str}",
    status_code=204,
    summary="Remove a thing",
    tags=["directory"],
    opt=describe(answers={204: ("Removed; its history stays", {})}),
)
async def delete_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> None:
    """Remove the description and the device's tokens (section 7.3.2.4). It comes back when it publishes again; what
    it has sent so far does not bring it back. Its history stays (`DELETE /api/history` deletes it)."""
    remove, check = services.registry.things.remove, _check(request, services, thing)
    name = (await services.pools.registry.run(services.registry.things.get, reference(thing))).name
    position = await newest_position(services)
    await services.pools.registry.run(remove, name, check=check, position=position)
    await take_away(services, name)


async def _read_td(request: Request[Any, Any, Any]) -> dict[str, Any]:
    content_type(request, _TD_TYPES, MEDIA_TYPE)
    td = parse_json(await read_body(request, _BODY_S_MAX))
    if not isinstance(td, dict):
        raise BadInputError("a Thing Description is a JSON object")
    return td


def _check(request: Request[Any, Any, Any], services: Services, asked: str) -> Check:
    """The request's preconditions, for the registry to look at when it has the thing as nobody else can change it."""
    given = conditions(request)

    def check(thing: Thing | None) -> None:
        if given.given:
            name = reference(asked) if thing is None else thing.name
            given.check(f"thing {name[:128]}", None if thing is None else represented(thing, request, services)[1])

    return check


HANDLERS = [create_anonymous_thing, put_thing, get_thing, patch_thing, delete_thing]
