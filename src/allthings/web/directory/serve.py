"""A stored Thing Description as it is served: with forms, and with what the directory knows of it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request

import allthings
from allthings.registry.things import Thing
from allthings.things.td import with_forms
from allthings.things.times import format_time
from allthings.web.conditions import entity_tag
from allthings.web.services import Services
from allthings.web.values import dumps

MEDIA_TYPE: Final = "application/td+json"
CONTEXT: Final = "https://www.w3.org/2022/wot/discovery"
_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def base_url(request: Request[Any, Any, Any]) -> str:
    """The address under which the client reached us, without a path: what forms start with."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def mqtt_host(request: Request[Any, Any, Any], services: Services) -> str:
    """The gateway's host as the client can reach it: one that listens everywhere is where this page came from."""
    host = services.settings.mqtt_host
    return request.url.hostname or "127.0.0.1" if host in _ANY_ADDRESS else host


def enriched(thing: Thing, request: Request[Any, Any, Any], services: Services) -> dict[str, Any]:
    """The Enriched TD of a thing (WoT Discovery section 7.2.2.1): id, `registration`, and forms where it has none.

    A description that needs no forms of ours comes back as it was sent, with `registration` as the only addition.
    """
    td = with_forms(
        thing.td,
        base_url(request),
        name=thing.name,
        mqtt=f"mqtt://{mqtt_host(request, services)}:{services.settings.mqtt_port}",
        open_access=services.settings.open,
    )
    if td != thing.td:
        contexts = td["@context"]
        contexts = list(contexts) if isinstance(contexts, list) else [contexts]
        if CONTEXT not in contexts:
            # After the TD context, which has to come first, and before prefixes of the thing's own.
            contexts.insert(1, CONTEXT)
        td["@context"] = contexts
    td["id"] = thing.id
    td["registration"] = {"created": format_time(thing.created_ns), "modified": format_time(thing.modified_ns)}
    return td


def represented(thing: Thing, request: Request[Any, Any, Any], services: Services) -> tuple[bytes, str]:
    """The answer that a thing is, and its entity tag: another one whenever the answer is another one.

    The number of the change is in it, so a thing that was removed and made again never has a tag that was used.
    """
    body = dumps(enriched(thing, request, services))
    return body, entity_tag([thing.change, thing.created_ns, thing.modified_ns, body])


async def collection_tag(request: Request[Any, Any, Any], services: Services) -> str:
    """The entity tag of all things, in pages or not: weak, as a list that is read in pieces may change meanwhile."""
    edition = await services.pools.registry.run(services.registry.things.edition)
    address = (base_url(request), mqtt_host(request, services), services.settings.mqtt_port, services.settings.open)
    return entity_tag([*edition, allthings.__version__, *address], weak=True)
