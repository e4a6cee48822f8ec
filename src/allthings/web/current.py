"""`/api/current`: the newest value of each series."""

from __future__ import annotations

from litestar import Response, get

from allthings.web.names import PropertyParameters, ThingParameters, property_names, thing_names
from allthings.web.openapi import describe
from allthings.web.services import Given
from allthings.web.values import EXAMPLE, values_json


@get(
    "/api/current",
    summary="Newest values",
    tags=["live"],
    opt=describe(answers={200: ("Newest values, one a series", {"application/json": {"values": [EXAMPLE]}})}),
)
async def current(
    services: Given, thing: ThingParameters = None, property_: PropertyParameters = None
) -> Response[bytes]:
    """Of the things and properties named, or of all. `quality` is good, stale, or clock (the device's is wrong)."""
    things = await thing_names(services, thing)
    values = services.twin.values(things, property_names(property_))
    body = await services.pools.encode.run(values_json, values)
    return Response(body, media_type="application/json")


HANDLERS = [current]
