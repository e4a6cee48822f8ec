"""The directory's own Thing Description at the well-known place (WoT Discovery sections 6.3 and 7.3.4)."""

from __future__ import annotations

from typing import Any, Final

from litestar import Request, Response, get

import allthings
from allthings.web.directory.serve import CONTEXT, MEDIA_TYPE, base_url
from allthings.web.openapi import describe
from allthings.web.services import Given
from allthings.web.values import dumps

_PROBLEM: Final = "application/problem+json"
_ID: Final = {"id": {"@type": "ThingID", "title": "Thing Description ID", "type": "string", "format": "iri-reference"}}


def _form(href: str, method: str, status: int, *, errors: tuple[int, ...], **more: Any) -> dict[str, Any]:
    answer = {"description": "Success", "htv:statusCodeValue": status} | more.pop("response", {})
    answer.setdefault("contentType", MEDIA_TYPE)
    failures = [{"contentType": _PROBLEM, "htv:statusCodeValue": code, "success": False} for code in errors]
    form = {"href": href, "htv:methodName": method, "response": answer, **more}
    return form | ({"additionalResponses": failures} if failures else {})


def _actions() -> dict[str, Any]:
    one = "/things/{id}"
    location = [{"htv:fieldName": "Location"}]
    put = _form(one, "PUT", 201, errors=(400,), contentType=MEDIA_TYPE)
    replace = _form(one, "PUT", 204, errors=(400,), contentType=MEDIA_TYPE)
    post = _form("/things", "POST", 201, errors=(400,), contentType=MEDIA_TYPE, response={"htv:headers": location})
    patch = _form(one, "PATCH", 204, errors=(400, 404), contentType="application/merge-patch+json")
    remove = _form(one, "DELETE", 204, errors=(404,), contentType=MEDIA_TYPE)
    retrieve = _form(one, "GET", 200, errors=(404,))
    return {
        "retrieveThing": {
            "title": "A thing's description",
            "safe": True,
            "idempotent": True,
            "uriVariables": _ID,
            "forms": [retrieve],
        },
        "createThing": {"title": "Add a thing with its id", "uriVariables": _ID, "forms": [put]},
        "createAnonymousThing": {"title": "Add a thing without an id", "forms": [post]},
        "updateThing": {"title": "Replace a thing", "uriVariables": _ID, "forms": [replace]},
        "partiallyUpdateThing": {"title": "Change parts of a thing", "uriVariables": _ID, "forms": [patch]},
        "deleteThing": {"title": "Remove a thing", "uriVariables": _ID, "forms": [remove]},
    }


def _properties() -> dict[str, Any]:
    variables = {
        "offset": {"title": "Things to skip", "type": "integer", "minimum": 0, "default": 0},
        "limit": {"title": "Things in a page", "type": "integer", "minimum": 1},
        "format": {"title": "Form of the answer", "type": "string", "enum": ["array", "collection"]},
    }
    listing = {"contentType": "application/ld+json"}
    paged = listing | {"htv:headers": [{"htv:fieldName": "Link"}]}
    everything = _form("/things", "GET", 200, errors=(), response=listing)
    pages = _form("/things{?offset,limit,format}", "GET", 200, errors=(400,), response=paged)
    return {
        "things": {
            "title": "All things",
            "uriVariables": variables,
            "readOnly": True,
            "forms": [everything, pages],
        },
    }


@get(
    "/.well-known/wot",
    summary="The directory's own description",
    tags=["directory"],
    opt=describe(
        public=True,
        answers={200: ("A Thing Description of type ThingDirectory", {MEDIA_TYPE: {"@type": "ThingDirectory"}})},
    ),
)
async def well_known(request: Request[Any, Any, Any], services: Given) -> Response[bytes]:
    """Where to start: a Thing Description with the affordances of the directory. Says nothing of the things."""
    scheme = "nosec" if services.settings.open else "bearer"
    td = {
        "@context": ["https://www.w3.org/2022/wot/td/v1.1", CONTEXT],
        "@type": "ThingDirectory",
        "title": "allthings",
        "version": {"instance": allthings.__version__},
        "base": base_url(request),
        "securityDefinitions": {f"{scheme}_sc": {"scheme": scheme}},
        "security": f"{scheme}_sc",
        "properties": _properties(),
        "actions": _actions(),
    }
    return Response(dumps(td), media_type=MEDIA_TYPE, headers={"Vary": "Host"})


HANDLERS = [well_known]
