"""Query parameters that no handler knows, and things and properties that nobody has."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.web.app import HANDLERS
from tests.web.conftest import Platform, until

PATHS = sorted(
    {
        (method, path)
        for handler in HANDLERS
        if not handler.opt.get("any_query")
        for method in handler.http_methods
        for path in handler.paths
    }
)


@pytest.fixture(scope="module", autouse=True)
async def readings(platform: Platform) -> None:
    position = await platform.publish("things/p-pump/properties", b'{"pressure": 231.5, "mode": "on"}')
    await platform.caught_up(position)
    await until(lambda: len(platform.registry.things.all_types().get("p-pump", {})) == 2)
    platform.registry.things.put("urn:p:silent", description("urn:p:silent"), 0)


def description(id_: str) -> dict[str, Any]:
    return {
        "@context": "https://www.w3.org/2022/wot/td/v1.1",
        "id": id_,
        "title": "Silent",
        "security": "n",
        "securityDefinitions": {"n": {"scheme": "nosec"}},
        "properties": {"level": {"type": "number"}},
    }


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_every_route_refuses_what_it_does_not_know(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path.replace(":str}", "").replace("{", ""), params={"no-such": "1"})
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:allthings:problem:bad-input"
    assert problem["parameter"] == "no-such"
    assert "has no parameter 'no-such'" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("thing=p-pump&agregate=max", "did you mean 'aggregate'?"),
        ("thing=p-pump&every=1d&tz=Europe/Berlin", "did you mean 'zone'?"),
        ("thing=p-pump&start=2026-01-01", "did you mean 'from'?"),
        ("thing=p-pump&From=2026-01-01", "did you mean 'from'?"),
        ("thing=p-pump&xyzzy", "it takes aggregate, every, format, from"),
    ],
)
async def test_a_near_miss_is_told(http: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await http.get(f"/api/history?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


async def test_who_may_not_ask_learns_nothing_of_parameters(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history?nope=1", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


async def test_what_is_no_route_is_still_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/nothing?nope=1")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/console/things?search=a"])
async def test_the_consoles_own_addresses_may_say_anything(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path, params={"x": "1"})).status_code in (200, 503)


@pytest.mark.parametrize("path", ["/api/history", "/api/current"])
@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("thing=p-pmup", "thing", "no thing is called 'p-pmup'; did you mean p-pump"),
        ("thing=p-pump&thing=nobody-at-all", "thing", "no thing is called 'nobody-at-all'"),
        ("thing=p-pump&property=presure", "property", "p-pump has no property 'presure'; did you mean pressure?"),
        ("thing=p-pump&property=xyzzy", "property", "p-pump has no property 'xyzzy'; there is mode, pressure"),
        ("thing=p-pump&property=pressure&property=xyzzy", "property", "'xyzzy'"),
    ],
)
async def test_what_nobody_has_is_told(
    http: httpx.AsyncClient, path: str, query: str, parameter: str, said: str
) -> None:
    answer = await http.get(f"{path}?{query}")
    assert answer.status_code == 404
    problem = answer.json()
    assert problem["type"] == "urn:allthings:problem:not-found"
    assert problem["parameter"] == parameter
    assert said in problem["detail"]


async def test_a_property_that_no_thing_has_is_told(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/current?property=nobodys-property")
    assert answer.status_code == 404
    assert "no thing has a property 'nobodys-property'" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "thing=p:silent",
        "thing=urn:p:silent",
        "thing=urn:p:silent&property=level",
        "thing=p-pump&from=2000-01-01&to=2000-01-02",
    ],
)
async def test_what_is_known_and_has_no_readings_is_empty(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/api/history?{query}")
    assert answer.status_code == 200
    assert all(not series["points"] for series in answer.json()["series"])


async def test_not_every_thing_needs_every_property(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history?thing=p-pump&thing=urn:p:silent&property=level&property=pressure")
    assert answer.status_code == 200
    assert {(one["thing"], one["property"]): len(one["points"]) for one in answer.json()["series"]} == {
        ("p-pump", "level"): 0,
        ("p-pump", "pressure"): 1,
        ("p:silent", "level"): 0,
        ("p:silent", "pressure"): 0,
    }


async def test_the_past_of_a_thing_that_was_removed_is_known(platform: Platform, http: httpx.AsyncClient) -> None:
    await platform.caught_up(await platform.publish("things/p-gone/properties/x", b"1"))
    await until(lambda: "p-gone" in platform.registry.things.all_types())
    thing = platform.registry.things.get("p-gone")
    platform.registry.things.remove(thing.id)
    answer = await http.get("/api/history?thing=p-gone&property=x&from=2000-01-01&to=2000-01-02")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=2026-01-02&to=2026-01-01", "`from` is after `to`"),
        ("every=1d&zone=Europe/Berln", "zone: 'Europe/Berln' is no time zone; did you mean Europe/Berlin"),
        ("every=5h&zone=Europe/Berlin", "divide a day"),
        ("every=1d&aggregate=twa&hold=long", "hold: 'long' is no duration"),
        ("every=1d&aggregate=avg&state=on", "`state` goes with aggregate=duration"),
        ("every=1d&aggregate=increase&rollover=0", "rollover"),
    ],
)
async def test_what_makes_no_sense_is_told(http: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await http.get(f"/api/history?thing=p-pump&{query}")
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
