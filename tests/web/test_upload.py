"""`POST /api/readings`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pyarrow as pa
import pytest

from allthings.log import block
from allthings.web import settings, upload
from tests.web.conftest import Platform, problem, until

ROW = b'{"thing":"u-%d","property":"a","time":"2026-03-02T00:00:00Z","value":%d}\n'


def arrow() -> bytes:
    table = pa.table({"thing": ["u-arrow"], "property": ["a"], "time": ["2026-03-02T00:00:00Z"], "value": [4.5]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("kind", "body", "thing"),
    [
        ("application/x-ndjson", ROW % (1, 4), "u-1"),
        ("application/json", b'[{"thing":"u-json","time":1772409600,"values":{"a":4}}]', "u-json"),
        ("text/csv; charset=utf-8", b"thing,property,time,value\nu-csv,a,2026-03-02T00:00:00Z,4\n", "u-csv"),
        ("application/vnd.apache.arrow.stream", arrow(), "u-arrow"),
    ],
)
async def test_every_format(http: httpx.AsyncClient, platform: Platform, kind: str, body: bytes, thing: str) -> None:
    answer = await http.post("/api/readings", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["accepted"] == 1
    assert result["rejected"] == []
    assert result["rejected_total"] == 0
    await platform.caught_up(int(result["position"]))
    points = (await http.get("/api/history", params={"thing": thing, "property": "a"})).json()["series"][0]["points"]
    assert points in ([["2026-03-02T00:00:00Z", 4]], [["2026-03-02T00:00:00Z", 4.5]])


async def test_rows_that_cannot_be_used_are_listed(http: httpx.AsyncClient) -> None:
    bad = b'{"thing":"u-1","property":"a","time":"never","value":1}\n'
    answer = (await http.post("/api/readings", content=ROW % (2, 1) + bad * 150)).json()
    assert answer["accepted"] == 1
    assert answer["rejected_total"] == 150
    assert len(answer["rejected"]) == settings.UPLOAD_REJECTED_LISTED_MAX
    assert answer["rejected"][0]["row"] == 2
    assert "never" in answer["rejected"][0]["reason"]


async def test_an_answer_means_that_the_log_has_it(http: httpx.AsyncClient, platform: Platform) -> None:
    before = (await platform.log.status()).last
    answer = await http.post("/api/readings", content=ROW % (3, 1))
    assert answer.status_code == 200
    assert (await platform.log.status()).last > before


async def test_a_type_of_the_description_is_kept(http: httpx.AsyncClient) -> None:
    td = {"title": "u-typed", "properties": {"a": {"type": "boolean"}}}
    location = (await http.post("/things", json=td)).headers["location"]
    assert (await http.get(location)).json()["title"] == "u-typed"
    row = b'{"thing":"u-typed","property":"a","time":1,"value":"tall"}\n'
    answer = (await http.post("/api/readings", content=row)).json()
    assert answer["accepted"] == 0
    assert answer["rejected_total"] == 1


async def test_wrong_bodies(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/readings", content=b"<x/>", headers={"Content-Type": "text/xml"})
    problem(answer, 415, "unsupported-media-type")
    answer = await http.post(
        "/api/readings", content=b"nonsense", headers={"Content-Type": "application/vnd.apache.arrow.stream"}
    )
    problem(answer, 400, "bad-input")
    answer = await http.post("/api/readings", content=b'{"a":', headers={"Content-Type": "application/json"})
    problem(answer, 400, "bad-input")


async def test_too_large(http: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(65):
            yield b" " * (1 << 20)

    problem(await http.post("/api/readings", content=endless()), 413, "limit-exceeded")


async def test_too_many_at_once_are_told_to_come_back(http: httpx.AsyncClient) -> None:
    arrive = asyncio.Event()
    begun: list[int] = []

    async def slow() -> AsyncIterator[bytes]:
        yield ROW % (9, 1)
        begun.append(1)
        await arrive.wait()

    slow_ones = [asyncio.create_task(http.post("/api/readings", content=slow())) for _ in range(settings.UPLOADS_MAX)]
    await until(lambda: len(begun) == settings.UPLOADS_MAX)
    refused = await http.post("/api/readings", content=ROW % (9, 2))
    problem(refused, 503, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    arrive.set()
    assert {one.status_code for one in await asyncio.gather(*slow_ones)} == {200}
    assert (await http.post("/api/readings", content=ROW % (9, 3))).status_code == 200


async def test_a_place_is_free_again_after_a_failure() -> None:
    uploads = upload.Uploads()
    for _ in range(2 * settings.UPLOADS_MAX):
        with pytest.raises(ValueError, match="broken"), uploads.place():
            raise ValueError("broken")


async def test_an_upload_of_which_nothing_is_taken_names_a_place_to_go_on_from(
    http: httpx.AsyncClient, platform: Platform
) -> None:
    await platform.caught_up(await platform.publish("things/u-place/properties/a", b"1"))
    known = block.position(platform.twin.sequence + 1, 0) - 1
    for body in ([{"thing": "u-place", "property": "a", "time": "never", "value": 1}], []):
        answer = (await http.post("/api/readings", json=body)).json()
        assert answer["accepted"] == 0
        assert int(answer["position"]) >= known > 0
