"""A thing's properties under its own forms: reads of the W3C WoT HTTP Basic Profile."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.params import FromPath

from allthings.registry.things import Thing
from allthings.things.errors import NotFoundError
from allthings.things.times import format_time
from allthings.web.names import ThingPath
from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given, Services
from allthings.web.values import dumps


@get(
    "/things/{thing:str}/properties",
    summary="All properties of a thing",
    tags=["properties"],
    opt=describe(answers={200: ("An object of property: value", {"application/json": {"pressure": 231.5}})}),
)
async def read_all_properties(thing: ThingPath, services: Given) -> Response[bytes]:
    """`readallproperties`: the newest value of each property. One that has none yet is left out."""
    found = await _get(services, thing)
    values = services.twin.values([found.name], None)
    return Response(dumps({value.property: value.value for value in values}), media_type="application/json")


@get(
    "/things/{thing:str}/properties/{name:str}",
    summary="One property of a thing",
    tags=["properties"],
    opt=describe(answers={200: ("The value; the header `Allthings-Time` has its time", {"application/json": [231.5]})}),
)
async def read_property(thing: ThingPath, name: FromPath[str], services: Given) -> Response[bytes]:
    """`readproperty`: the newest value, as JSON."""
    found = await _get(services, thing)
    values = services.twin.values([found.name], [reference(name)])
    if not values:
        declared: dict[str, Any] = found.td.get("properties", {})
        if reference(name) in declared:
            raise NotFoundError(f"{found.name} has not sent a value of {reference(name)!r} yet")
        raise NotFoundError(f"{found.name} has no property {reference(name)!r}")
    headers = {"Allthings-Time": format_time(values[0].time_ns), "Allthings-Quality": values[0].quality}
    return Response(dumps(values[0].value), media_type="application/json", headers=headers)


async def _get(services: Services, thing: str) -> Thing:
    return await services.pools.registry.run(services.registry.things.get, reference(thing))


HANDLERS = [read_all_properties, read_property]
