"""DELETE /api/history, and what removing from the directory takes away."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.registry import Deletion
from allthings.registry.deletions import NotedDeletion
from allthings.web.deleting import carry_out
from tests.web.conftest import Platform, until

HISTORY = "/api/history"


async def values(http: httpx.AsyncClient, thing: str) -> dict[str, Any]:
    found = (await http.get("/api/current", params={"thing": thing})).json()["values"]
    return {one["property"]: one["value"] for one in found}


async def points(http: httpx.AsyncClient, thing: str, **more: Any) -> dict[str, list[Any]]:
    found = (await http.get(HISTORY, params={"thing": thing, **more})).json()["series"]
    return {one["property"]: [point[1] for point in one["points"]] for one in found}


async def sent(platform: Platform, thing: str, *payloads: str) -> None:
    for payload in payloads:
        await platform.publish(f"things/{thing}/properties", payload.encode())
    await platform.caught_up()
    # Known to the registry as well.
    await until(lambda: any(one.name == thing for one in platform.registry.things.list(search=thing).things))


async def test_a_span_of_a_property(platform: Platform, http: httpx.AsyncClient) -> None:
    rows = [f'{{"@time": "2026-03-02T08:{minute:02}:00Z", "a": {minute}, "b": {minute}}}' for minute in range(10)]
    await sent(platform, "del-1", *rows)
    asked = {"thing": "del-1", "property": "a", "from": "2026-03-02T08:03:00Z", "to": "2026-03-02T08:05:00Z"}
    dry = await http.delete(HISTORY, params={**asked, "dry_run": True})
    assert dry.json() == {"readings": 2, "events": 0, "deleted": False}
    assert (await points(http, "del-1"))["a"] == list(range(10))
    done = await http.delete(HISTORY, params=asked)
    assert (done.status_code, done.json()) == (200, {"readings": 2, "events": 0, "deleted": True})
    assert (await points(http, "del-1"))["a"] == [0, 1, 2, 5, 6, 7, 8, 9]
    assert (await points(http, "del-1"))["b"] == list(range(10))
    assert (await points(http, "del-1", property="a", every="1h", aggregate="count"))["a"] == [8]
    assert await values(http, "del-1") == {"a": 9, "b": 9}
    assert (await http.delete(HISTORY, params=asked)).json()["readings"] == 0
    entry = (await http.get("/api/audit", params={"kind": "history-deleted"})).json()["entries"][1]
    assert entry["who"] == "admin"
    assert entry["what"] == ("2 readings, 0 events from 2026-03-02T08:03:00Z to 2026-03-02T08:05:00Z: del-1: a")


async def test_of_the_newest_readings_the_older_ones_are_current(platform: Platform, http: httpx.AsyncClient) -> None:
    await sent(platform, "del-2", '{"@time": "2026-03-02T08:00:00Z", "a": 1, "b": "x"}', '{"a": 2, "b": "y"}')
    await http.delete(HISTORY, params={"thing": "del-2", "property": "a", "from": "2026-03-03T00:00:00Z"})
    assert await values(http, "del-2") == {"a": 1, "b": "y"}
    await http.delete(HISTORY, params={"thing": "del-2"})
    assert await values(http, "del-2") == {}
    # The thing stays, and so does what is sent again.
    assert (await http.get("/things/del-2")).status_code == 200
    await platform.publish("things/del-2/properties", b'{"@time": "2026-03-02T08:00:00Z", "a": 3}')
    await platform.caught_up()
    assert await points(http, "del-2", property="a") == {"a": [3]}
    assert await values(http, "del-2") == {"a": 3}


async def test_the_log_brings_nothing_back(platform: Platform, http: httpx.AsyncClient) -> None:
    """A block that is read again, by the historian and by a client that resumes."""
    position = await platform.publish("things/del-3/properties", b'{"a": 1}')
    await platform.caught_up(position)
    await http.delete(HISTORY, params={"thing": "del-3"})
    entry = await platform.log.get(position >> 20)
    assert entry is not None
    decoded = await platform.services.decoder.decode(entry)
    assert decoded.readings.num_rows == 1
    platform.history.insert([decoded])
    assert await points(http, "del-3", property="a") == {"a": []}
    assert (await http.post("/api/query", json={"sql": "SELECT count() FROM readings WHERE thing = 'del-3'"})).json()[
        "rows"
    ] == [[0]]


async def test_events_of_a_whole_thing(platform: Platform, http: httpx.AsyncClient) -> None:
    await platform.publish("things/del-4/events/rung", b"1")
    await platform.caught_up()
    await until(lambda: any(one.name == "del-4" for one in platform.registry.things.list(search="del-4").things))
    listed = (await http.get("/api/things", params={"search": "del-4"})).json()["things"]
    assert [(one["thing"], one["online"], one["properties"], one["main"]) for one in listed] == [
        ("del-4", True, 0, None)
    ]
    td = (await http.get("/things/del-4")).json()
    assert td["events"]["rung"]["allthings:inferred"] is True
    assert (await http.delete(HISTORY, params={"thing": "del-4"})).json() == {
        "readings": 0,
        "events": 1,
        "deleted": True,
    }
    assert platform.history.events("del-4").items == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "name at least one thing"),
        ({"thing": "x", "from": "2026-03-02", "to": "2026-03-01"}, "is not before to"),
        ({"thing": "x", "from": "yesterday"}, "from: "),
        ({"thing": "no such name"}, "neither a name nor an id"),
        ({"thing": "x", "property": "a/b"}, "no property's name"),
    ],
)
async def test_what_makes_no_sense_deletes_nothing(http: httpx.AsyncClient, asked: dict[str, str], said: str) -> None:
    answer = await http.delete(HISTORY, params=asked)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


async def test_only_administrators_delete(platform: Platform, anyone: httpx.AsyncClient) -> None:
    platform.registry.users.create("del-operator", "a password of theirs", "operator")
    token = platform.registry.tokens.create("api", "del-operator", "t", 1).secret
    headers = {"Authorization": f"Bearer {token}"}
    assert (await anyone.delete(HISTORY, params={"thing": "x"}, headers=headers)).status_code == 403
    assert (await anyone.delete(HISTORY, params={"thing": "x"})).status_code == 401


async def test_what_was_noted_and_cut_off_can_be_carried_out_later(platform: Platform, http: httpx.AsyncClient) -> None:
    position = await platform.publish("things/del-5/properties", b'{"a": 1}')
    await platform.caught_up(position)
    wanted = Deletion(("del-5",), (), None, None, position)
    id_ = platform.registry.deletions.note(wanted, 1)
    noted = next(one for one in platform.registry.deletions.all() if one.id == id_)
    assert noted == NotedDeletion(id_, wanted, done=False)
    await carry_out(platform.services, noted)
    assert next(one for one in platform.registry.deletions.all() if one.id == id_).done
    assert await values(http, "del-5") == {}


# Removed


async def test_a_removed_property_comes_back_when_it_is_sent_again(platform: Platform, http: httpx.AsyncClient) -> None:
    await sent(platform, "rem-1", '{"a": 1, "b": 2}')
    merge = {"Content-Type": "application/merge-patch+json"}
    answer = await http.patch("/things/rem-1", json={"properties": {"b": None}}, headers=merge)
    assert answer.status_code == 204
    assert await values(http, "rem-1") == {"a": 1}
    assert await points(http, "rem-1", property="b") == {"b": [2]}
    await sent(platform, "rem-1", '{"a": 3}')
    assert list((await http.get("/things/rem-1")).json()["properties"]) == ["a"]
    await sent(platform, "rem-1", '{"b": 4}')
    await until(lambda: "b" in platform.registry.things.get("rem-1").td["properties"])
    assert await values(http, "rem-1") == {"a": 3, "b": 4}


async def test_a_thing_made_anew_has_no_values_of_the_old_one(platform: Platform, http: httpx.AsyncClient) -> None:
    await sent(platform, "rem-2", '{"a": 1, "b": 2}')
    assert (await http.delete("/things/rem-2")).status_code == 204
    assert await values(http, "rem-2") == {}
    assert (await http.post("/api/things", json={"thing": "rem-2"})).json()["main"] is None
    assert await values(http, "rem-2") == {}
    # An older time than the old one's values have.
    await sent(platform, "rem-2", '{"@time": "2026-03-02T08:00:00Z", "a": 3}')
    assert await values(http, "rem-2") == {"a": 3}
    assert await points(http, "rem-2", property="a") == {"a": [3, 1]}


async def test_a_clock_that_is_ahead_shows_and_hides_nothing(platform: Platform, http: httpx.AsyncClient) -> None:
    ahead = platform.services.clock() // 10**9 + 8 * 3600
    await sent(platform, "clk-1", f'{{"@time": {ahead}, "t": 99}}')
    row = (await http.get("/api/things", params={"search": "clk-1"})).json()["things"][0]
    assert (row["main"]["value"], row["main"]["quality"]) == (99, "clock")
    await sent(platform, "clk-1", '{"t": 20}')
    row = (await http.get("/api/things", params={"search": "clk-1"})).json()["things"][0]
    assert (row["main"]["value"], row["main"]["quality"]) == (20, "good")


async def test_an_upload_makes_nothing_online(platform: Platform, http: httpx.AsyncClient) -> None:
    rows = [{"thing": f"up-{n}", "property": "t", "value": n} for n in range(20)]
    await http.post("/api/readings", json=rows)
    await platform.caught_up()
    await until(lambda: platform.registry.things.list(search="up-").total == 20)
    found = (await http.get("/api/things", params={"search": "up-"})).json()["things"]
    assert {(one["online"], one["seen"]) for one in found} == {(False, None)}
    assert len((await http.get("/api/current")).json()["values"]) >= 20
    assert [one["quality"] for one in (await http.get("/api/current", params={"thing": "up-3"})).json()["values"]] == [
        "good"
    ]
