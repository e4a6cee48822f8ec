"""Query parameters that a request must not have: those that its handler does not know.

A misspelt parameter would be an answer to another question. Every route is guarded: what it takes is what its handler
declares as `QueryParameter`. A handler whose addresses belong to somebody else says `any_query` in its `opt`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter

from allthings.things.errors import BadInputError
from allthings.web.paths import reference

#: What other interfaces call what is meant here.
_ELSEWHERE: Final = {
    **dict.fromkeys(("tz", "timezone", "time_zone", "timeZone"), "zone"),
    **dict.fromkeys(("start", "since", "begin", "startTs", "from_time"), "from"),
    **dict.fromkeys(("end", "until", "stop", "endTs", "to_time"), "to"),
    **dict.fromkeys(("interval", "step", "bucket", "window", "resolution", "period"), "every"),
    **dict.fromkeys(("agg", "fn", "function", "aggregation", "statistic"), "aggregate"),
    **dict.fromkeys(("page_size", "per_page", "size", "max", "top", "$top"), "limit"),
    **dict.fromkeys(("cursor", "page", "page_token", "continue"), "next"),
    **dict.fromkeys(("q", "query", "filter", "name"), "search"),
    **dict.fromkeys(("device", "id", "entity", "thing_id"), "thing"),
    **dict.fromkeys(("key", "metric", "field", "sensor"), "property"),
    **dict.fromkeys(("sort", "direction"), "order"),
}


def only_declared(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard. Raises BadInputError that names the first parameter which the handler does not know."""
    if not connection.scope.get("query_string") or handler.opt.get("any_query"):
        return
    declared = declared_by(handler)
    for name in connection.query_params:
        if name not in declared:
            where = f"{connection.scope.get('method', 'GET')} {reference(connection.scope['path'])[:256]}"
            raise BadInputError(
                f"{where} has no parameter {name[:64]!r}; {_hint(name, declared)}", parameter=name[:256]
            )


@lru_cache(maxsize=1024)
def declared_by(handler: BaseRouteHandler) -> frozenset[str]:
    """The names of the query parameters that a handler takes."""
    fields = handler.parsed_fn_signature.parameters.items()
    return frozenset(
        field.kwarg_definition.name or name
        for name, field in fields
        if isinstance(field.kwarg_definition, QueryParameter)
    )


def _hint(name: str, declared: Collection[str]) -> str:
    meant = _ELSEWHERE.get(name)
    close = [meant] if meant in declared else difflib.get_close_matches(name[:64].lower(), sorted(declared), 1, 0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"it takes {', '.join(sorted(declared))}" if declared else "it takes none"
