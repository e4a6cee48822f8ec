"""Users over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from allthings.things.times import now_ns
from tests.web.conftest import PASSWORD, Platform, client_of, problem


async def test_users_are_made_changed_and_removed(http: httpx.AsyncClient, app: Any) -> None:
    body = {"user": "grace", "password": PASSWORD, "role": "operator"}
    made = await http.post("/api/users", json=body)
    assert (made.status_code, made.json()) == (201, {"user": "grace", "role": "operator", "tenant": "main"})
    problem(await http.post("/api/users", json=body), 409, "conflict")
    assert made.json() in (await http.get("/api/users")).json()["users"]
    async with client_of(app) as client:
        assert (await client.post("/api/login", json={"user": "grace", "password": PASSWORD})).status_code == 204
        assert (await client.get("/api/me")).json()["role"] == "operator"
        changed = await http.patch("/api/users/grace", json={"role": "viewer", "tenant": "acme"})
        assert changed.json() == {"user": "grace", "role": "viewer", "tenant": "acme"}
        assert (await client.get("/api/me")).json()["role"] == "viewer"
        await http.patch("/api/users/grace", json={"password": "another password"})
        problem(await client.get("/api/me"), 401, "unauthorized")
    assert (await http.delete("/api/users/grace")).status_code == 204
    problem(await http.delete("/api/users/grace"), 404, "not-found")
    entries = (await http.get("/api/audit", params={"area": "change", "who": "admin"})).json()["entries"]
    said = [(one["kind"], one["what"]) for one in entries if one["kind"].startswith("user-")]
    assert said[:4] == [
        ("user-removed", "grace"),
        ("user-changed", "grace: viewer, tenant acme, new password"),
        ("user-changed", "grace: viewer, tenant acme"),
        ("user-made", "grace: operator, tenant main"),
    ]


async def test_an_administrator_stays(http: httpx.AsyncClient) -> None:
    problem(await http.delete("/api/users/admin"), 409, "conflict")
    problem(await http.patch("/api/users/admin", json={"role": "viewer"}), 409, "conflict")


async def test_what_is_no_user(http: httpx.AsyncClient) -> None:
    for wrong in ({"user": "a b"}, {"password": "short"}, {"role": "root"}, {"tenant": "a/b"}, {"admin": True}):
        problem(await http.post("/api/users", json={"user": "x", "password": PASSWORD, **wrong}), 400, "bad-input")
    problem(await http.patch("/api/users/nobody", json={"role": "viewer"}), 404, "not-found")


async def test_a_person_changes_the_own_password(app: Any, platform: Platform) -> None:
    platform.registry.users.create("heidi", PASSWORD, "viewer")
    async with client_of(app) as client:
        await client.post("/api/login", json={"user": "heidi", "password": PASSWORD})
        wrong = {"old": "not this one", "new": "something else"}
        problem(await client.put("/api/me/password", json=wrong), 401, "unauthorized")
        right = {"old": PASSWORD, "new": "something else"}
        assert (await client.put("/api/me/password", json=right)).status_code == 204
        problem(await client.get("/api/me"), 401, "unauthorized")
        answer = await client.post("/api/login", json={"user": "heidi", "password": "something else"})
        assert answer.status_code == 204


async def test_operators_change_things_and_the_own_tokens_alone(app: Any, platform: Platform) -> None:
    platform.registry.users.create("olga", PASSWORD, "operator")
    token = platform.registry.tokens.create("api", "olga", "", now_ns())
    others = platform.registry.tokens.create("api", "admin", "of the administrator", now_ns())
    async with client_of(app, headers={"Authorization": f"Bearer {token.secret}"}) as olga:
        assert (await olga.put("/things/urn:x:olga", json={"title": "Of Olga"})).status_code == 201
        made = (await olga.post("/api/tokens", json={})).json()
        problem(await olga.delete(f"/api/tokens/{others.id}"), 403, "forbidden")
        assert (await olga.delete(f"/api/tokens/{made['id']}")).status_code == 204
        assert (await olga.delete("/things/urn:x:olga")).status_code == 204
