"""`/api/current`: the newest value of each series."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from litestar import Response, get
from litestar.response import Stream

from allthings.web.names import PropertyParameters, ThingParameters, check_current, property_names, thing_names
from allthings.web.openapi import describe
from allthings.web.services import Given, Services
from allthings.web.values import EXAMPLE, values_json

#: Things whose values are taken and encoded without a pause.
_PIECE: Final = 1_000
#: Of `{"values":[…]}`, what is inside.
_INNER: Final = slice(len('{"values":['), -len("]}"))


@get(
    "/api/current",
    summary="Newest values",
    tags=["live"],
    opt=describe(answers={200: ("Newest values, one a series", {"application/json": {"values": [EXAMPLE]}})}),
)
async def current(
    services: Given, thing: ThingParameters = None, property_: PropertyParameters = None
) -> Response[bytes] | Stream:
    """Of the things and properties named, or of all. `quality` is good, stale, or clock (the device's is wrong).

    404: no such thing, or none of the things has such a property.
    """
    things, properties = await thing_names(services, thing), property_names(property_)
    await check_current(services, things, properties)
    if things is None:
        things = services.twin.thing_names()
    if len(things) <= _PIECE:
        values = services.twin.values(things, properties)
        return Response(values_json(values), media_type="application/json")
    return Stream(_pieces(services, things, properties), media_type="application/json")


async def _pieces(services: Services, things: list[str], properties: list[str] | None) -> AsyncIterator[bytes]:
    """The twin belongs to the event loop, so many values are taken and encoded a few at a time."""
    separator = b'{"values":['
    for start in range(0, len(things), _PIECE):
        values = services.twin.values(things[start : start + _PIECE], properties)
        if values:
            yield separator + values_json(values)[_INNER]
            separator = b","
        await asyncio.sleep(0)
    yield b'{"values":[]}' if separator != b"," else b"]}"


HANDLERS = [current]
