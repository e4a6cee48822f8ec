"""Request bodies that the framework does not parse: Thing Descriptions, merge patches, uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import msgspec
from litestar import Request

from allthings.readings.payload import JSON_ERRORS, json_fault
from allthings.things.errors import BadInputError
from allthings.web.errors import TimedOutError, UnsupportedMediaTypeError


def content_type(request: Request[Any, Any, Any], known: Collection[str], default: str) -> str:
    """The body's media type without its parameters. Raises UnsupportedMediaTypeError."""
    given = request.headers.get("content-type", "").split(";", 1)[0].strip().lower() or default
    if given not in known:
        raise UnsupportedMediaTypeError(f"{given[:64]!r} is not read here; send {', '.join(sorted(known))}")
    return given


async def read_body(request: Request[Any, Any, Any], within_s: float) -> bytes:
    """The whole body, bounded by the route's `request_max_body_size` (413 beyond). Raises TimedOutError."""
    try:
        async with asyncio.timeout(within_s):
            return await request.body()
    except TimeoutError:
        raise TimedOutError(f"the body did not arrive within {within_s:g} s") from None


def parse_json(body: bytes) -> Any:
    """A JSON document, integers of any length as they are. Raises BadInputError that says where it breaks."""
    try:
        return msgspec.json.decode(body)
    except JSON_ERRORS as error:
        raise BadInputError(f"the body cannot be read: {json_fault(error)}") from None
