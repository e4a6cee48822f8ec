"""Bridges over HTTP: made, changed, removed, and never telling their password."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.conftest import problem

MAPS = [
    {"direction": "out", "filter": "things/#", "prefix": "site1/", "strip": "", "qos": 1, "retain": True},
    {"direction": "in", "filter": "commands/#", "prefix": "", "strip": "", "qos": 0, "retain": False},
]
WANTED: dict[str, Any] = {"url": "mqtt://broker.example:1884", "user": "ann", "password": "s3cret!!", "maps": MAPS}


async def test_a_bridge_is_made_shown_changed_and_removed(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/bridges", json={"name": "north", **WANTED})
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in ("name", "url", "user", "version", "maps", "password_set", "enabled")} == {
        **{name: WANTED[name] for name in ("url", "user", "maps")},
        "name": "north",
        "version": "5",
        "password_set": True,
        "enabled": True,
    }
    assert (made["state"]["phase"], made["state"]["behind_blocks"]) == ("off", 0)
    assert (await http.get("/api/bridges/north")).json() == made
    assert made in (await http.get("/api/bridges")).json()["bridges"]
    problem(await http.post("/api/bridges", json={"name": "north", **WANTED}), 409, "conflict")
    kept = {**WANTED, "password": None, "enabled": False, "maps": MAPS[:1]}
    changed = (await http.put("/api/bridges/north", json=kept)).json()
    assert (changed["id"], changed["password_set"], changed["enabled"], changed["maps"]) == (
        made["id"],
        True,
        False,
        MAPS[:1],
    )
    removed = await http.delete("/api/bridges/north")
    assert removed.status_code == 204
    problem(await http.get("/api/bridges/north"), 404, "not-found")
    problem(await http.delete("/api/bridges/north"), 404, "not-found")
    entries = (await http.get("/api/audit", params={"area": "change"})).json()["entries"]
    said = [(one["kind"], one["what"]) for one in entries if one["kind"].startswith("bridge-")]
    assert said[:3] == [
        ("bridge-removed", "north: mqtt://broker.example:1884, MQTT 5, 1 maps, off"),
        ("bridge-changed", "north: mqtt://broker.example:1884, MQTT 5, 1 maps, off"),
        ("bridge-made", "north: mqtt://broker.example:1884, MQTT 5, 2 maps, on"),
    ]


async def test_a_password_is_never_told(http: httpx.AsyncClient) -> None:
    answers = [await http.post("/api/bridges", json={"name": "quiet", **WANTED})]
    answers += [await http.get(path) for path in ("/api/bridges", "/api/bridges/quiet", "/api/audit")]
    answers.append(await http.put("/api/bridges/quiet", json={**WANTED, "url": "mqtt://elsewhere", "password": None}))
    problem(answers[-1], 400, "bad-input")
    await http.delete("/api/bridges/quiet")
    assert not any("s3cret" in answer.text for answer in answers)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a b"},
        {"url": "http://broker.example"},
        {"maps": []},
        {"maps": [{"direction": "out", "filter": "a/#/b"}]},
        {"maps": [{"direction": "out", "filter": "a", "qos": 2}]},
        {"maps": [{"direction": "out", "filter": "a", "surprise": 1}]},
        {"version": "4"},
        {"ca": "no certificate"},
        {"surprise": 1},
    ],
)
async def test_what_cannot_be_is_refused(http: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    problem(await http.post("/api/bridges", json={"name": "wrong", **WANTED, **wrong}), 400, "bad-input")
