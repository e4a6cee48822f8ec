"""Create, read, update and delete one Thing Description (WoT Discovery sections 7.3.2.1 to 7.3.2.4)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, delete, get, patch, post, put

from allthings.registry.things import Thing
from allthings.things.errors import BadInputError
from allthings.web import settings
from allthings.web.bodies import content_type, parse_json, read_body
from allthings.web.directory.serve import MEDIA_TYPE, enriched
from allthings.web.names import ThingPath
from allthings.web.openapi import describe
from allthings.web.paths import reference, thing_path
from allthings.web.services import Given
from allthings.web.values import dumps

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
    td = await _read_td(request)
    if "id" in td:
        raise BadInputError(
            f"a Thing Description that has an id is sent with PUT {thing_path(str(td['id']))}",
            validationErrors=[{"field": "/id", "description": "POST takes anonymous Thing Descriptions only"}],
        )
    thing = await services.pools.registry.run(services.registry.things.create, td, services.clock())
    return Response(None, status_code=201, headers={"Location": thing_path(thing.id), "ETag": _etag(thing)})


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
    """The whole Thing Description; its `id` is the one in the path (sections 7.3.2.1.1 and 7.3.2.3)."""
    td = await _read_td(request)
    put_, version = services.registry.things.put, _expected_version(request)
    stored, created = await services.pools.registry.run(put_, reference(thing), td, services.clock(), version=version)
    headers = {"ETag": _etag(stored)}
    if created:
        headers["Location"] = thing_path(stored.id)
    return Response(None, status_code=201 if created else 204, headers=headers)


@get(
    "/things/{thing:str}",
    summary="A thing's description",
    tags=["directory"],
    opt=describe(answers={200: ("The Thing Description, with forms", {MEDIA_TYPE: _EXAMPLE})}),
)
async def get_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> Response[bytes]:
    """By id (percent-encoded) or by name (section 7.3.2.2). The answer has forms and registration times."""
    stored = await services.pools.registry.run(services.registry.things.get, reference(thing))
    etag = _etag(stored)
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Host"}
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(b"", status_code=304, headers=headers, media_type=MEDIA_TYPE)
    return Response(dumps(enriched(stored, request, services)), media_type=MEDIA_TYPE, headers=headers)


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
    """A JSON merge patch, RFC 7396 (section 7.3.2.3)."""
    content_type(request, (_PATCH_TYPE,), "")
    merge = parse_json(await read_body(request, _BODY_S_MAX))
    if not isinstance(merge, dict):
        raise BadInputError("a merge patch of a Thing Description is a JSON object")
    merge.pop("registration", None)
    change, version = services.registry.things.patch, _expected_version(request)
    stored = await services.pools.registry.run(change, reference(thing), merge, services.clock(), version=version)
    return Response(None, status_code=204, headers={"ETag": _etag(stored)})


@delete(
    "/things/{thing:str}",
    status_code=204,
    summary="Remove a thing",
    tags=["directory"],
    opt=describe(answers={204: ("Removed; its history stays", {})}),
)
async def delete_thing(request: Request[Any, Any, Any], thing: ThingPath, services: Given) -> None:
    """Remove the description and the device's tokens (section 7.3.2.4). It comes back if it goes on publishing."""
    remove, version = services.registry.things.remove, _expected_version(request)
    name = (await services.pools.registry.run(services.registry.things.get, reference(thing))).name
    await services.pools.registry.run(remove, name, version=version)
    services.twin.forget(name)


async def _read_td(request: Request[Any, Any, Any]) -> dict[str, Any]:
    content_type(request, _TD_TYPES, MEDIA_TYPE)
    td = parse_json(await read_body(request, _BODY_S_MAX))
    if not isinstance(td, dict):
        raise BadInputError("a Thing Description is a JSON object")
    return td


def _expected_version(request: Request[Any, Any, Any]) -> int | None:
    """The version that `If-Match` names (RFC 9110 section 13.1.1); None for no condition. Raises BadInputError."""
    tag = request.headers.get("if-match", "*").strip()
    if tag == "*":
        return None
    digits = tag.strip('"')
    if not digits.isdecimal() or len(digits) > 18:
        raise BadInputError(f"If-Match: {tag[:32]!r} is no ETag of ours")
    return int(digits)


def _etag(thing: Thing) -> str:
    return f'"{thing.version}"'


HANDLERS = [create_anonymous_thing, put_thing, get_thing, patch_thing, delete_thing]
