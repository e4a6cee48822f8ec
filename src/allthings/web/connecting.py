"""`/api/connect-info`: what a person copies into a device's settings."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get

from allthings.web.directory.serve import base_url, mqtt_host
from allthings.web.openapi import describe
from allthings.web.services import Given


class Mqtt(msgspec.Struct):
    """Where devices publish."""

    host: str
    port: int


class ConnectInfo(msgspec.Struct):
    """Addresses as the one who asks can reach them."""

    mqtt: Mqtt
    http: str


@get(
    "/api/connect-info",
    summary="Addresses for devices and programs",
    tags=["operations"],
    opt=describe(example={"mqtt": {"host": "127.0.0.1", "port": 1883}, "http": "http://127.0.0.1:8484"}),
)
async def connect_info(request: Request[Any, Any, Any], services: Given) -> ConnectInfo:
    """A gateway that listens on every address is named by the host under which this page was reached."""
    mqtt = Mqtt(mqtt_host(request, services), services.settings.mqtt_port)
    return ConnectInfo(mqtt, base_url(request))


HANDLERS = [connect_info]
