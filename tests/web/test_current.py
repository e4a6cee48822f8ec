"""Newest values: `/api/current` and a thing's own properties."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import Platform, problem, until


@pytest.fixture(scope="module", autouse=True)
async def values(platform: Platform) -> None:
    await platform.caught_up(
        await platform.publish_many(
            [
                ("things/c-1/properties", b'{"a":1,"b":true,"c":"on","d":{"x":[1]},"e":1.5}'),
                ("things/c-2/properties/a", b"2"),
                ("things/c-2/properties/a%b ä", b"3"),
                ("things/c-1/properties/a", b"10"),
                ("things/c-2/properties/late", b"7"),
            ]
        )
    )


async def test_current(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/api/current", params={"thing": ["c-1", "c-2"], "property": "a"})).json()
    assert [(one["thing"], one["property"], one["value"], one["quality"]) for one in answer["values"]] == [
        ("c-1", "a", 10, "good"),
        ("c-2", "a", 2, "good"),
    ]
    assert answer["values"][0]["time"].endswith("Z")
    assert answer["values"][0]["received"] >= answer["values"][0]["time"]


async def test_all(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/api/current")).json()
    assert {"c-1", "c-2"} <= {one["thing"] for one in answer["values"]}


async def test_none(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/current", params={"thing": "c-none"})).status_code == 404
    assert (await http.get("/api/current", params={"property": "c-none"})).status_code == 404


async def test_integers_longer_than_64_bits_stay_exact(http: httpx.AsyncClient, platform: Platform) -> None:
    await platform.caught_up(await platform.publish("things/c-long/properties/n", b"123456789012345678901234567890"))
    answer = await http.get("/api/current", params={"thing": "c-long"})
    assert "123456789012345678901234567890" in answer.text
    history = await http.get("/api/history", params={"thing": "c-long", "property": "n"})
    assert history.json()["series"][0]["points"][0][1] == 123456789012345678901234567890


async def test_many_are_sent_in_pieces(http: httpx.AsyncClient, platform: Platform) -> None:
    await platform.caught_up(
        await platform.publish_many([(f"things/many-{n}/properties", b'{"m":%d}' % n) for n in range(2_500)])
    )
    answer = (await http.get("/api/current", params={"property": "m"})).json()
    assert sorted(one["value"] for one in answer["values"]) == list(range(2_500))


async def test_properties(http: httpx.AsyncClient, platform: Platform) -> None:
    async def there() -> bool:
        return (await http.get("/things/c-2")).status_code == 200

    await until(there)
    answer = await http.get("/things/c-1/properties")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"a": 10, "b": True, "c": "on", "d": {"x": [1]}, "e": 1.5}
    one = await http.get("/things/urn%3Aallthings%3Ac-1/properties/c")
    assert one.json() == "on"
    assert one.headers["allthings-quality"] == "good"
    assert one.headers["allthings-time"].endswith("Z")
    assert (await http.get("/things/c-2/properties/a%25b%20%C3%A4")).json() == 3
    problem(await http.get("/things/c-1/properties/none"), 404, "not-found")
    problem(await http.get("/things/c-none/properties"), 404, "not-found")
    problem(await http.put("/things/c-1/properties/a", content=b"1"), 405, "method-not-allowed")
