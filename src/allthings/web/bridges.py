"""`/api/bridges`: other brokers that messages are exchanged with, and how that goes. For administrators."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, delete, get, post, put
from litestar.params import FromPath, JSONBody

from allthings.connectors.outbound import consumer
from allthings.connectors.state import BridgeState, Incoming, Outgoing
from allthings.registry.bridges import Bridge, BridgeSettings, TopicMap
from allthings.registry.settings import BRIDGE_CA_MAX, BRIDGE_MAPS_MAX, BRIDGE_TEXT_MAX
from allthings.things.times import format_time
from allthings.web import audit
from allthings.web.auth import Identity
from allthings.web.openapi import describe
from allthings.web.services import Given, Services

_Asking = Request[Identity, None, Any]
_Text = Annotated[str, msgspec.Meta(max_length=BRIDGE_TEXT_MAX)]


class BridgeWanted(msgspec.Struct, forbid_unknown_fields=True):
    """Where the other broker is (`mqtt://host:1883`, `mqtts://host:8883`), and what crosses.

    `ca`: the authorities (PEM) that its certificate is checked with, "" for the system's.
    `certificate`, `key`: files on the platform's machine (absolute paths, PEM) that the bridge shows itself with, ""
    for none; the key may be in the certificate's file. `password` null keeps the one there is; it is never shown.
    """

    url: _Text
    maps: Annotated[list[TopicMap], msgspec.Meta(min_length=1, max_length=BRIDGE_MAPS_MAX)]
    version: Literal["5", "3.1.1"] = "5"
    user: _Text = ""
    password: _Text | None = None
    ca: Annotated[str, msgspec.Meta(max_length=BRIDGE_CA_MAX)] = ""
    certificate: _Text = ""
    key: _Text = ""
    enabled: bool = True


class NewBridge(BridgeWanted, forbid_unknown_fields=True, kw_only=True):
    """A bridge and its name."""

    name: Annotated[str, msgspec.Meta(max_length=64)]


class StateShown(msgspec.Struct):
    """How a bridge is. Phases: connecting, connected, waiting (it lost the other broker and tries again), off.

    `behind_blocks`: of the log, not sent yet. The counts are of messages since the platform started.
    """

    phase: str
    since: str | None
    trouble: str
    connects: int
    behind_blocks: int
    incoming: Incoming
    outgoing: Outgoing


class BridgeShown(msgspec.Struct):
    """A bridge as it was asked for, and how it is. Its password is not shown, only whether there is one."""

    name: str
    id: str
    url: str
    version: str
    user: str
    password_set: bool
    ca: str
    certificate: str
    key: str
    maps: list[TopicMap]
    enabled: bool
    created: str
    modified: str
    state: StateShown


class BridgeList(msgspec.Struct):
    """All bridges by name."""

    bridges: list[BridgeShown]


_MAPS: Final = [
    {"direction": "out", "filter": "things/#", "prefix": "site1/", "strip": "", "qos": 1, "retain": True},
    {"direction": "in", "filter": "site1/commands/#", "prefix": "", "strip": "site1/", "qos": 1, "retain": False},
]
_WANTED: Final = {
    "url": "mqtts://broker.example.org:8883",
    "version": "5",
    "user": "site1",
    "password": "a secret",
    "ca": "",
    "certificate": "",
    "key": "",
    "enabled": True,
    "maps": _MAPS,
}
_SHOWN: Final = {
    "name": "cloud",
    "id": "5f2d9c0e1b7a4c33",
    **{name: value for name, value in _WANTED.items() if name != "password"},
    "password_set": True,
    "created": "2026-11-22T08:30:00Z",
    "modified": "2026-11-22T08:30:00Z",
    "state": {
        "phase": "connected",
        "since": "2026-11-22T08:30:01Z",
        "trouble": "",
        "connects": 1,
        "behind_blocks": 0,
        "incoming": {"taken": 12, "echoes": 0, "circled": 0, "unmapped": 0, "unusable": 0},
        "outgoing": {"sent": 4711, "refused": 0, "expired": 0, "circled": 0, "missed_blocks": 0},
    },
}


@get("/api/bridges", summary="Bridges", tags=["bridges"], opt=describe(admins=True, example={"bridges": [_SHOWN]}))
async def list_bridges(services: Given) -> BridgeList:
    """All of them, with their state."""
    bridges = await services.pools.registry.run(services.registry.bridges.list)
    lag = (await services.log.status()).lag
    return BridgeList([_shown(one, services, lag) for one in bridges])


@post(
    "/api/bridges",
    summary="Add a bridge",
    tags=["bridges"],
    opt=describe(admins=True, example=_SHOWN, request_example={"name": "cloud", **_WANTED}),
)
async def create_bridge(request: _Asking, data: JSONBody[NewBridge], services: Given) -> BridgeShown:
    """It connects within a second, and goes on until it is removed. What is published from now on crosses it."""
    create = services.registry.bridges.create
    made = await services.pools.registry.run(create, data.name, _settings(data), services.clock())
    await audit.changed(request, services, "bridge-made", _said(made))
    return _shown(made, services, {})


@get("/api/bridges/{name:str}", summary="A bridge", tags=["bridges"], opt=describe(admins=True, example=_SHOWN))
async def get_bridge(name: FromPath[str], services: Given) -> BridgeShown:
    """With its state."""
    bridge = await services.pools.registry.run(services.registry.bridges.get, name)
    return _shown(bridge, services, (await services.log.status()).lag)


@put(
    "/api/bridges/{name:str}",
    summary="Change a bridge",
    tags=["bridges"],
    opt=describe(admins=True, example=_SHOWN, request_example=_WANTED),
)
async def replace_bridge(
    request: _Asking, name: FromPath[str], data: JSONBody[BridgeWanted], services: Given
) -> BridgeShown:
    """Its place in the log and its session at the other broker stay: nothing is lost in between."""
    replace = services.registry.bridges.replace
    changed = await services.pools.registry.run(replace, name, _settings(data), services.clock())
    await audit.changed(request, services, "bridge-changed", _said(changed))
    return _shown(changed, services, {})


@delete("/api/bridges/{name:str}", summary="Remove a bridge", tags=["bridges"], opt=describe(admins=True))
async def remove_bridge(request: _Asking, name: FromPath[str], services: Given) -> None:
    """Its session at the other broker ends, if that answers."""
    removed = await services.pools.registry.run(services.registry.bridges.remove, name)
    await audit.changed(request, services, "bridge-removed", _said(removed))


def _settings(data: BridgeWanted) -> BridgeSettings:
    return BridgeSettings(
        data.url,
        tuple(data.maps),
        data.version,
        data.user,
        data.password,
        data.ca,
        data.certificate,
        data.key,
        data.enabled,
    )


def _said(bridge: Bridge) -> str:
    on = "on" if bridge.enabled else "off"
    return f"{bridge.name}: {bridge.url}, MQTT {bridge.version}, {len(bridge.maps)} maps, {on}"


def _shown(bridge: Bridge, services: Services, lag: dict[str, int]) -> BridgeShown:
    state = services.bridges.state(bridge.name) if services.bridges else BridgeState(phase="off")
    return BridgeShown(
        name=bridge.name,
        id=bridge.id,
        url=bridge.url,
        version=bridge.version,
        user=bridge.user,
        password_set=bool(bridge.password),
        ca=bridge.ca,
        certificate=bridge.certificate,
        key=bridge.key,
        maps=list(bridge.maps),
        enabled=bridge.enabled,
        created=format_time(bridge.created_ns),
        modified=format_time(bridge.modified_ns),
        state=StateShown(
            phase=state.phase,
            since=format_time(state.since_ns) if state.since_ns else None,
            trouble=state.trouble,
            connects=state.connects,
            behind_blocks=lag.get(consumer(bridge.name), 0),
            incoming=state.incoming,
            outgoing=state.outgoing,
        ),
    )


HANDLERS = [list_bridges, create_bridge, get_bridge, replace_bridge, remove_bridge]
