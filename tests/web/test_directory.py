"""The directory of things, as W3C WoT Discovery section 7.3 has it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.web.conftest import BASE, problem

TD = {
    "@context": "https://www.w3.org/2022/wot/td/v1.1",
    "title": "Lamp",
    "security": "nosec_sc",
    "securityDefinitions": {"nosec_sc": {"scheme": "nosec"}},
    "properties": {"on": {"type": "boolean", "forms": [{"href": "https://lamp.example/on"}]}},
}


#: One that is reached through us only.
OURS = {**TD, "properties": {"on": {"type": "boolean"}}}


async def put(http: httpx.AsyncClient, thing_id: str, td: dict[str, Any]) -> httpx.Response:
    body = json.dumps({**td, "id": thing_id})
    headers = {"Content-Type": "application/td+json"}
    return await http.put(f"/things/{quote(thing_id, safe='')}", content=body, headers=headers)


async def test_create_anonymous(http: httpx.AsyncClient) -> None:
    answer = await http.post("/things", json=TD, headers={"Content-Type": "application/td+json"})
    assert answer.status_code == 201
    assert answer.headers["location"].startswith("/things/urn:uuid:")
    got = await http.get(answer.headers["location"])
    assert got.status_code == 200
    assert got.json()["id"] == answer.headers["location"].removeprefix("/things/")


async def test_post_refuses_an_id(http: httpx.AsyncClient) -> None:
    body = problem(await http.post("/things", json={**TD, "id": "urn:example:posted"}), 400, "bad-input")
    assert body["validationErrors"][0]["field"] == "/id"


@pytest.mark.parametrize(
    "thing_id",
    ["urn:example:lamp-1", "https://things.example/floor/2/lamp?x=1#a", "urn:example:lamp%2F1"],
)
async def test_create_read_replace_delete(http: httpx.AsyncClient, thing_id: str) -> None:
    path = f"/things/{quote(thing_id, safe='')}"
    created = await put(http, thing_id, TD)
    assert created.status_code == 201, created.text
    got = await http.get(path)
    assert got.headers["content-type"] == "application/td+json"
    td = got.json()
    assert td["id"] == thing_id
    assert set(td["registration"]) == {"created", "modified"}
    # The device of somebody else is described as it was sent.
    del td["registration"]
    assert td == {**TD, "id": thing_id}

    replaced = await put(http, thing_id, {**TD, "title": "Second lamp"})
    assert replaced.status_code == 204
    assert replaced.content == b""
    assert (await http.get(path)).json()["title"] == "Second lamp"

    assert (await http.delete(path)).status_code == 204
    problem(await http.get(path), 404, "not-found")
    problem(await http.delete(path), 404, "not-found")


async def test_what_was_served_may_be_put_back(http: httpx.AsyncClient) -> None:
    await put(http, "urn:example:round", OURS)
    served = (await http.get("/things/urn:example:round")).json()
    assert (await put(http, "urn:example:round", served)).status_code == 204
    again = (await http.get("/things/urn:example:round")).json()
    assert {**again, "registration": None} == {**served, "registration": None}


async def test_forms_lead_to_values(http: httpx.AsyncClient) -> None:
    await put(http, "https://things.example/form", OURS)
    td = (await http.get("/things/" + quote("https://things.example/form", safe=""))).json()
    assert "https://www.w3.org/2022/wot/discovery" in td["@context"]
    assert td["securityDefinitions"][td["security"]] == {"scheme": "bearer", "in": "header"}
    assert td["properties"]["on"]["forms"][0]["href"].startswith(f"{BASE}/things/")
    answer = await http.get(td["properties"]["on"]["forms"][0]["href"])
    body = problem(answer, 404, "not-found")
    assert "has not sent a value" in body["detail"]


async def test_merge_patch(http: httpx.AsyncClient) -> None:
    await put(http, "urn:example:patched", {**TD, "description": "dim"})
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = await http.patch(
        "/things/urn:example:patched", content=b'{"title":"Bright","description":null}', headers=headers
    )
    assert answer.status_code == 204
    td = (await http.get("/things/urn:example:patched")).json()
    assert td["title"] == "Bright"
    assert "description" not in td
    problem(await http.patch("/things/urn:example:none", content=b"{}", headers=headers), 404, "not-found")
    problem(await http.patch("/things/urn:example:patched", content=b"[]", headers=headers), 400, "bad-input")
    wrong = await http.patch("/things/urn:example:patched", content=b"{}", headers={"Content-Type": "application/json"})
    problem(wrong, 415, "unsupported-media-type")


async def test_invalid_td_names_every_fault(http: httpx.AsyncClient) -> None:
    answer = await http.post("/things", json={"title": 7, "properties": {"a": {"type": "colour"}}})
    body = problem(answer, 400, "invalid-td")
    fields = {one["field"] for one in body["validationErrors"]}
    assert "/title" in fields
    assert "/properties/a/type" in fields
    assert all(one["description"] for one in body["validationErrors"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b'{"title": NaN}', b"\xff\xfe", b"[" * 100_000])
async def test_bodies_that_are_no_td(http: httpx.AsyncClient, content: bytes) -> None:
    problem(await http.post("/things", content=content), 400, "bad-input")


async def test_large_bodies_are_refused(http: httpx.AsyncClient) -> None:
    problem(await http.post("/things", content=b" " * (1 << 20) + b"{}"), 413, "limit-exceeded")


async def test_mismatched_id(http: httpx.AsyncClient) -> None:
    body = json.dumps({**TD, "id": "urn:example:other"})
    problem(await http.put("/things/urn:example:this", content=body), 400, "bad-input")


async def test_list_is_sorted_by_id_and_paged(http: httpx.AsyncClient) -> None:
    for number in range(5):
        # Names in the other order, so that sorting by name would show.
        await put(http, f"urn:example:page:{number}:{'edcba'[number]}", {**TD, "title": f"Paged {number}"})
    whole = await http.get("/things")
    assert whole.headers["content-type"] == "application/ld+json"
    ids = [td["id"] for td in whole.json()]
    assert ids == sorted(ids)
    assert len(ids) >= 5

    few = [td["id"] for td in (await http.get("/things?search=paged")).json()]
    assert few == [one for one in ids if one.startswith("urn:example:page:")]
    collected: list[str] = []
    url: str | None = "/things?limit=2&search=paged"
    etags, tags = set(), set()
    while url:
        page = await http.get(url)
        assert page.status_code == 200
        collected += [td["id"] for td in page.json()]
        assert page.links["canonical"]["url"] == "/things"
        etags.add(page.links["canonical"]["etag"])
        tags.add(page.headers["etag"])
        url = page.links.get("next", {}).get("url")
    assert collected == few
    assert len(etags) == 1
    assert len(tags) == 3


async def test_list_as_collection(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/things", params={"format": "collection", "limit": 1, "search": "paged"})).json()
    assert answer["@type"] == "ThingCollection"
    assert answer["total"] == 5
    assert len(answer["members"]) == 1
    following = (await http.get(answer["next"])).json()
    assert following["members"][0]["id"] != answer["members"][0]["id"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", "format=tree"])
async def test_list_refuses_what_it_does_not_know(http: httpx.AsyncClient, query: str) -> None:
    problem(await http.get(f"/things?{query}"), 400, "bad-input")


async def test_well_known_is_for_everyone(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/.well-known/wot")
    assert answer.headers["content-type"] == "application/td+json"
    td = answer.json()
    assert td["@type"] == "ThingDirectory"
    assert td["base"] == BASE
    assert {"createThing", "createAnonymousThing", "retrieveThing", "updateThing"} <= set(td["actions"])
    assert td["securityDefinitions"]["bearer_sc"]["scheme"] == "bearer"


async def test_the_directory_describes_itself_validly(anyone: httpx.AsyncClient) -> None:
    from allthings.things.td import check_td

    check_td((await anyone.get("/.well-known/wot")).json())
