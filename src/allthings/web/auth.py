"""Who asks: a session cookie, a bearer token, or anyone on a loopback address that was opened with --open.

Every route is closed unless its handler's `opt` says `public`. What changes something is for administrators and
operators unless it says `viewers`; who may do what is for administrators alone, `admins`. A device's token is for MQTT
and opens nothing here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from allthings.registry.users import User
from allthings.things.errors import ForbiddenError, UnauthorizedError
from allthings.web import settings
from allthings.web.errors import ForeignOriginError
from allthings.web.services import Services

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Identity(msgspec.Struct, frozen=True):
    """Who asks, and by which means they showed it."""

    user: str
    role: str
    via: Literal["open", "session", "token"]
    credential: str = ""


#: Everyone, when authentication is off.
ANYONE: Final = Identity("anyone", "admin", "open")


class Identities:
    """Looks credentials up in the registry, and remembers for a moment what it found."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: OrderedDict[tuple[str, str], tuple[Identity, int]] = OrderedDict()

    async def of(self, headers: Headers, cookies: dict[str, str]) -> Identity:
        """The identity behind a request's credentials.

        A bearer token wins over a cookie, so that a program on a page says itself who it is. Raises
        UnauthorizedError, which tells whether the credentials were missing or wrong.
        """
        if self._services.settings.open:
            return ANYONE
        authorization = headers.get("authorization", "")
        if authorization:
            scheme, _, secret = authorization.partition(" ")
            if scheme.lower() != "bearer":
                raise UnauthorizedError("only bearer tokens are understood: Authorization: Bearer <token>")
            return await self._look_up("token", secret.strip())
        session = cookies.get(settings.SESSION_COOKIE, "")
        if session:
            return await self._look_up("session", session)
        raise UnauthorizedError("log in, or send a token: Authorization: Bearer <token>")

    async def _look_up(self, via: Literal["session", "token"], credential: str) -> Identity:
        now = self._services.clock()
        known = self._known.get((via, credential))
        if known and now < known[1]:
            return known[0]
        user: User | None = None
        if 0 < len(credential) <= settings.CREDENTIAL_CHARS_MAX:
            run, registry = self._services.pools.registry.run, self._services.registry
            if via == "token":
                user = await run(registry.tokens.verify_bearer, credential)
            else:
                user = await run(registry.users.session, credential, now)
        if user is None:
            self._known.pop((via, credential), None)
            what = "this token is not known" if via == "token" else "the session has ended"
            raise UnauthorizedError(f"{what}; log in again or make a new token")
        identity = Identity(user.name, user.role, via, credential)
        self._known[via, credential] = (identity, now + int(settings.IDENTITY_CACHED_S * 1e9))
        if len(self._known) > settings.IDENTITIES_CACHED_MAX:
            self._known.popitem(last=False)
        return identity

    def forget(self) -> None:
        """After a logout or a revoked token: ask the registry again."""
        self._known.clear()


class Authentication(ASGIMiddleware):
    """Lets a request through to its handler with `scope["user"]`, an Identity, or refuses it."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    def __init__(self, identities: Identities, is_open: bool) -> None:
        self._identities = identities
        self._is_open = is_open

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request: Request[Any, Any, Any] = Request(scope)
        headers = request.headers
        if self._is_open:
            check_host(headers)
        bearer = headers.get("authorization", "").lower().startswith("bearer ")
        changes = scope.get("method", "GET") not in _SAFE_METHODS
        if changes and not bearer:
            check_origin(headers)
        opt = scope["route_handler"].opt
        identity = None if opt.get("public") else await self._identities.of(headers, request.cookies)
        if identity and opt.get("admins") and identity.role != "admin":
            raise ForbiddenError(f"this is for administrators, and {identity.user} is none")
        if identity and changes and identity.role == "viewer" and not opt.get("viewers"):
            raise ForbiddenError(f"{identity.user} may look, but not change anything")
        scope["user"] = identity
        await next_app(scope, receive, send)


def check_host(headers: Headers) -> None:
    """Without authentication only the machine itself may ask, under its own name.

    A page that makes its own host name point to 127.0.0.1 (DNS rebinding) sends that name as Host. Raises
    ForeignOriginError.
    """
    host = urlsplit("//" + headers.get("host", "")).hostname or ""
    if host not in _LOOPBACK_NAMES:
        raise ForeignOriginError(f"with --open the platform answers as localhost or 127.0.0.1, not as {host[:64]!r}")


def check_origin(headers: Headers) -> None:
    """What changes something must come from our own pages, or from no page at all (a program sends no Origin).

    Raises ForeignOriginError.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise ForeignOriginError("the request was made by a page of another site (Sec-Fetch-Site)")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
        raise ForeignOriginError(f"the request was made by a page of {origin[:64]!r}, not of this platform")
