"""The list of all Thing Descriptions, whole or in pages (WoT Discovery section 7.3.2.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from litestar import Request, Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from allthings.registry.things import Thing
from allthings.web import settings
from allthings.web.conditions import conditions, entity_tag
from allthings.web.directory.serve import CONTEXT, collection_tag, enriched
from allthings.web.openapi import describe
from allthings.web.services import Given, Services
from allthings.web.values import dumps

_MEDIA_TYPE: Final = "application/ld+json"
#: Descriptions read and encoded in one step of a whole list.
_PIECE: Final = 500
_EXAMPLE: Final = [{"id": "urn:example:pump-7", "title": "Pump 7"}]


@get(
    "/things",
    summary="All things",
    tags=["directory"],
    opt=describe(
        answers={
            200: ("Thing Descriptions; `Link` tells the next page", {_MEDIA_TYPE: _EXAMPLE}),
            304: ("The list that `If-None-Match` names is still the newest", {}),
        }
    ),
)
async def list_things(
    request: Request[Any, Any, Any],
    services: Given,
    limit: Annotated[int | None, QueryParameter(ge=1, description="Things in a page; all when left out")] = None,
    offset: Annotated[int, QueryParameter(ge=0, le=2**31, description="Things to skip")] = 0,
    search: Annotated[str, QueryParameter(max_length=256, description="In id, name and title")] = "",
    form: Annotated[
        Literal["array", "collection"], QueryParameter(name="format", description="Form of the answer")
    ] = "array",
) -> Response[bytes] | Stream:
    """Sorted by id. Without a limit the answer holds every thing."""
    run, things = services.pools.registry.run, services.registry.things
    edition = await collection_tag(request, services)
    tag = entity_tag([edition, str(limit), offset, search, form], weak=True)
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Host"}
    if not conditions(request).check("list of things", tag):
        return Response(b"", status_code=304, headers=headers, media_type=_MEDIA_TYPE)
    if limit is None and form == "array":
        return Stream(_everything(request, services, offset, search), media_type=_MEDIA_TYPE, headers=headers)
    size = min(limit or settings.PAGE_MAX, settings.PAGE_MAX)
    page = await run(things.list, search=search, sort="id", limit=size, offset=offset)
    members = await services.pools.encode.run(_enriched, request, services, page.things)
    shared: dict[str, str] = {"format": form} if form != "array" else {}
    shared |= {"search": search} if search else {}
    links = [f'</things>; rel="canonical"; etag={edition.removeprefix("W/")}']
    following = ""
    if offset + len(members) < page.total:
        following = "/things?" + urlencode({"offset": offset + len(members), "limit": size, **shared})
        links.insert(0, f'<{following}>; rel="next"')
    body: Any = members
    if form == "collection":
        body = {
            "@context": CONTEXT,
            "@type": "ThingCollection",
            "@id": "/things?" + urlencode({"offset": offset, "limit": size, **shared}),
            "total": page.total,
            "members": members,
        } | ({"next": following} if following else {})
    return Response(dumps(body), media_type=_MEDIA_TYPE, headers={**headers, "Link": ", ".join(links)})


def _enriched(request: Request[Any, Any, Any], services: Services, things: list[Thing]) -> list[dict[str, Any]]:
    return [enriched(thing, request, services) for thing in things]


async def _everything(
    request: Request[Any, Any, Any], services: Services, offset: int, search: str
) -> AsyncIterator[bytes]:
    """The array in pieces, so that a large directory is never in memory as a whole."""

    def piece(start: int) -> tuple[list[bytes], int]:
        page = services.registry.things.list(search=search, sort="id", limit=_PIECE, offset=start)
        return [dumps(one) for one in _enriched(request, services, page.things)], page.total

    separator = b"["
    while True:
        members, total = await services.pools.registry.run(piece, offset)
        if members:
            yield separator + b",".join(members)
            separator = b","
        offset += len(members)
        if not members or offset >= total:
            break
    yield b"[]" if separator == b"[" else b"]"


HANDLERS = [list_things]
