"""Every error leaves as problem details (RFC 9457), with a `type` that stays.

The type is `urn:allthings:problem:<type>`, a name rather than an address: it is the same on every installation, and
a client compares it as text. `<type>` is the `type` of the error's class, or for what the framework refuses one of
the few in `_OF_STATUS`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from allthings.log.errors import NoRoomError
from allthings.things.errors import AllthingsError
from allthings.things.td.check import InvalidTdError
from allthings.web.errors import NotReadyError
from allthings.web.paths import reference

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:allthings:problem:"

#: Types and titles of what the framework itself refuses.
_OF_STATUS: Final[dict[int, tuple[str, str]]] = {
    400: ("bad-input", "The input cannot be used"),
    401: ("unauthorized", "Log in first"),
    403: ("forbidden", "Not allowed"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "This method is not allowed here"),
    413: ("limit-exceeded", "Over a limit"),
    415: ("unsupported-media-type", "This content type is not read here"),
    500: ("internal", "Internal error"),
}
#: Of a path that was asked for, what an answer and the log repeat.
_PATH_SHOWN_MAX: Final = 512
_CHALLENGE: Final = 'Bearer realm="allthings"'
_encoder: Final = msgspec.json.Encoder(enc_hook=str)
#: What is told to each who asks; the log has it once, when it begins.
_LOGGED_ONCE: Final = (NoRoomError, NotReadyError)
_log = logging.getLogger("allthings.web")


def problem(
    kind: str,
    title: str,
    status: int,
    detail: str,
    *,
    instance: str = "",
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, Any] | None = None,
) -> Response[bytes]:
    """A problem details answer. Extensions never replace the standard members."""
    body: dict[str, Any] = {**(extensions or {})}
    body |= {"type": TYPE_PREFIX + kind, "title": title, "status": status, "detail": detail}
    if instance:
        body["instance"] = instance
    sent = dict(headers or {})
    if status == 401:
        sent["WWW-Authenticate"] = _CHALLENGE
    elif status in (429, 503):
        sent.setdefault("Retry-After", str(max(1, round(float(body.get("retry_after_s", 1))))))
    content = _encoder.encode(body)
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=sent)


def _where(request: Request[Any, Any, Any]) -> str:
    return reference(request.scope["path"])[:_PATH_SHOWN_MAX]


def from_allthings_error(request: Request[Any, Any, Any], error: AllthingsError) -> Response[bytes]:
    """Our own errors carry everything already."""
    if error.status >= 500 and not isinstance(error, _LOGGED_ONCE):
        _log.warning("%s %s: %s", request.method, _where(request), error.detail)
    extensions = dict(error.extensions)
    if isinstance(error, InvalidTdError):
        # The names that WoT Discovery section 7.3.2.6 gives them.
        found = extensions.pop("problems", [])
        extensions["validationErrors"] = [{"field": one["pointer"], "description": one["problem"]} for one in found]
    return problem(error.type, error.title, error.status, error.detail, instance=_where(request), extensions=extensions)


def from_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework refuses: unknown paths, methods, parameters that do not fit their type, large bodies."""
    kind, title = _OF_STATUS.get(error.status_code, ("http-error", "The request failed"))
    extensions: dict[str, Any] = {}
    detail = error.detail
    if error.status_code == 404:
        detail = f"there is nothing at {_where(request)}"
    elif error.status_code == 405:
        detail = f"{request.method} is not allowed at {_where(request)}"
    elif isinstance(error.extra, list):
        # A parameter whose name is a word of Python's or of ours has an underscore more inside.
        errors = [one | {"key": str(one.get("key", "?")).rstrip("_")} for one in error.extra if isinstance(one, dict)]
        extensions["errors"] = errors
        detail = "; ".join(f"{one['key']}: {one.get('message', '')}" for one in errors) or detail
    return problem(
        kind,
        title,
        error.status_code,
        detail,
        instance=_where(request),
        headers=error.headers,
        extensions=extensions,
    )


def from_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A fault of ours: the reader learns nothing of its inside, the log everything."""
    _log.error("%s %s failed", request.method, _where(request), exc_info=error)
    return problem(
        "internal",
        "Internal error",
        500,
        "something went wrong inside; the platform's log says what",
        instance=_where(request),
    )


HANDLERS: Final[dict[Any, Any]] = {
    AllthingsError: from_allthings_error,
    HTTPException: from_http_exception,
    Exception: from_exception,
}
