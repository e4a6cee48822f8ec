"""The OpenAPI 3.1 description: what the framework reads from types, and what types cannot say.

A handler adds the latter with `opt=describe(...)`: bodies that are no JSON, further answers, examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Litestar, Request, Response, get
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag

import allthings
from allthings.web import problems, settings
from allthings.web.services import Given
from allthings.web.values import dumps

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_BINARY: Final[dict[str, Any]] = {}  # OpenAPI 3.1: raw bytes have no schema
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Problem details, RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:allthings:problem:not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
}
_PROBLEM_EXAMPLE: Final = {
    "type": "urn:allthings:problem:not-found",
    "title": "Not found",
    "status": 404,
    "detail": "no thing is called 'pump-7'",
    "instance": "/things/pump-7",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a handler says beyond its types."""

    request: dict[str, Any] = field(default_factory=dict)
    answers: dict[int, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    example: Any = None
    request_example: Any = None


def describe(
    *,
    public: bool = False,
    viewers: bool = False,
    admins: bool = False,
    any_query: bool = False,
    request: dict[str, Any] | None = None,
    answers: dict[int, tuple[str, dict[str, Any]]] | None = None,
    example: Any = None,
    request_example: Any = None,
) -> dict[str, Any]:
    """A handler's `opt`.

    `request` and each answer's second half map media types to an example: text, None for bytes, else JSON. `example`
    is one of the answer, `request_example` of the body, that the types describe. `public` opens the route to all,
    `viewers` a method that could change something to those who may only look; `admins` closes it to all others.
    `any_query` lets any query parameters pass, see parameters.py.
    """
    return {
        "public": public,
        "viewers": viewers,
        "admins": admins,
        "any_query": any_query,
        "description": Description(request or {}, answers or {}, example, request_example),
    }


def configuration() -> OpenAPIConfig:
    """What the document says of the whole."""
    return OpenAPIConfig(
        title="allthings",
        version=allthings.__version__,
        summary="Things, their current values, their history, and the platform itself",
        description=(
            "Times are RFC 3339 in UTC. 64-bit positions are strings. Errors are problem details (RFC 9457) whose "
            "`type` is `urn:allthings:problem:<name>`. Lists are paged by an opaque `next`."
        ),
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin()],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="A program's token"),
                "session": SecurityScheme(type="apiKey", name=settings.SESSION_COOKIE, security_scheme_in="cookie"),
            }
        ),
        security=[{"bearer": []}, {"session": []}],
        tags=[
            Tag("directory", "Thing Descriptions: W3C WoT Discovery, section 7.3"),
            Tag("properties", "Current values under a thing's own forms: W3C WoT HTTP Basic Profile"),
            Tag("history", "What was"),
            Tag("readings", "What comes in"),
            Tag("live", "What is"),
            Tag("things", "Things as the console lists them"),
            Tag("tokens", "Credentials of devices and programs"),
            Tag("access", "Users, access rules, quotas, and the audit list"),
            Tag("bridges", "Other brokers that messages are exchanged with"),
            Tag("mqtt", "Clients, topics and retained messages of the gateways"),
            Tag("sessions", "Logging in and out"),
            Tag("operations", "How the platform is"),
        ],
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole description as JSON."""
    schema: dict[str, Any] = app.openapi_schema.to_schema()
    schema.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    for route in app.routes:
        path = schema["paths"].get(getattr(route, "path_format", ""))
        if path is None:
            continue
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            operation = path.get(method.lower())
            if operation is not None:
                _complete(operation, handler.opt)
    return schema


def _complete(operation: dict[str, Any], opt: dict[str, Any]) -> None:
    if opt.get("public"):
        operation["security"] = []
    said: Description = opt.get("description", Description())
    answers = operation["responses"]
    answers.pop("400", None)  # the framework's own error format, which never leaves here
    if said.example is not None:
        for status, answer in answers.items():
            if status.startswith("2"):
                for content in answer.get("content", {}).values():
                    content["example"] = said.example
    for code, (text, contents) in said.answers.items():
        answers[str(code)] = {"description": text}
        if contents:
            answers[str(code)]["content"] = _contents(contents)
    answers["default"] = {
        "description": "What went wrong, and where",
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": _PROBLEM_EXAMPLE,
            }
        },
    }
    if said.request:
        operation["requestBody"] = {"required": True, "content": _contents(said.request)}
    elif said.request_example is not None:
        for content in operation["requestBody"]["content"].values():
            content["example"] = said.request_example


def _contents(examples: dict[str, Any]) -> dict[str, Any]:
    contents: dict[str, Any] = {}
    for media_type, example in examples.items():
        if example is None:
            contents[media_type] = dict(_BINARY)
        elif isinstance(example, str):
            contents[media_type] = {"schema": _TEXT, "example": example}
        else:
            kind = "array" if isinstance(example, list) else "object"
            contents[media_type] = {"schema": {"type": kind}, "example": example}
    return contents


def _encoded(handlers: Sequence[Any]) -> bytes:
    """The document, made by an application that never serves: the serving one needs no routes for it."""
    app = Litestar(
        list(handlers),
        openapi_config=configuration(),
        logging_config=None,
        dependencies={"services": Provide(lambda: None, sync_to_thread=False)},
    )
    return dumps(document(app))


@get(
    "/openapi.json",
    summary="This description",
    tags=["operations"],
    opt=describe(answers={200: ("OpenAPI 3.1", {"application/json": {"openapi": "3.1.0"}})}),
)
async def openapi_json(request: Request[Any, Any, Any], services: Given) -> Response[bytes]:
    """The OpenAPI 3.1 description of everything on this port."""
    state = request.app.state
    if "openapi_json" not in state:
        state.openapi_json = await services.pools.encode.run(_encoded, state.handlers)
    return Response(state.openapi_json, media_type="application/json")


HANDLERS = [openapi_json]
