"""`/api/things` and adoption."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.web.conftest import Platform, problem, until


@pytest.fixture(scope="module", autouse=True)
async def things(platform: Platform) -> None:
    await platform.publish_many(
        [(f"things/tl-{number}/properties", b'{"temperature_c":%d,"note":"x"}' % number) for number in range(7)]
    )

    def discovered() -> bool:
        return platform.registry.things.list(search="tl-").total == 7

    await until(discovered)


async def ask(http: httpx.AsyncClient, **parameters: Any) -> Any:
    answer = await http.get("/api/things", params={"search": "tl-", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_rows(http: httpx.AsyncClient) -> None:
    answer = await ask(http, sort="name")
    assert answer["total"] == 7
    row = answer["things"][3]
    assert row["thing"] == "tl-3"
    assert row["id"] == "urn:allthings:tl-3"
    assert row["state"] == "discovered"
    assert row["online"] is True
    assert row["seen"].endswith("Z")
    assert row["properties"] == 2
    assert row["main"]["property"] == "temperature_c"
    assert row["main"]["value"] == 3


@pytest.mark.parametrize("sort", ["name", "title", "seen", "created"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_cover_everything_once(http: httpx.AsyncClient, sort: str, order: str) -> None:
    names: list[str] = []
    following = None
    while True:
        answer = await ask(http, sort=sort, order=order, limit=3, **({"next": following} if following else {}))
        names += [row["thing"] for row in answer["things"]]
        following = answer["next"]
        if following is None:
            break
    assert sorted(names) == [f"tl-{number}" for number in range(7)]
    if sort in ("name", "seen"):
        assert names == sorted(names, reverse=order == "desc")


async def test_adoption_and_filters(http: httpx.AsyncClient) -> None:
    row = (await http.post("/api/things/tl-5/adopt", json={"title": "TL-5 boiler"})).json()
    assert row["state"] == "adopted"
    assert row["title"] == "TL-5 boiler"
    assert [one["thing"] for one in (await ask(http, state="adopted"))["things"]] == ["tl-5"]
    assert (await ask(http, state="discovered"))["total"] == 6
    assert (await ask(http, online="true"))["total"] == 7
    assert (await ask(http, online="false"))["total"] == 0
    assert [one["thing"] for one in (await ask(http, search="BOILER tl-"))["things"]] == ["tl-5"]
    again = await http.post("/api/things/tl-5/adopt")
    assert again.status_code == 200
    problem(await http.post("/api/things/tl-none/adopt", json={}), 404, "not-found")
    problem(await http.post("/api/things/tl-5/adopt", json={"title": ""}), 400, "bad-input")


async def test_a_thing_is_added_by_its_name(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/things", json={"thing": "added-1", "title": "Added first"})
    assert answer.status_code == 201
    row = answer.json()
    assert (row["thing"], row["id"], row["title"]) == ("added-1", "urn:allthings:added-1", "Added first")
    assert (row["state"], row["seen"], row["main"]) == ("adopted", None, None)
    assert (await http.post("/api/things/added-1/tokens", json={"label": "device"})).status_code == 201
    assert (await http.post("/api/things", json={"thing": "added-2"})).json()["title"] == "added-2"
    problem(await http.post("/api/things", json={"thing": "added-1"}), 409, "conflict")
    problem(await http.post("/api/things", json={"thing": "no/name"}), 400, "bad-input")
    problem(await http.post("/api/things", json={"thing": ""}), 400, "bad-input")


async def test_titles_in_other_languages_are_listed(http: httpx.AsyncClient) -> None:
    td = {
        "id": "urn:allthings:many-tongues",
        "title": "Boiler",
        "titles": {"en": "Boiler", "zh": "锅炉"},
        "properties": {"level": {"type": "number", "title": "Level", "titles": {"en": "Level", "zh": "液位"}}},
    }
    assert (await http.put("/things/urn:allthings:many-tongues", json=td)).status_code == 201
    readings = [{"thing": "many-tongues", "property": "level", "value": 3}]
    assert (await http.post("/api/readings", json=readings)).status_code == 200

    async def row() -> Any:
        return (await http.get("/api/things", params={"search": "锅炉"})).json()["things"][0]

    async with asyncio.timeout(20):
        while (await row())["main"] is None:
            await asyncio.sleep(0.02)
    assert (await row())["titles"] == {"en": "Boiler", "zh": "锅炉"}
    assert (await row())["main"]["titles"] == {"en": "Level", "zh": "液位"}
    assert "titles" not in (await ask(http))["things"][0]


async def test_rename_and_remove_show_at_once(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    body = json.dumps({"title": "Renamed"})
    assert (await http.patch("/things/tl-6", content=body, headers=headers)).status_code == 204
    assert next(one["title"] for one in (await ask(http))["things"] if one["thing"] == "tl-6") == "Renamed"
    assert (await http.delete("/things/tl-6")).status_code == 204
    assert "tl-6" not in [one["thing"] for one in (await ask(http))["things"]]
    assert (await http.get("/api/current", params={"thing": "tl-6"})).json() == {"values": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "sort=size", "state=lost", "online=perhaps", "next=%7B"])
async def test_wrong_parameters(http: httpx.AsyncClient, query: str) -> None:
    problem(await http.get(f"/api/things?{query}"), 400, "bad-input")


async def test_a_next_of_another_order(http: httpx.AsyncClient) -> None:
    following = (await ask(http, sort="created", limit=1))["next"]
    answer = await http.get("/api/things", params={"search": "tl-", "sort": "title", "next": following})
    problem(answer, 400, "bad-input")
