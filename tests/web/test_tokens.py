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


async def test_a_device_password(http: httpx.AsyncClient, platform: Platform) -> None:
    platform.registry.things.create({"title": "Password device"}, now_ns(), name="password-device")
    path = "/api/things/password-device/password"
    assert (await http.get(path)).json() == {"set": False, "created": None}
    problem(await http.delete(path), 404, "not-found")
    problem(await http.put(path, json={"password": "short"}), 400, "bad-input")
    assert (await http.put(path, json={"password": "chosen by a person"})).status_code == 204
    state = (await http.get(path)).json()
    assert state["set"]
    assert state["created"]
    assert platform.registry.credentials.by_password("password-device", "chosen by a person")
    assert (await http.delete(path)).status_code == 204
    assert platform.registry.credentials.by_password("password-device", "chosen by a person") is None
    problem(await http.put("/api/things/no-such/password", json={"password": "long enough"}), 404, "not-found")


async def test_what_becomes_of_credentials_is_on_the_audit_list(http: httpx.AsyncClient, platform: Platform) -> None:
    platform.registry.things.create({"title": "Audited"}, now_ns(), name="audited")
    made = (await http.post("/api/things/audited/tokens", json={"label": "bench"})).json()
    await http.delete(f"/api/tokens/{made['id']}")
    await http.put("/api/things/audited/password", json={"password": "chosen by a person"})
    await http.delete("/api/things/audited/password")
    page = (await http.get("/api/audit", params={"area": "change", "limit": 4})).json()
    what = f"{made['id']} for the device audited (bench)"
    assert [(one["kind"], one["what"], one["who"]) for one in page["entries"]] == [
        ("password-removed", "of the device audited", "admin"),
        ("password-set", "of the device audited", "admin"),
        ("token-revoked", what, "admin"),
        ("token-made", what, "admin"),
    ]
    older = (await http.get("/api/audit", params={"area": "change", "limit": 1, "next": page["next"]})).json()
    assert int(older["entries"][0]["id"]) < int(page["entries"][-1]["id"])
    problem(await http.get("/api/audit", params={"next": "nonsense"}), 400, "bad-input")
    assert made["token"] not in str(page)
