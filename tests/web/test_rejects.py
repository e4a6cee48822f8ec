"""Rejects: list, replay."""

from __future__ import annotations

import json

import httpx
import pytest

from allthings.readings.decoded import Reject
from allthings.web import rejects
from tests.web.conftest import Platform, problem


@pytest.fixture(scope="module", autouse=True)
async def bad_messages(platform: Platform) -> None:
    await platform.publish_many(
        [("things/r-1/properties", b'{"a":'), ("things/r-1/properties", b"\xff\xfe" + b"x" * 5_000)], client="r-1"
    )
    await platform.caught_up()


async def listed(http: httpx.AsyncClient, **parameters: str) -> list[dict[str, str]]:
    answer = await http.get("/api/rejects", params={"topic": "things/r-1/properties", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["rejects"]


async def test_list(http: httpx.AsyncClient) -> None:
    newest, oldest = await listed(http)
    assert oldest["payload"] == '{"a":'
    assert oldest["client"] == "r-1"
    assert oldest["topic"] == "things/r-1/properties"
    assert oldest["reason"]
    assert oldest["time"].endswith("Z")
    assert oldest["id"].isdigit()
    assert "payload_base64" not in oldest
    assert len(newest["payload"]) == 4_096
    assert newest["payload_bytes"] == 5_002
    assert newest["payload_base64"].startswith("//54")


async def test_pages(http: httpx.AsyncClient) -> None:
    first = (await http.get("/api/rejects", params={"limit": 1, "topic": "things/r-1/properties"})).json()
    assert first["total"] == 2
    second = await listed(http, limit="1", next=first["next"])
    assert second[0]["id"] != first["rejects"][0]["id"]
    problem(await http.get("/api/rejects", params={"next": "x"}), 400, "query-refused")
    problem(await http.get("/api/rejects", params={"limit": 0}), 400, "bad-input")


async def test_one(http: httpx.AsyncClient) -> None:
    newest = (await listed(http))[0]
    whole = (await http.get(f"/api/rejects/{newest['id']}")).json()
    assert len(whole["payload"]) == 5_002
    problem(await http.get("/api/rejects/1"), 404, "not-found")
    problem(await http.get("/api/rejects/one"), 400, "bad-input")


async def test_replay_after_the_cause_is_mended(http: httpx.AsyncClient, platform: Platform) -> None:
    td = {"title": "Strict", "properties": {"level": {"type": "number", "maximum": 5}}}
    created = await http.put("/things/r-strict", content=json.dumps(td))
    assert created.status_code == 201, created.text
    await platform.publish("things/r-strict/properties", b'{"level":7}')
    await platform.publish("things/r-strict/properties/level", b"8")
    await platform.caught_up()
    topic = {"topic": "things/r-strict/properties"}
    (reject,) = (await http.get("/api/rejects", params=topic)).json()["rejects"]
    assert "level" in reject["reason"]

    # Not mended: it stays under its id.
    assert (await http.post(f"/api/rejects/{reject['id']}/replay")).json() == {"replayed": 1}
    await platform.caught_up()
    assert (await http.get("/api/rejects", params=topic)).json()["rejects"][0]["id"] == reject["id"]

    headers = {"Content-Type": "application/merge-patch+json"}
    mended = {"properties": {"level": {"maximum": 10}}}
    assert (await http.patch("/things/r-strict", content=json.dumps(mended), headers=headers)).status_code == 204
    assert (await http.post("/api/rejects/replay", json=topic)).json() == {"replayed": 1, "more": False}
    await platform.caught_up()
    assert (await http.get("/api/rejects", params=topic)).json()["rejects"] == []
    points = (await http.get("/api/history?thing=r-strict&property=level")).json()["series"][0]["points"]
    assert points == [[reject["time"], 7]]
    problem(await http.post(f"/api/rejects/{reject['id']}/replay"), 404, "not-found")


async def test_replay_without_a_body_takes_all(http: httpx.AsyncClient, platform: Platform) -> None:
    total = (await http.get("/api/rejects")).json()["total"]
    answer = await http.post("/api/rejects/replay")
    assert answer.status_code == 200, answer.text
    assert answer.json()["replayed"] == total > 0


async def test_replay_refuses_unknown_members(http: httpx.AsyncClient) -> None:
    problem(await http.post("/api/rejects/replay", json={"thing": "r-1"}), 400, "bad-input")


def test_blocks_are_bounded() -> None:
    def of(size: int) -> Reject:
        return Reject(1, 0, "", "", "", b"x" * size)

    sizes = [
        [len(one.payload) for one in part] for part in rejects._blocks([of(3 << 20), of(3 << 20), of(1), of(9 << 20)])
    ]
    assert sizes == [[3 << 20], [3 << 20, 1], [9 << 20]]
    assert list(rejects._blocks([])) == []
