"""`/api/query`: read-only SQL over the history."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, post

from allthings.historian.sql import SqlLimits
from allthings.web import settings
from allthings.web.openapi import describe
from allthings.web.services import Given
from allthings.web.values import dumps


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """One SELECT over `readings`, `readings_1m`, `readings_1h` and `readings_1d`."""

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=settings.SQL_CHARS_MAX)]
    #: Rows at most; the answer says whether there were more.
    limit: Annotated[int, msgspec.Meta(ge=1, le=settings.QUERY_ROWS_MAX)] = 10_000


_EXAMPLE = {
    "columns": ["thing", "highest"],
    "types": ["String", "Nullable(Float64)"],
    "rows": [["pump-7", 241.5]],
    "truncated": False,
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
async def query(data: Query, services: Given) -> Response[bytes]:
    """Read-only, with limits on rows, time and memory. Table `readings(thing, property, time, number, text, …)`."""
    limits = SqlLimits(
        rows_max=data.limit, seconds_max=settings.QUERY_SECONDS_MAX, memory_bytes_max=settings.QUERY_BYTES_MAX
    )

    def ask() -> bytes:
        result = services.history.sql(data.sql, limits)
        answer: dict[str, Any] = {
            "columns": result.columns,
            "types": result.types,
            "rows": result.rows,
            "truncated": result.truncated,
        }
        return dumps(answer)

    return Response(await services.pools.history.run(ask), media_type="application/json")


HANDLERS = [query]
