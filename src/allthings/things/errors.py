"""The error tree.

AllthingsError
├── BadInputError        what was sent cannot be used (HTTP 400)
├── NotFoundError        no such thing, property, reject … (404)
├── ConflictError        it exists already, or has changed meanwhile (409)
├── UnauthorizedError    who are you? (401)
├── ForbiddenError       you may not (403)
├── LimitExceededError   larger, longer or more than is allowed (413)
└── UnavailableError     a part of the platform does not answer now (503)

Every error carries a stable `type` (the last part of its problem type, RFC 9457 section 3.1.1) and says what was
wrong, where, and what to do.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AllthingsError(Exception):
    """Base of every error of this package that is not of the MQTT wire."""

    type: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class BadInputError(AllthingsError):
    type = "bad-input"
    title = "The input cannot be used"
    status = 400


class UnauthorizedError(AllthingsError):
    type = "unauthorized"
    title = "Log in first"
    status = 401


class ForbiddenError(AllthingsError):
    type = "forbidden"
    title = "Not allowed"
    status = 403


class NotFoundError(AllthingsError):
    type = "not-found"
    title = "Not found"
    status = 404


class ConflictError(AllthingsError):
    type = "conflict"
    title = "In conflict with what is there"
    status = 409


class LimitExceededError(AllthingsError):
    type = "limit-exceeded"
    title = "Over a limit"
    status = 413


class UnavailableError(AllthingsError):
    type = "unavailable"
    title = "A part of the platform does not answer"
    status = 503
