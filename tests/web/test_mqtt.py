"""What the gateways have, over HTTP, with a real gateway and real clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import httpx
import pytest

from allthings.registry.settings import BRIEF_TOKEN_NS
from allthings.things.times import now_ns, parse_time
from tests.gateway.conftest import Gateway, gateway
from tests.web.conftest import PASSWORD, Platform, client_of, problem

__all__ = ["gateway"]


@pytest.fixture
async def broker(gateway: Gateway, platform: Platform) -> AsyncIterator[int]:
    """A gateway over the platform's registry; its port."""
    async with gateway(platform.registry) as port:
        yield port


def connected(broker: int, platform: Platform, client: str, **more: Any) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", broker, identifier=client, username="admin", password=platform.token, **more)


async def until(http: httpx.AsyncClient, path: str, holds: Callable[[Any], bool], **query: Any) -> Any:
    async with asyncio.timeout(20):
        while not holds(answer := (await http.get(path, params=query)).raise_for_status().json()):
            await asyncio.sleep(0.05)
    return answer


async def test_clients_are_shown_and_sent_away(http: httpx.AsyncClient, platform: Platform, broker: int) -> None:
    async with connected(broker, platform, "a/b c", clean_session=False) as one:
        await one.subscribe("x/#", qos=1)
        page = await until(http, "/api/mqtt/clients", lambda page: page["clients"][0]["subscriptions"] == 1)
        (shown,) = page["clients"]
        assert (page["total"], page["next"]) == (1, None)
        assert (shown["client"], shown["owner"], shown["version"]) == ("a/b c", "user:admin", "3.1.1")
        assert shown["connected"]
        assert shown["persistent"]
        detail = (await http.get("/api/mqtt/clients/a%2Fb%20c")).json()
        assert [each["filter"] for each in detail["subscriptions"]] == ["x/#"]
        async with connected(broker, platform, "zeta"):
            page = (await http.get("/api/mqtt/clients", params={"limit": 1})).json()
            assert [one["client"] for one in page["clients"]] == ["a/b c"]
            rest = (await http.get("/api/mqtt/clients", params={"limit": 1, "next": page["next"]})).json()
            assert ([one["client"] for one in rest["clients"]], rest["next"]) == (["zeta"], None)
            down = (await http.get("/api/mqtt/clients", params={"order": "desc", "limit": 1})).json()
            assert [one["client"] for one in down["clients"]] == ["zeta"]
    await until(http, "/api/mqtt/clients", lambda page: page["total"] == 1, state="away")
    assert (await http.delete("/api/mqtt/clients/a%2Fb%20c", params={"session": "end"})).status_code == 204
    problem(await http.delete("/api/mqtt/clients/a%2Fb%20c"), 404, "not-found")
    problem(await http.get("/api/mqtt/clients/a%2Fb%20c"), 404, "not-found")
    problem(await http.get("/api/mqtt/clients", params={"next": "!"}), 400, "bad-input")
    listed = (await http.get("/api/audit", params={"kind": "client-disconnected"})).json()["entries"]
    assert listed[0]["what"] == "a/b c, session ended"


async def test_topics_and_retained_messages(http: httpx.AsyncClient, platform: Platform, broker: int) -> None:
    async with connected(broker, platform, "writer") as writer:
        await http.get("/api/mqtt/topics")
        await writer.publish("web/kept", b"caf\xc3\xa9", qos=1, retain=True)
        await writer.publish("web/raw", b"\xff\x00", qos=1)
        tree = await until(
            http, "/api/mqtt/topics", lambda tree: len(tree["levels"]) == 2, prefix="web/", sort="name", order="desc"
        )
        raw, kept = tree["levels"]
        assert (kept["topic"], kept["newest"]["payload"], kept["newest"]["retained"]) == ("web/kept", "café", True)
        assert (raw["newest"]["payload_base64"], raw["newest"]["payload_bytes"]) == ("/wA=", 2)
        problem(await http.get("/api/mqtt/topics", params={"prefix": "web"}), 400, "bad-input")
        page = await until(http, "/api/mqtt/retained", lambda page: page["total"] == 1, filter="web/+")
        assert page["messages"][0]["payload"] == "café"
        problem(await http.get("/api/mqtt/retained", params={"filter": "a/#/b"}), 400, "bad-input")
        problem(await http.delete("/api/mqtt/retained", params={"topic": "web/+"}), 400, "bad-input")
        problem(await http.delete("/api/mqtt/retained", params={"topic": "web/raw"}), 404, "not-found")
        await writer.subscribe("web/kept", qos=1)
        assert (await anext(aiter(writer.messages))).retain
        assert (await http.delete("/api/mqtt/retained", params={"topic": "web/kept"})).status_code == 204
        assert (await anext(aiter(writer.messages))).payload == b""
        assert (await http.get("/api/mqtt/retained", params={"filter": "web/#"})).json()["total"] == 0


async def test_a_page_gets_a_token_for_mqtt_alone(
    app: Any, http: httpx.AsyncClient, platform: Platform, broker: int
) -> None:
    platform.registry.users.create("vera", PASSWORD, "viewer")
    async with client_of(app) as vera:
        assert (await vera.post("/api/login", json={"user": "vera", "password": PASSWORD})).status_code == 204
        made = (await vera.post("/api/mqtt/token")).json()
        problem(await vera.delete("/api/mqtt/clients/anybody"), 403, "forbidden")
        problem(await vera.delete("/api/mqtt/retained", params={"topic": "x"}), 403, "forbidden")
        assert (await vera.get("/api/mqtt/clients")).status_code == 200
    assert made["user"] == "vera"
    assert 0 < parse_time(made["expires"]) - now_ns() <= BRIEF_TOKEN_NS
    async with aiomqtt.Client("127.0.0.1", broker, username="vera", password=made["token"]) as client:
        await client.subscribe("things/#")
    async with client_of(app, headers={"Authorization": f"Bearer {made['token']}"}) as program:
        problem(await program.get("/api/me"), 401, "unauthorized")


async def test_without_a_gateway(http: httpx.AsyncClient) -> None:
    for path in ("clients", "topics", "retained"):
        problem(await http.get(f"/api/mqtt/{path}"), 503, "unavailable")
