"""Errors that only the web has; the rest of the tree is in allthings.things.errors."""

from __future__ import annotations

from allthings.things.errors import AllthingsError, BadInputError, ForbiddenError, UnavailableError


class TooManyRequestsError(AllthingsError):
    """Asked too often; `retry_after_s` says when to come back (RFC 6585 section 4)."""

    type = "too-many-requests"
    title = "Too many requests"
    status = 429


class NotReadyError(UnavailableError):
    """The platform does not serve now: `parts` says which parts of it do not, `reasons` why."""


class BusyError(UnavailableError):
    """As many requests of this kind as the platform serves at once are under way."""

    type = "busy"
    title = "Busy"


class ClientGoneError(AllthingsError):
    """The client closed the connection before it had its answer; nobody reads this one."""

    type = "client-gone"
    title = "The client went away"
    status = 499


class UnsupportedMediaTypeError(BadInputError):
    """The body's content type is none that the route reads."""

    type = "unsupported-media-type"
    title = "This content type is not read here"
    status = 415


class NotAcceptableError(BadInputError):
    """None of the formats that the client accepts can be made."""

    type = "not-acceptable"
    title = "None of these formats can be made"
    status = 406


class PreconditionFailedError(AllthingsError):
    """A condition of the request (RFC 9110, section 13) does not hold."""

    type = "precondition-failed"
    title = "A condition of the request does not hold"
    status = 412


class VersionConflictError(PreconditionFailedError):
    """It has changed since the client read it."""

    type = "version-conflict"
    title = "Changed since it was read"


class TimedOutError(AllthingsError):
    """The request's body did not arrive in time."""

    type = "request-timeout"
    title = "The request took too long to arrive"
    status = 408


class BadUpgradeError(BadInputError):
    """A request for a WebSocket that is none, or not for MQTT."""

    type = "bad-upgrade"
    title = "This opens no WebSocket"


class ForeignOriginError(ForbiddenError):
    """A page of another site tried to change something with a person's cookie, or under another host name."""

    type = "foreign-origin"
    title = "Not from another site"
