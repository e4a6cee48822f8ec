"""Access rules and quotas over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from allthings.things.times import now_ns
from tests.web.conftest import PASSWORD, Platform, client_of, problem

RULE = {"subject": "devices", "filter": "groups/{thing}/#", "publish": True}


async def changes(http: httpx.AsyncClient, kind: str) -> list[str]:
    answer = await http.get("/api/audit", params={"kind": kind, "area": "change"})
    return [one["what"] for one in answer.json()["entries"]]


async def test_rules(http: httpx.AsyncClient) -> None:
    before = (await http.get("/api/access/rules")).json()["rules"]
    assert {
        "id": "default-devices",
        "subject": "devices",
        "filter": "things/{thing}/#",
        "publish": True,
        "subscribe": True,
        "note": "a device under its own thing",
        "created": None,
    } in before
    made = await http.post("/api/access/rules", json=RULE)
    assert made.status_code == 201
    rule = made.json()
    assert rule == {**RULE, "id": rule["id"], "subscribe": False, "note": "", "created": rule["created"]}
    assert (await changes(http, "rule-made"))[0] == f"{rule['id']}: devices may publish groups/{{thing}}/#"
    changed = await http.put(f"/api/access/rules/{rule['id']}", json={**RULE, "subscribe": True, "note": "both"})
    assert (changed.status_code, changed.json()["note"], changed.json()["subscribe"]) == (200, "both", True)
    assert (await changes(http, "rule-changed"))[0].endswith("may publish and subscribe groups/{thing}/#")
    assert (await http.delete(f"/api/access/rules/{rule['id']}")).status_code == 204
    assert len(await changes(http, "rule-removed")) >= 1
    assert (await http.get("/api/access/rules")).json()["rules"] == before


async def test_what_is_no_rule(http: httpx.AsyncClient) -> None:
    for wrong in (
        {"subject": "everybody"},
        {"filter": "a/#/b"},
        {"filter": "{nothing}/a"},
        {"publish": False},
        {"publish": "yes"},
        {"deny": True},
    ):
        problem(await http.post("/api/access/rules", json={**RULE, **wrong}), 400, "bad-input")
    problem(await http.put("/api/access/rules/nonsense", json=RULE), 404, "not-found")
    problem(await http.delete("/api/access/rules/nonsense"), 404, "not-found")


async def test_would_this_be_allowed(http: httpx.AsyncClient, platform: Platform) -> None:
    platform.registry.things.create({"title": "Gate"}, now_ns(), name="gate")

    async def ask(**question: str) -> dict[str, Any]:
        return (await http.post("/api/access/check", json=question)).json()

    both = {"publish": "default-devices", "subscribe": "default-devices"}
    assert await ask(thing="gate", topic="things/gate/properties") == both
    assert await ask(thing="gate", topic="things/gate/#") == {"publish": None, "subscribe": "default-devices"}
    assert await ask(thing="gate", topic="things/other/x") == {"publish": None, "subscribe": None}
    assert await ask(user="admin", topic="a") == {"publish": "default-admins", "subscribe": "default-users"}
    assert await ask(topic="a") == {"publish": None, "subscribe": None}
    problem(await http.post("/api/access/check", json={"topic": "a/#/b"}), 400, "bad-input")
    problem(await http.post("/api/access/check", json={"topic": "a", "thing": "no", "user": "no"}), 400, "bad-input")
    problem(await http.post("/api/access/check", json={"topic": "a", "thing": "nobody"}), 404, "not-found")


async def test_quotas(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/access/quotas")).json() == {"quotas": []}
    for scope in ("client", "tenant:acme"):
        answer = await http.put(f"/api/access/quotas/{scope}", json={"messages_s": 50, "over": "refuse"})
        assert answer.json() == {"scope": scope, "messages_s": 50.0, "bytes_s": None, "over": "refuse"}
    assert [one["scope"] for one in (await http.get("/api/access/quotas")).json()["quotas"]] == [
        "client",
        "tenant:acme",
    ]
    assert (await changes(http, "quota-set"))[0] == "tenant:acme: 50 messages/s, any bytes/s, refuse"
    for scope in ("client", "tenant:acme"):
        assert (await http.delete(f"/api/access/quotas/{scope}")).status_code == 204
    problem(await http.delete("/api/access/quotas/client"), 404, "not-found")
    problem(await http.put("/api/access/quotas/everybody", json={}), 400, "bad-input")
    problem(await http.put("/api/access/quotas/client", json={"messages_s": 0}), 400, "bad-input")
    problem(await http.put("/api/access/quotas/client", json={"over": "drop"}), 400, "bad-input")


async def test_only_administrators_see_and_change_who_may_do_what(app: Any, platform: Platform) -> None:
    for role in ("operator", "viewer"):
        platform.registry.users.create(f"access-{role}", PASSWORD, role)
        token = platform.registry.tokens.create("api", f"access-{role}", "", now_ns()).secret
        async with client_of(app, headers={"Authorization": f"Bearer {token}"}) as other:
            for path in ("/api/access/rules", "/api/access/quotas", "/api/users", "/api/audit"):
                problem(await other.get(path), 403, "forbidden")
            problem(await other.post("/api/access/rules", json=RULE), 403, "forbidden")
            problem(await other.put("/api/access/quotas/client", json={}), 403, "forbidden")
            body = {"user": "mallory", "password": PASSWORD, "role": "admin"}
            problem(await other.post("/api/users", json=body), 403, "forbidden")
            problem(await other.patch(f"/api/users/access-{role}", json={"role": "admin"}), 403, "forbidden")
