"""`/api/imports`: files as people have them, previewed and stored."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.web.conftest import Platform, problem, until

FILE = "Datum;p [bar];Modus\n22.11.2026 08:30;2,5;auto\n22.11.2026 08:40;ERR;NA\n22.11.2026 08:50;2,75;auto\n"


async def send(http: httpx.AsyncClient, content: Any, name: str, path: str = "", **options: Any) -> httpx.Response:
    params = {"name": name, "options": json.dumps(options), **({"whole": "true"} if path else {})}
    headers = {"Content-Type": "application/octet-stream"}
    return await http.post(f"/api/imports{path}", params=params, content=content, headers=headers)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_a_file_is_previewed_and_imported(http: httpx.AsyncClient, platform: Platform, pack: Any) -> None:
    name = f"i-{pack.__name__}.csv"
    shown = (await send(http, pack(FILE.encode()), name, "/preview")).raise_for_status().json()
    assert shown["understood"]["first"] == "2026-11-22T08:30:00Z"
    assert shown["options"] == {"day_first": True, "zone": "UTC"}
    assert [column["unit"] for column in shown["understood"]["columns"]] == ["", "bar", ""]
    answer = (await send(http, pack(FILE.encode()), name, **shown["options"])).raise_for_status().json()
    thing = name.removesuffix(".csv")
    assert (answer["rows"], answer["accepted"], answer["things"]) == (3, 4, [thing])
    assert answer["rejected"] == [{"row": 2, "reason": "property 'p': 'ERR' is no number"}]
    assert answer["absent"] == {"Modus": 1}
    await platform.caught_up(int(answer["position"]))
    points = (await http.get("/api/history", params={"thing": thing, "property": "p"})).json()["series"][0]["points"]
    assert points == [["2026-11-22T08:30:00Z", 2.5], ["2026-11-22T08:50:00Z", 2.75]]

    async def has_unit() -> bool:
        td = (await http.get(f"/things/{thing}")).json()
        return bool(td.get("properties", {}).get("p", {}).get("unit") == "bar")

    await until(has_unit)


async def test_an_open_question_refuses_the_file_and_stores_nothing(
    http: httpx.AsyncClient, platform: Platform
) -> None:
    before = (await platform.log.status()).last
    told = problem(await send(http, b"a,b\n1,2\n", "q.csv"), 400, "bad-input")
    assert "no column of times is found among 'a', 'b'" in told["detail"]
    assert told["questions"][0]["option"] == "time_column"
    assert (await platform.log.status()).last == before


async def test_json_and_parquet(http: httpx.AsyncClient) -> None:
    document = json.dumps({"rows": [{"ts": "2026-11-22T08:30:00Z", "v": 2**70}]}).encode()
    assert (await send(http, document, "i-doc.json")).json()["accepted"] == 1
    sink = io.BytesIO()
    pq.write_table(pa.table({"Time": pa.array([1_795_336_200], pa.timestamp("s")), "v": [1.5]}), sink)
    assert (await send(http, sink.getvalue(), "i.parquet")).json()["first"] == "2026-11-22T08:30:00Z"


async def test_a_preview_looks_at_the_beginning_of_what_unpacks_to_much(http: httpx.AsyncClient) -> None:
    rows = "".join(f"{1_600_000_000 + n},{n}\n" for n in range(200_000))
    shown = (await send(http, gzip.compress(f"time,n\n{rows}".encode()), "i-much.csv.gz", "/preview")).json()
    assert shown["understood"]["first"] == "2020-09-13T12:26:40Z"
    assert not shown["understood"]["whole"]


@pytest.mark.parametrize(("rows", "whole"), [(19_000, True), (21_000, False)])
async def test_a_preview_says_whether_it_looked_at_every_row(http: httpx.AsyncClient, rows: int, whole: bool) -> None:
    text = "time,n\n" + "".join(f"{1_600_000_000 + n},{n}\n" for n in range(rows))
    shown = (await send(http, text.encode(), "i-rows.csv", "/preview")).json()["understood"]
    assert (shown["whole"], shown["rows"]) == (whole, min(rows, 20_000))


@pytest.mark.parametrize(
    ("header", "time", "options", "by"),
    [
        ("time", "2026-11-22T08:30:00Z", {}, ""),
        ("time", "2026-11-22 08:30", {}, "platform"),
        ("time (UTC)", "2026-11-22 08:30", {}, "header"),
        ("time (UTC)", "2026-11-22 08:30", {"zone": "Europe/Berlin"}, "option"),
    ],
)
async def test_a_preview_says_who_says_the_zone(
    http: httpx.AsyncClient, header: str, time: str, options: dict[str, str], by: str
) -> None:
    shown = await send(http, f"{header},v\n{time},1\n".encode(), "i-zone.csv", "/preview", **options)
    assert shown.json()["understood"]["zone_by"] == by


async def test_a_file_larger_than_an_upload_is_taken_as_it_arrives(http: httpx.AsyncClient) -> None:
    rows = 300_000

    async def body() -> AsyncIterator[bytes]:
        yield b"time,n\n"
        for start in range(0, rows, 10_000):
            yield "".join(f"{1_600_000_000 + n},{n}\n" for n in range(start, start + 10_000)).encode()

    answer = (await send(http, body(), "i-large.csv")).json()
    assert (answer["accepted"], answer["last"]) == (rows, "2020-09-16T23:46:39Z")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('{"zone":"Mars/Olympus"}', "Mars/Olympus"),
        ('{"colour":"red"}', "colour"),
        ("no json", "options: "),
        ('{"thing":"a b"}', "no name of a thing"),
        ('{"time_format":"%Q"}', "%Q"),
    ],
)
async def test_options_that_cannot_be_used(http: httpx.AsyncClient, options: str, reason: str) -> None:
    answer = await http.post("/api/imports", params={"options": options}, content=FILE.encode())
    assert reason in problem(answer, 400, "bad-input")["detail"]


async def test_damaged_files_are_problems(http: httpx.AsyncClient) -> None:
    for content in (gzip.compress(FILE.encode())[:-4], b"PAR1 and no more", b"", b"PK\x03\x04zip"):
        problem(await send(http, content, "x.csv"), 400, "bad-input")
