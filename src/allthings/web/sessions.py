"""Logging in and out of the console."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

import allthings
from allthings.things.errors import UnauthorizedError
from allthings.web import settings
from allthings.web.auth import Identities, Identity
from allthings.web.logins import FailedLogins
from allthings.web.openapi import describe
from allthings.web.services import Given, Services


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A person's name and password."""

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=128, examples=["admin"])]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024, examples=["correct horse battery"])]


class Me(msgspec.Struct):
    """Who is logged in. `open` tells that authentication is off."""

    user: str
    role: str
    open: bool
    version: str


class Logins:
    """Checks passwords: a few at once, and not for ever from one address."""

    def __init__(self) -> None:
        self._failed = FailedLogins()
        self._turn = asyncio.Semaphore(settings.LOGINS_AT_ONCE_MAX)

    async def open_session(self, services: Services, credentials: Credentials, address: str) -> str:
        """A new session's token. Raises UnauthorizedError and TooManyRequestsError."""
        self._failed.check(address, services.clock())
        users, run = services.registry.users, services.pools.registry.run
        async with self._turn:
            self._failed.check(address, services.clock())
            user = await run(users.verify, credentials.user, credentials.password)
        if user is None:
            self._failed.failed(address, services.clock())
            raise UnauthorizedError("the user name or the password is wrong")
        self._failed.succeeded(address)
        return await run(users.open_session, user, services.clock())


@post(
    "/api/login",
    status_code=204,
    summary="Log in",
    tags=["sessions"],
    opt=describe(
        public=True,
        answers={204: ("The session cookie is set", {})},
        request_example={"user": "admin", "password": "correct horse battery"},
    ),
)
async def login(request: Request[None, None, Any], data: JSONBody[Credentials], services: Given) -> Response[None]:
    """Open a session; the answer sets the cookie `allthings_session`. Ten failures in a minute earn a pause."""
    address = request.client.host if request.client else ""
    token = await request.app.state.logins.open_session(services, data, address)
    return Response(None, status_code=204, cookies=[_cookie(request, token, settings.SESSION_S)])


@post(
    "/api/logout",
    status_code=204,
    summary="Log out",
    tags=["sessions"],
    opt=describe(viewers=True, answers={204: ("The session has ended", {})}),
)
async def logout(request: Request[Identity, None, Any], services: Given) -> Response[None]:
    """End the session behind the cookie. A bearer token stays as it is."""
    if request.user.via == "session":
        await services.pools.registry.run(services.registry.users.close_session, request.user.credential)
        identities: Identities = request.app.state.identities
        identities.forget()
    return Response(None, status_code=204, cookies=[_cookie(request, "", 0)])


@get(
    "/api/me",
    summary="Who is logged in",
    tags=["sessions"],
    opt=describe(example={"user": "admin", "role": "admin", "open": False, "version": "0.1.0"}),
)
async def me(request: Request[Identity, None, Any], services: Given) -> Me:
    """The person or program that asks."""
    return Me(request.user.user, request.user.role, services.settings.open, allthings.__version__)


def _cookie(request: Request[Any, Any, Any], value: str, max_age: int) -> Cookie:
    return Cookie(
        key=settings.SESSION_COOKIE,
        value=value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


HANDLERS = [login, logout, me]
