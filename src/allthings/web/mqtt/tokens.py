"""`/api/mqtt/token`: what a page shows at `/mqtt` so that whoever is logged in need not log in again."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, post

from allthings.things.errors import ForbiddenError
from allthings.things.times import format_time
from allthings.web.auth import Identity
from allthings.web.openapi import describe
from allthings.web.services import Given


class MqttToken(msgspec.Struct):
    """MQTT's user name and password. Until `expires` it can be used to connect."""

    user: str
    token: str
    expires: str


@post(
    "/api/mqtt/token",
    summary="Credentials for MQTT, for some minutes",
    tags=["mqtt"],
    opt=describe(viewers=True, example={"user": "ada", "token": "atm_…", "expires": "2026-11-22T08:35:00Z"}),
)
async def create_mqtt_token(request: Request[Identity, None, Any], services: Given) -> MqttToken:
    """For pages that speak MQTT over WebSocket as the user who asks. What that user may do, access rules say.

    A connection outlives the token by which it was made. With --open none is needed, and none is given.
    """
    if request.user.via == "open":
        raise ForbiddenError("with --open anyone may connect, and no token is needed")
    create = services.registry.tokens.create
    token = await services.pools.registry.run(create, "mqtt", request.user.user, "", services.clock())
    assert token.expires_ns is not None
    return MqttToken(token.subject, token.secret, format_time(token.expires_ns))


HANDLERS: Final[list[Any]] = [create_mqtt_token]
