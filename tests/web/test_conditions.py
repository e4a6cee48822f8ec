"""Conditional requests of the directory (RFC 9110, section 13)."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allthings.things.errors import BadInputError
from allthings.web.app import create_app
from allthings.web.conditions import entity_tag, parse_tags
from tests.web.conftest import BASE, Platform, problem

TD: dict[str, Any] = {"@context": "https://www.w3.org/2022/wot/td/v1.1", "title": "Lamp"}
_numbers = itertools.count()


@pytest.fixture
def path() -> str:
    """Where nothing is yet."""
    return f"/things/urn:example:condition:{next(_numbers)}"


async def send(
    http: httpx.AsyncClient, method: str, path: str, title: str = "Lamp", **conditions: str
) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in conditions.items()}
    if method == "PATCH":
        headers["Content-Type"] = "application/merge-patch+json"
    body = json.dumps({"title": title} if method == "PATCH" else {**TD, "title": title})
    return await http.request(method, path, headers=headers, content=body if method in ("PUT", "PATCH") else None)


async def tag_of(http: httpx.AsyncClient, path: str) -> str:
    return str((await http.get(path)).headers["etag"])


OTHER = '"another"'
#: Headers in which TAG stands for the tag of what is there, then the answer to GET and HEAD, and that to others.
CASES = [
    ({"If_Match": "*"}, 200, 204),
    ({"If_Match": "TAG"}, 200, 204),
    ({"If_Match": f"{OTHER}, TAG"}, 200, 204),
    ({"If_Match": f',,{OTHER}\t,TAG , "a,b",'}, 200, 204),
    ({"If_Match": OTHER}, 412, 412),
    ({"If_Match": f'{OTHER},"a,b"'}, 412, 412),
    ({"If_Match": "W/TAG"}, 412, 412),
    ({"If_Match": f"W/TAG, {OTHER}"}, 412, 412),
    ({"If_None_Match": "*"}, 304, 412),
    ({"If_None_Match": "TAG"}, 304, 412),
    ({"If_None_Match": "W/TAG"}, 304, 412),
    ({"If_None_Match": f'{OTHER},W/TAG,"a,b"'}, 304, 412),
    ({"If_None_Match": OTHER}, 200, 204),
    ({"If_None_Match": f"W/{OTHER}"}, 200, 204),
    ({"If_Match": "TAG", "If_None_Match": OTHER}, 200, 204),
    ({"If_Match": "TAG", "If_None_Match": "TAG"}, 304, 412),
    ({"If_Match": OTHER, "If_None_Match": OTHER}, 412, 412),
]


@pytest.mark.parametrize(("conditions", "read", "changed"), CASES)
async def test_of_what_is_there(
    http: httpx.AsyncClient, path: str, conditions: dict[str, str], read: int, changed: int
) -> None:
    await send(http, "PUT", path)
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        tag = await tag_of(http, path)
        given = {name: value.replace("TAG", tag) for name, value in conditions.items()}
        answer = await send(http, method, path, f"By {method}", **given)
        expected = read if method in ("GET", "HEAD") else changed
        assert answer.status_code == expected, method
        if expected in (200, 304):
            assert answer.headers["etag"] == tag
            assert answer.headers["vary"] == "Host"
        if expected == 304:
            assert answer.content == b""
        if expected == 412:
            assert await tag_of(http, path) == tag
        if expected == 412 and method != "HEAD":
            said = problem(answer, 412, "version-conflict" if read == 412 else "precondition-failed")
            assert said["etag"] == tag
            assert tag in said["detail"]
            assert ("If-Match" in said["detail"]) or ("If-None-Match" in said["detail"])


@pytest.mark.parametrize(
    ("conditions", "put"),
    [
        ({"If_Match": "*"}, 412),
        ({"If_Match": OTHER}, 412),
        ({"If_Match": f"W/{OTHER}"}, 412),
        ({"If_None_Match": "*"}, 201),
        ({"If_None_Match": OTHER}, 201),
        ({"If_Match": "*", "If_None_Match": "*"}, 412),
    ],
)
async def test_of_what_is_not_there(http: httpx.AsyncClient, path: str, conditions: dict[str, str], put: int) -> None:
    # What would be 404 anyhow stays that (section 13.2.1).
    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        assert (await send(http, method, path, **conditions)).status_code == 404, method
    answer = await send(http, "PUT", path, **conditions)
    assert answer.status_code == put
    assert (await http.get(path)).status_code == (200 if put == 201 else 404)
    if put == 412:
        assert "If-Match" in problem(answer, 412, "precondition-failed")["detail"]


@pytest.mark.parametrize("header", ["If_Match", "If_None_Match"])
@pytest.mark.parametrize("value", ["1", "abc", '"a', 'a"', "W/x", 'w/"a"', '"a" "b"', '*, "a"', '"a b"', "", ",", "**"])
async def test_conditions_that_are_none(http: httpx.AsyncClient, path: str, header: str, value: str) -> None:
    await send(http, "PUT", path)
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await send(http, method, path, **{header: value})
        detail = problem(answer, 400, "bad-input")["detail"]
        assert header.replace("_", "-") in detail
        assert "in quotes" in detail
    problem(await send(http, "GET", "/things", **{header: value}), 400, "bad-input")


async def test_a_condition_over_several_lines(http: httpx.AsyncClient, path: str) -> None:
    await send(http, "PUT", path)
    tag = await tag_of(http, path)
    lines = [("If-None-Match", OTHER), ("If-None-Match", tag)]
    assert (await http.get(path, headers=lines)).status_code == 304


async def test_who_makes_it_anew_gets_another_tag(http: httpx.AsyncClient, path: str) -> None:
    seen = set()
    for _ in range(3):
        created = await send(http, "PUT", path, "First")
        assert created.status_code == 201
        tag = await tag_of(http, path)
        assert created.headers["etag"] == tag
        assert tag not in seen
        for old in seen:
            assert (await send(http, "GET", path, If_None_Match=old)).status_code == 200
            problem(await send(http, "PUT", path, "Overwritten", If_Match=old), 412, "version-conflict")
        seen.add(tag)
        assert (await send(http, "DELETE", path, If_Match=tag)).status_code == 204


async def test_only_one_of_those_who_read_the_same_may_write(http: httpx.AsyncClient, path: str) -> None:
    await send(http, "PUT", path)
    tag = await tag_of(http, path)
    first = await send(http, "PUT", path, "A", If_Match=tag)
    assert first.headers["etag"] == await tag_of(http, path) != tag
    problem(await send(http, "PATCH", path, "B", If_Match=tag), 412, "version-conflict")
    patched = await send(http, "PATCH", path, "B", If_Match=first.headers["etag"])
    assert patched.headers["etag"] == await tag_of(http, path)
    # What changes nothing keeps the tag.
    assert (await send(http, "PATCH", path, "B")).headers["etag"] == patched.headers["etag"]


async def test_the_tag_changes_with_whatever_the_answer_shows(
    http: httpx.AsyncClient, platform: Platform, path: str
) -> None:
    td = {**TD, "properties": {"on": {"type": "boolean"}}}
    await http.put(path, content=json.dumps(td))
    here = await http.get(path)
    listed = await http.get("/things?limit=1")
    other_host = {"Host": "127.0.0.1:9999"}
    elsewhere = await http.get(path, headers=other_host)
    assert elsewhere.content != here.content
    assert elsewhere.headers["etag"] != here.headers["etag"]
    assert (await http.get("/things?limit=1", headers=other_host)).headers["etag"] != listed.headers["etag"]
    # The same directory with its gateway on another port, as after a start with other settings.
    moved = replace(platform.services, settings=replace(platform.services.settings, mqtt_port=1999))
    token = {"Authorization": f"Bearer {platform.token}"}
    transport = httpx.ASGITransport(create_app(moved))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=token) as later:
        answer = await later.get(path, headers={"If-None-Match": here.headers["etag"]})
        assert (answer.status_code, b":1999" in answer.content) == (200, True)
        again = await later.get("/things?limit=1", headers={"If-None-Match": listed.headers["etag"]})
        assert again.status_code == 200


@pytest.mark.parametrize("query", ["", "?limit=2", "?format=collection", "?search=lamp&offset=1"])
async def test_the_list(http: httpx.AsyncClient, path: str, query: str) -> None:
    await send(http, "PUT", path)
    url = f"/things{query}"
    tag = await tag_of(http, url)
    assert tag.startswith("W/")
    for tags in (tag, tag.removeprefix("W/"), "*", f"{OTHER}, {tag}"):
        for method in ("GET", "HEAD"):
            assert (await send(http, method, url, If_None_Match=tags)).status_code == 304
    assert (await send(http, "GET", url, If_Match="*")).status_code == 200
    # A weak tag never matches strongly.
    problem(await send(http, "GET", url, If_Match=tag), 412, "version-conflict")
    await send(http, "PATCH", path, "Changed")
    assert (await send(http, "GET", url, If_None_Match=tag)).status_code == 200
    assert await tag_of(http, url) != tag
    tag = await tag_of(http, url)
    await send(http, "DELETE", path)
    assert await tag_of(http, url) != tag


async def test_adding_to_the_list_under_a_condition(http: httpx.AsyncClient) -> None:
    problem(await http.post("/things", json=TD, headers={"If-None-Match": "*"}), 412, "precondition-failed")
    added = await http.post("/things", json=TD, headers={"If-Match": "*"})
    assert added.status_code == 201
    assert added.headers["etag"] == await tag_of(http, added.headers["location"])


@given(st.lists(st.tuples(st.booleans(), st.text("\x21\x23\x2c\x7e\x80\xff", max_size=5)), min_size=1))
def test_lists_are_read_as_they_were_written(tags: list[tuple[bool, str]]) -> None:
    text = " , ".join(("W/" if weak else "") + f'"{opaque}"' for weak, opaque in tags)
    read = parse_tags(text, "If-Match")
    assert read.strong == {f'"{opaque}"' for weak, opaque in tags if not weak}
    assert read.weak == {f'"{opaque}"' for weak, opaque in tags if weak}
    for weak, opaque in tags:
        assert read.match(f'"{opaque}"', strongly=False)
        assert not read.match(f'W/"{opaque}"', strongly=True)
        assert weak or read.match(f'"{opaque}"', strongly=True)


@given(st.text('*W/"a, \t'))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        read = parse_tags(text, "If-Match")
    except BadInputError:
        return
    assert read.any or read.strong or read.weak


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_only_the_same_parts_have_the_same_tag(some: list[bytes], others: list[bytes]) -> None:
    assert (entity_tag(some) == entity_tag(others)) == (some == others)
    assert parse_tags(entity_tag(some), "If-Match").strong == {entity_tag(some)}
