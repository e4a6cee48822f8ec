"""A stored Thing Description as it is served: with forms, and with what the directory knows of it."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request

from allthings.registry.things import Thing
from allthings.things.td import with_forms
from allthings.things.times import format_time

MEDIA_TYPE: Final = "application/td+json"
CONTEXT: Final = "https://www.w3.org/2022/wot/discovery"


def base_url(request: Request[Any, Any, Any]) -> str:
    """The address under which the client reached us, without a path: what forms start with."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"


def enriched(thing: Thing, base: str) -> dict[str, Any]:
    """The Enriched TD of a thing (WoT Discovery section 7.2.2.1): forms, id, and `registration`."""
    td = with_forms(thing.td, base)
    contexts = td.get("@context", [])
    contexts = list(contexts) if isinstance(contexts, list) else [contexts]
    if CONTEXT not in contexts:
        contexts.append(CONTEXT)
    td["@context"] = contexts
    td["id"] = thing.id
    td["registration"] = {
        **td.get("registration", {}),
        "created": format_time(thing.created_ns),
        "modified": format_time(thing.modified_ns),
    }
    return td
