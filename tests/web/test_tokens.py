"""Tokens of devices and programs."""

from __future__ import annotations

from typing import Any

import httpx

from allthings.things.times import now_ns
from tests.web.conftest import Platform, client_of, problem


async def test_device_tokens(http: httpx.AsyncClient, platform: Platform) -> None:
    platform.registry.things.create({"title": "Token device"}, now_ns(), name="token-device")
    made = await http.post("/api/things/token-device/tokens", json={"label": "in the cellar"})
    assert made.status_code == 201
    secret = made.json()["token"]
    assert platform.registry.tokens.verify_device("token-device", secret)
    shown = (await http.get("/api/things/token-device/tokens")).json()["tokens"]
    assert [(one["id"], one["label"]) for one in shown] == [(made.json()["id"], "in the cellar")]
    assert secret not in str(shown)
    assert (await http.delete(f"/api/tokens/{shown[0]['id']}")).status_code == 204
    assert not platform.registry.tokens.verify_device("token-device", secret)
    assert (await http.get("/api/things/token-device/tokens")).json() == {"tokens": []}


async def test_program_tokens(http: httpx.AsyncClient, app: Any) -> None:
    made = (await http.post("/api/tokens", json={"label": "a script"})).json()
    async with client_of(app, headers={"Authorization": f"Bearer {made['token']}"}) as program:
        assert (await program.get("/api/me")).json()["user"] == "admin"
    assert made["id"] in [one["id"] for one in (await http.get("/api/tokens")).json()["tokens"]]


async def test_errors(http: httpx.AsyncClient) -> None:
    problem(await http.post("/api/things/no-such/tokens", json={}), 404, "not-found")
    problem(await http.get("/api/things/no-such/tokens"), 404, "not-found")
    problem(await http.delete("/api/tokens/nonsense"), 404, "not-found")
    problem(await http.post("/api/tokens", json={"label": "x" * 129}), 400, "bad-input")
    problem(await http.post("/api/tokens", json={"admin": True}), 400, "bad-input")
