"""Which things and properties a request is about."""

from __future__ import annotations

import difflib
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

    Only what looks like an id is looked up. Whether there is a thing of a name is left to `check_known`, since its
    history may outlive it. Raises NotFoundError for an unknown id, LimitExceededError.
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


def check_known(
    services: Services, things: Sequence[str] | None, properties: Sequence[str] | None, found: Iterable[tuple[str, str]]
) -> None:
    """Raises NotFoundError when a thing that was named is not known, or a property to none of these things (None: to
    none at all).

    Known is what `found` has (pairs of thing and property), what is described, and what has a history, even when the
    thing was removed. A property need not be one of every thing that is named. Blocks.
    """
    missing, names = _missing(things, properties, found)
    if not missing and not names:
        return
    types = services.registry.things.all_types()
    for thing in things if things is not None else types:
        names -= types.get(thing, {}).keys()
    missing -= types.keys()
    if things is not None and (missing or names):
        kept = services.history.series(things)
        missing -= {thing for thing, _ in kept}
        names -= {name for _, name in kept}
    if missing:
        unknown = min(missing)
        raise NotFoundError(f"no thing is called {unknown!r}{_like(unknown, types, shown=0)}", parameter="thing")
    if names:
        unknown = min(names)
        all_names = {name for thing in things or types for name in types.get(thing, {})}
        of = "no thing has a" if things is None else f"{', '.join(things[:3])}{', …' if things[3:] else ''} has no"
        raise NotFoundError(f"{of} property {unknown!r}{_like(unknown, all_names)}", parameter="property")


async def check_current(services: Services, things: Sequence[str] | None, properties: Sequence[str] | None) -> None:
    """The same, where what has a current value is known already."""
    if things is None and properties is None:
        return
    found = [(value.thing, value.property) for value in services.twin.values(things, properties)]
    if any(_missing(things, properties, found)):
        await services.pools.history.run(check_known, services, things, properties, found)


def _missing(
    things: Sequence[str] | None, properties: Sequence[str] | None, found: Iterable[tuple[str, str]]
) -> tuple[set[str], set[str]]:
    pairs = list(found)
    return (
        set(things or ()) - {thing for thing, _ in pairs},
        set(properties or ()) - {name for _, name in pairs},
    )


def _like(name: str, known: Iterable[str], shown: int = settings.NAMES_SHOWN) -> str:
    """Which of the known ones may have been meant, or some of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, 3, 0.6) if len(known) <= settings.NAMES_MAX else []
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there is {', '.join(known[:shown])}{', …' if known[shown:] else ''}" if known and shown else ""


def _check_count(given: Iterable[str], what: str) -> None:
    count = sum(1 for _ in given)
    if count > settings.NAMES_MAX:
        raise LimitExceededError(f"{what}: {count:,} given, at most {settings.NAMES_MAX:,} at once")
