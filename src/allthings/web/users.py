"""`/api/users`: people, their roles and passwords. For administrators; a person changes the own password alone."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody

from allthings.registry.users import User
from allthings.things.errors import ForbiddenError
from allthings.things.names import TENANT
from allthings.web import audit
from allthings.web.auth import Identities, Identity
from allthings.web.openapi import describe
from allthings.web.services import Given

_Asking = Request[Identity, None, Any]
_Role = Literal["admin", "operator", "viewer"]
_Password = Annotated[str, msgspec.Meta(min_length=8, max_length=1_024)]
_Tenant = Annotated[str, msgspec.Meta(max_length=64)]


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A person. An admin may change everything, an operator everything but who may do what; a viewer may look."""

    user: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: _Password
    role: _Role = "viewer"
    tenant: _Tenant = TENANT


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change; the rest stays."""

    role: _Role | None = None
    tenant: _Tenant | None = None
    password: _Password | None = None


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password until now, and the next one."""

    old: Annotated[str, msgspec.Meta(max_length=1_024)]
    new: _Password


class UserShown(msgspec.Struct):
    """A person."""

    user: str
    role: str
    tenant: str


class UserList(msgspec.Struct):
    """All people by name."""

    users: list[UserShown]


_SHOWN: Final = {"user": "ada", "role": "operator", "tenant": "main"}


@get("/api/users", summary="Users", tags=["access"], opt=describe(admins=True, example={"users": [_SHOWN]}))
async def list_users(services: Given) -> UserList:
    """All people with their roles."""
    users = await services.pools.registry.run(services.registry.users.list)
    return UserList([_shown(one) for one in users])


@post(
    "/api/users",
    summary="Add a user",
    tags=["access"],
    opt=describe(admins=True, example=_SHOWN, request_example={**_SHOWN, "password": "correct horse battery"}),
)
async def create_user(request: _Asking, data: JSONBody[NewUser], services: Given) -> UserShown:
    """The password is kept as argon2id."""
    create = services.registry.users.create
    user = await services.pools.registry.run(create, data.user, data.password, data.role, data.tenant)
    await audit.changed(request, services, "user-made", f"{user.name}: {user.role}, tenant {user.tenant}")
    return _shown(user)


@patch(
    "/api/users/{user:str}",
    summary="Change a user",
    tags=["access"],
    opt=describe(admins=True, example=_SHOWN, request_example={"role": "operator"}),
)
async def change_user(request: _Asking, user: FromPath[str], data: JSONBody[UserChange], services: Given) -> UserShown:
    """Another role or tenant holds within a second. Another password ends what was begun with the one before."""
    run, users = services.pools.registry.run, services.registry.users
    changed = await run(users.change, user, data.role, data.tenant)
    what = f"{changed.name}: {changed.role}, tenant {changed.tenant}"
    if data.password is not None:
        await run(users.set_password, user, data.password)
        what += ", new password"
    _forget(request)
    await audit.changed(request, services, "user-changed", what)
    return _shown(changed)


@delete("/api/users/{user:str}", summary="Remove a user", tags=["access"], opt=describe(admins=True))
async def remove_user(request: _Asking, user: FromPath[str], services: Given) -> None:
    """With sessions, tokens and own rules. The last administrator stays."""
    await services.pools.registry.run(services.registry.users.remove, user)
    _forget(request)
    await audit.changed(request, services, "user-removed", user)


@put(
    "/api/me/password",
    status_code=204,
    summary="Change the own password",
    tags=["sessions"],
    opt=describe(
        viewers=True,
        answers={204: ("It is changed; all sessions have ended", {})},
        request_example={"old": "correct horse battery", "new": "staple of the house"},
    ),
)
async def change_own_password(request: _Asking, data: JSONBody[NewPassword], services: Given) -> None:
    """Ends all sessions of the user, this one too, and MQTT connections made with the old password."""
    name = request.user.user
    if request.user.via == "open":
        raise ForbiddenError("with --open nobody is logged in who could have a password")
    await request.app.state.logins.check_password(request, services, name, data.old)
    await services.pools.registry.run(services.registry.users.set_password, name, data.new)
    _forget(request)
    await audit.changed(request, services, "user-changed", f"{name}: new password")


def _forget(request: _Asking) -> None:
    identities: Identities = request.app.state.identities
    identities.forget()


def _shown(user: User) -> UserShown:
    return UserShown(user.name, user.role, user.tenant)


HANDLERS = [list_users, create_user, change_user, remove_user, change_own_password]
