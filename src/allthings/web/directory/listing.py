"""The list of all Thing Descriptions, whole or in pages (WoT Discovery section 7.3.2.5)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

import orjson
from litestar import Request, Response, get
from litestar.params import QueryParameter
from litestar.response import Stream

from allthings.things.errors import NotFoundError
from allthings.web import settings
from allthings.web.directory.serve import CONTEXT, enriched
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_MEDIA_TYPE: Final = "application/ld+json"
#: Descriptions read and encoded in one step of a whole list.
_PIECE: Final = 100
_EXAMPLE: Final = [{"id": "urn:example:pump-7", "title": "Pump 7"}]


@get(
    "/things",
    summary="All things",
    tags=["directory"],
    opt=describe(answers={200: ("Thing Descriptions; `Link` tells the next page", {_MEDIA_TYPE: _EXAMPLE})}),
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
    snapshot = await request.app.state.catalogue.snapshot()
    words = search.casefold().split()
    found = [one for one in snapshot.items.values() if all(word in one.search for word in words)]
    found.sort(key=lambda one: one.id)
    if limit is None and form == "array":
        names = [one.name for one in found[offset:]]
        return Stream(_everything(request, services, names), media_type=_MEDIA_TYPE)
    size = min(limit or settings.PAGE_MAX, settings.PAGE_MAX)
    chosen = [one.name for one in found[offset : offset + size]]
    members = await services.pools.registry.run(_members, request, services, chosen)
    shared: dict[str, str] = {"format": form} if form != "array" else {}
    shared |= {"search": search} if search else {}
    links = [f'</things>; rel="canonical"; etag="{snapshot.version}"']
    following = ""
    if offset + len(chosen) < len(found):
        following = "/things?" + urlencode({"offset": offset + len(chosen), "limit": size, **shared})
        links.insert(0, f'<{following}>; rel="next"')
    body: Any = members
    if form == "collection":
        body = {
            "@context": CONTEXT,
            "@type": "ThingCollection",
            "@id": "/things?" + urlencode({"offset": offset, "limit": size, **shared}),
            "total": len(found),
            "members": members,
        } | ({"next": following} if following else {})
    return Response(orjson.dumps(body), media_type=_MEDIA_TYPE, headers={"Link": ", ".join(links)})


def _members(request: Request[Any, Any, Any], services: Services, names: list[str]) -> list[dict[str, Any]]:
    """The descriptions of things; those removed meanwhile are left out."""
    members = []
    for name in names:
        with contextlib.suppress(NotFoundError):
            members.append(enriched(services.registry.things.get(name), request, services))
    return members


async def _everything(request: Request[Any, Any, Any], services: Services, names: list[str]) -> AsyncIterator[bytes]:
    """The array in pieces, so that a large directory is never in memory as a whole."""

    def piece(part: list[str]) -> bytes:
        return b",".join(orjson.dumps(one) for one in _members(request, services, part))

    separator = b"["
    for start in range(0, len(names), _PIECE):
        encoded = await services.pools.registry.run(piece, names[start : start + _PIECE])
        if encoded:
            yield separator + encoded
            separator = b","
    yield b"[]" if separator == b"[" else b"]"


HANDLERS = [list_things]
