"""Which things and properties a request is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

from litestar.params import PathParameter, QueryParameter

from allthings.things.errors import BadInputError, LimitExceededError, NotFoundError
from allthings.things.names import valid_property_name, valid_thing_name
from allthings.web import settings
from allthings.web.services import Services

ThingPath: TypeAlias = Annotated[str, PathParameter(description="A thing's id, percent-encoded, or its name")]
ThingParameters: TypeAlias = Annotated[
    list[str] | None, QueryParameter(name="thing", description="A thing's name or id; repeat it for several")
]
PropertyParameters: TypeAlias = Annotated[
    list[str] | None, QueryParameter(name="property", description="A property's name; repeat it for several")
]


async def thing_names(services: Services, given: Sequence[str] | None) -> list[str] | None:
    """Names of things that were given by name or by id; None when none were given, which means all.

    Only what looks like an id is looked up. A name that no thing has is no error: its history may outlive it.
    Raises NotFoundError for an unknown id, LimitExceededError.
    """
    if not given:
        return None
    _check_count(given, "thing")
    names = []
    for one in dict.fromkeys(given):
        # "urn:example:pump" is a valid name as well as an id; a thing of that id wins.
        if ":" in one:
            names.append(await services.pools.registry.run(_name_of, services, one))
        elif valid_thing_name(one):
            names.append(one)
        else:
            raise BadInputError(f"thing: {one[:128]!r} is neither a name nor an id of a thing")
    return names


def _name_of(services: Services, reference: str) -> str:
    try:
        return services.registry.things.get(reference).name
    except NotFoundError:
        if valid_thing_name(reference):
            return reference
        raise


def property_names(given: Sequence[str] | None) -> list[str] | None:
    """Names of properties; None when none were given. Raises BadInputError, LimitExceededError."""
    if not given:
        return None
    _check_count(given, "property")
    for one in given:
        if not valid_property_name(one):
            raise BadInputError(f"property: {one[:128]!r} can be no property's name")
    return list(dict.fromkeys(given))


def _check_count(given: Iterable[str], what: str) -> None:
    count = sum(1 for _ in given)
    if count > settings.NAMES_MAX:
        raise LimitExceededError(f"{what}: {count:,} given, at most {settings.NAMES_MAX:,} at once")
