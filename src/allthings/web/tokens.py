"""Tokens of devices (for MQTT) and of programs (for these APIs)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody

from allthings.registry.tokens import Token
from allthings.registry.users import ADMIN
from allthings.things.errors import ForbiddenError
from allthings.things.times import format_time
from allthings.web import audit
from allthings.web.auth import Identities, Identity
from allthings.web.names import ThingPath
from allthings.web.openapi import describe
from allthings.web.paths import reference
from allthings.web.services import Given


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """What a token is for, in words."""

    label: Annotated[str, msgspec.Meta(max_length=128)] = ""


class TokenShown(msgspec.Struct):
    """A token without its secret."""

    id: str
    label: str
    created: str


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """A password that a person chose for a device; kept as argon2id."""

    password: Annotated[str, msgspec.Meta(min_length=8, max_length=1_024)]


class PasswordState(msgspec.Struct):
    """Whether there is a password, and since when."""

    set: bool
    created: str | None


class TokenList(msgspec.Struct):
    """Tokens, oldest first."""

    tokens: list[TokenShown]


class TokenMade(msgspec.Struct):
    """A new token. Its secret is shown this once; only its digest is kept."""

    id: str
    token: str


_LIST_EXAMPLE = {"tokens": [{"id": "4f2a", "label": "in the cellar", "created": "2026-11-22T08:30:00Z"}]}
_MADE_EXAMPLE = {"id": "4f2a", "token": "…"}
_LABEL_EXAMPLE = {"label": "in the cellar"}


@get(
    "/api/things/{thing:str}/tokens",
    summary="A device's tokens",
    tags=["tokens"],
    opt=describe(example=_LIST_EXAMPLE),
)
async def list_device_tokens(thing: ThingPath, services: Given) -> TokenList:
    """Without their secrets."""
    run, registry = services.pools.registry.run, services.registry
    name = (await run(registry.things.get, reference(thing))).name
    return _shown(await run(registry.tokens.list, name, kind="device"))


@post(
    "/api/things/{thing:str}/tokens",
    summary="Make a token for a device",
    tags=["tokens"],
    opt=describe(example=_MADE_EXAMPLE, request_example=_LABEL_EXAMPLE),
)
async def create_device_token(
    request: Request[Identity, None, Any], thing: ThingPath, data: JSONBody[NewToken], services: Given
) -> TokenMade:
    """The MQTT password of this thing; the user name is the thing's name. It opens nothing else."""
    run, registry = services.pools.registry.run, services.registry
    token = await run(registry.tokens.create, "device", reference(thing), data.label, services.clock())
    await audit.changed(request, services, "token-made", _said(token))
    return TokenMade(token.id, token.secret)


@get("/api/tokens", summary="Programs' tokens", tags=["tokens"], opt=describe(example=_LIST_EXAMPLE))
async def list_api_tokens(request: Request[Identity, None, Any], services: Given) -> TokenList:
    """The bearer tokens of the user who asks, without their secrets."""
    tokens = services.registry.tokens
    return _shown(await services.pools.registry.run(tokens.list, _owner(request.user), kind="api"))


@post(
    "/api/tokens",
    summary="Make a token for a program",
    tags=["tokens"],
    opt=describe(example=_MADE_EXAMPLE, request_example=_LABEL_EXAMPLE),
)
async def create_api_token(
    request: Request[Identity, None, Any], data: JSONBody[NewToken], services: Given
) -> TokenMade:
    """A bearer token that may do what the user who asks may."""
    create, user = services.registry.tokens.create, _owner(request.user)
    token = await services.pools.registry.run(create, "api", user, data.label, services.clock())
    await audit.changed(request, services, "token-made", _said(token))
    return TokenMade(token.id, token.secret)


@delete("/api/tokens/{token_id:str}", summary="Revoke a token", tags=["tokens"], opt=describe())
async def revoke_token(request: Request[Identity, None, Any], token_id: FromPath[str], services: Given) -> None:
    """A device's, or the own of a program; an administrator revokes any.

    It stops working at once here, and within a second at the gateway, where its connections end.
    """
    run, tokens = services.pools.registry.run, services.registry.tokens
    token = await run(tokens.get, token_id)
    if token.kind != "device" and token.subject != request.user.user and request.user.role != "admin":
        raise ForbiddenError(f"the token belongs to {token.subject}")
    await run(tokens.revoke, token_id)
    await audit.changed(request, services, "token-revoked", _said(token))
    identities: Identities = request.app.state.identities
    identities.forget()


@get(
    "/api/things/{thing:str}/password",
    summary="Whether a device has a password",
    tags=["tokens"],
    opt=describe(example={"set": True, "created": "2026-11-22T08:30:00Z"}),
)
async def get_device_password(thing: ThingPath, services: Given) -> PasswordState:
    """The password itself is known to nobody."""
    run, registry = services.pools.registry.run, services.registry
    name = (await run(registry.things.get, reference(thing))).name
    created_ns = await run(registry.credentials.device_password_ns, name)
    return PasswordState(created_ns is not None, None if created_ns is None else format_time(created_ns))


@put(
    "/api/things/{thing:str}/password",
    status_code=204,
    summary="Give a device a password",
    tags=["tokens"],
    opt=describe(answers={204: ("It holds from now on", {})}, request_example={"password": "correct horse battery"}),
)
async def set_device_password(
    request: Request[Identity, None, Any], thing: ThingPath, data: JSONBody[NewPassword], services: Given
) -> None:
    """For devices that cannot take a token. Replaces the one before, whose connections end."""
    set_password = services.registry.credentials.set_device_password
    name = await services.pools.registry.run(set_password, reference(thing), data.password, services.clock())
    await audit.changed(request, services, "password-set", f"of the device {name}")


@delete("/api/things/{thing:str}/password", summary="Take a device's password away", tags=["tokens"], opt=describe())
async def remove_device_password(request: Request[Identity, None, Any], thing: ThingPath, services: Given) -> None:
    """Connections that were made with it end within a second. Tokens stay."""
    run, registry = services.pools.registry.run, services.registry
    name = (await run(registry.things.get, reference(thing))).name
    await run(registry.credentials.remove_device_password, name)
    await audit.changed(request, services, "password-removed", f"of the device {name}")


def _said(token: Token) -> str:
    whose = "the device" if token.kind == "device" else "programs of"
    return f"{token.id} for {whose} {token.subject}" + (f" ({token.label})" if token.label else "")


def _owner(identity: Identity) -> str:
    """With --open nobody is logged in; then tokens are the administrator's."""
    return ADMIN if identity.via == "open" else identity.user


def _shown(tokens: list[Token]) -> TokenList:
    return TokenList([TokenShown(one.id, one.label, format_time(one.created_ns)) for one in tokens])


HANDLERS = [
    list_device_tokens,
    create_device_token,
    list_api_tokens,
    create_api_token,
    revoke_token,
    get_device_password,
    set_device_password,
    remove_device_password,
]
