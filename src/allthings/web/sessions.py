"""Logging in and out of the console."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

import allthings
from allthings.registry.attempts import Attempts
from allthings.registry.users import User
from allthings.things.errors import UnauthorizedError
from allthings.web import audit, settings
from allthings.web.auth import Identities, Identity
from allthings.web.errors import TooManyRequestsError
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

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts
        self._turn = asyncio.Semaphore(settings.LOGINS_AT_ONCE_MAX)

    async def open_session(self, request: Request[Any, Any, Any], services: Services, credentials: Credentials) -> str:
        """A new session's token. Raises as check_password."""
        user = await self.check_password(request, services, credentials.user, credentials.password)
        return await services.pools.registry.run(services.registry.users.open_session, user, services.clock())

    async def check_password(
        self, request: Request[Any, Any, Any], services: Services, name: str, password: str
    ) -> User:
        """The user. Raises UnauthorizedError, and TooManyRequestsError: then the password was not even looked at."""
        address = audit.address(request)
        self._check(address, services.clock())
        async with self._turn:
            self._check(address, services.clock())
            user = await services.pools.registry.run(services.registry.users.verify, name, password)
            if user is None:
                self._attempts.failed(address, services.clock())
        if user is None:
            why = "the user name or the password is wrong"
            await audit.login_failed(request, services, name, why)
            raise UnauthorizedError(why)
        self._attempts.succeeded(address)
        return user

    def _check(self, address: str, now_ns: int) -> None:
        wait_s = self._attempts.wait_s(address, now_ns)
        if wait_s:
            raise TooManyRequestsError(
                f"too many logins from this address failed; try again in {wait_s} s", retry_after_s=wait_s
            )


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
    """Open a session; the answer sets the cookie `allthings_session`. Ten failures in a row earn a pause."""
    token = await request.app.state.logins.open_session(request, services, data)
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
    opt=describe(example={"user": "admin", "role": "admin", "open": False, "version": "0.3.0"}),
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
