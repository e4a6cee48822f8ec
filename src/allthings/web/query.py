"""`/api/query`: read-only SQL over the history."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody

from allthings.historian.cancellation import Cancellation
from allthings.historian.sql import SqlLimits
from allthings.web import settings
from allthings.web.askers import asker, unless_gone
from allthings.web.openapi import describe
from allthings.web.services import Given
from allthings.web.values import dumps


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """One SELECT over `readings`, `readings_1m`, `readings_1h` and `readings_1d`."""

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=settings.SQL_CHARS_MAX)]


_EXAMPLE = {
    "columns": ["thing", "highest"],
    "types": ["String", "Nullable(Float64)"],
    "rows": [["pump-7", 241.5]],
}


@post(
    "/api/query",
    status_code=200,
    summary="Read with SQL",
    tags=["history"],
    opt=describe(
        viewers=True,
        answers={200: ("Columns and rows", {"application/json": _EXAMPLE})},
        request_example={"sql": "SELECT thing, max(number) AS highest FROM readings_1h GROUP BY thing"},
    ),
)
async def query(request: Request[Any, Any, Any], data: JSONBody[Query], services: Given) -> Response[bytes]:
    """Read-only, with limits on rows, time and memory. Table `readings(thing, property, time, number, text, …)`.

    One question of a user at a time; a few may wait. It ends when the client closes the connection.
    """
    limits = SqlLimits(
        time_s=settings.QUERY_S_MAX, memory_bytes=settings.QUERY_MEMORY_BYTES_MAX, rows=settings.QUERY_ROWS_MAX
    )

    def ask(cancellation: Cancellation) -> bytes:
        result = services.history.sql(data.sql, limits, cancellation=cancellation)
        return dumps({"columns": result.columns, "types": result.types, "rows": result.data})

    answer = await unless_gone(request, services.pools.sql.run(asker(request), ask))
    return Response(answer, media_type="application/json")


HANDLERS = [query]
