"""`/api/history` over the real history."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest

from allthings.historian import settings as historian_settings
from allthings.historian.errors import QueryLimitError
from allthings.things.times import format_time, parse_time
from tests.web.conftest import Platform, problem

T0 = parse_time("2026-03-02T00:00:00Z")
S = 1_000_000_000
ROWS = 600


@pytest.fixture(scope="module", autouse=True)
async def readings(platform: Platform, app: Any) -> None:
    """Ten minutes of a pump: a number and a state each second, a fault text, JSON, and a later series of one value."""
    lines = ["thing,property,time,value"]
    for second in range(ROWS):
        time = format_time(T0 + second * S)
        lines += [f"h-pump,pressure,{time},{second / 2}", f"h-pump,running,{time},{'true' if second % 2 else 'false'}"]
    lines.append(f'h-pump,fault,{format_time(T0)},"low, oil ""7"""')
    transport = httpx.ASGITransport(app)
    headers = {"Authorization": f"Bearer {platform.token}", "Content-Type": "text/csv"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484", headers=headers) as client:
        answer = await client.post("/api/readings", content="\n".join(lines).encode())
    assert answer.json()["accepted"] == 2 * ROWS + 1, answer.text
    last = await platform.publish(
        "things/h-mixed/properties", b'[{"a":1,"@time":1},{"a":"x","@time":2},{"a":[1,{"b":null}],"@time":3}]'
    )
    await platform.caught_up(last)


async def ask(http: httpx.AsyncClient, **parameters: Any) -> Any:
    answer = await http.get("/api/history", params={k.rstrip("_"): v for k, v in parameters.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_readings(http: httpx.AsyncClient) -> None:
    answer = await ask(http, thing="h-pump", property="pressure", limit=3)
    assert (
        answer["series"]
        == [
            {
                "thing": "h-pump",
                "property": "pressure",
                "unit": "Pa",
                "columns": ["time", "value"],
                "points": [["2026-03-02T00:00:00Z", 0], ["2026-03-02T00:00:01Z", 0.5], ["2026-03-02T00:00:02Z", 1]],
            }
        ]
        or answer["series"][0]["unit"] != "Pa"
    )
    assert answer["next"]


async def test_values_of_every_kind(http: httpx.AsyncClient) -> None:
    answer = await ask(http, thing="h-pump", limit=2)
    values = {one["property"]: [point[1] for point in one["points"]] for one in answer["series"]}
    assert values["running"] == [False, True]
    assert values["fault"] == ['low, oil "7"']
    mixed = await ask(http, thing="h-mixed", property="a")
    assert [point[1] for point in mixed["series"][0]["points"]] == [1, "x", [1, {"b": None}]]


async def test_paging_gives_every_reading_once(http: httpx.AsyncClient) -> None:
    for order in ("asc", "desc"):
        times: list[str] = []
        following = None
        while True:
            more = {"next": following} if following else {}
            answer = await ask(http, thing="h-pump", property="pressure", limit=250, order=order, **more)
            times += [point[0] for point in answer["series"][0]["points"]]
            following = answer["next"]
            if following is None:
                break
        assert len(times) == ROWS
        assert times == sorted(set(times), reverse=order == "desc")


async def test_span_is_half_open(http: httpx.AsyncClient) -> None:
    answer = await ask(
        http, thing="h-pump", property="pressure", from_="2026-03-02T00:01:00Z", to="2026-03-02T00:01:02+00:00"
    )
    assert [point[1] for point in answer["series"][0]["points"]] == [30, 30.5]
    epoch = await ask(http, thing="h-pump", property="pressure", from_=str(T0 // S + 60), to=str(T0 // S + 62))
    assert epoch == answer
    nothing = await ask(http, thing="h-pump", property="pressure", from_="-1s")
    assert nothing["series"][0]["points"] == []


async def test_aggregates(http: httpx.AsyncClient) -> None:
    answer = await ask(http, thing="h-pump", property="pressure", every="5m", aggregate="avg,max", to="now")
    assert answer["series"][0]["columns"] == ["time", "avg", "max"]
    assert answer["series"][0]["points"] == [
        ["2026-03-02T00:00:00Z", 74.75, 149.5],
        ["2026-03-02T00:05:00Z", 224.75, 299.5],
    ]
    alone = await ask(http, thing="h-pump", property="pressure", every="5m")
    assert alone["series"][0]["columns"] == ["time", "avg"]
    whole = await ask(http, thing="h-pump", property="running", aggregate=["count", "last"])
    assert whole["series"][0]["points"][0][1:] == [ROWS, True]


async def test_plot(http: httpx.AsyncClient) -> None:
    for parameters in ({"points": 50}, {"points": 50, "aggregate": "lttb"}):
        answer = await ask(http, thing="h-pump", property="pressure", **parameters)
        points = answer["series"][0]["points"]
        assert 10 < len(points) <= 110
        assert points[0][1] == 0
        assert points[-1][1] == 299.5


async def test_things_by_id(http: httpx.AsyncClient) -> None:
    # An id is known when the thing has been registered, which happens within a second of its first message.
    async with asyncio.timeout(60):
        while True:
            query = {"thing": "urn:allthings:h-pump", "property": "pressure", "limit": 1}
            answer = await http.get("/api/history", params=query)
            if answer.status_code == 200:
                assert answer.json()["series"][0]["thing"] == "h-pump"
                break
            await asyncio.sleep(0.1)
    problem(await http.get("/api/history", params={"thing": "https://no.example/thing"}), 404, "not-found")


async def test_arrow(http: httpx.AsyncClient) -> None:
    parameters = {"thing": "h-pump", "property": "pressure", "format": "arrow"}
    answer = await http.get("/api/history", params=parameters)
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column_names == ["thing", "property", "time", "number", "text", "kind"]
    assert table.num_rows == ROWS
    assert table.schema.field("number").type == pa.float64()
    assert table.schema.field("time").type == pa.timestamp("ns", tz="UTC")
    accepted = await http.get(
        "/api/history",
        params={"thing": "h-pump", "property": "pressure"},
        headers={"Accept": "application/vnd.apache.arrow.stream, */*;q=0.1"},
    )
    assert accepted.content == answer.content


async def test_arrow_of_series_of_several_kinds(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history", params={"thing": "h-pump", "format": "arrow", "limit": 2})
    table = pa.ipc.open_stream(answer.content).read_all()
    rows = {(row["property"], row["number"], row["text"], row["kind"]) for row in table.to_pylist()}
    assert ("running", 0.0, None, "boolean") in rows
    assert ("pressure", 0.5, None, "number") in rows
    assert ("fault", None, 'low, oil "7"', "string") in rows
    assert answer.links["next"]["url"].startswith("/api/history?")
    following = await http.get(answer.links["next"]["url"])
    assert pa.ipc.open_stream(following.content).read_all().num_rows == 4


async def test_csv(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history", params={"thing": "h-pump", "property": "fault", "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows == [
        ["thing", "property", "time", "value", "kind"],
        ["h-pump", "fault", "2026-03-02T00:00:00Z", 'low, oil "7"', "string"],
    ]
    beside = await http.get("/api/history", params={"thing": "h-pump", "format": "csv", "limit": 1})
    assert rows[1] in list(csv.reader(io.StringIO(beside.text)))
    empty = await http.get("/api/history", params={"thing": "h-pump", "to": "2000-01-01", "format": "csv"})
    assert list(csv.reader(io.StringIO(empty.text))) == [["thing", "property", "time", "value", "kind"]]


async def test_what_csv_says_may_be_uploaded_again(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history", params={"thing": "h-pump", "property": "pressure", "format": "csv"})
    again = await http.post("/api/readings", content=answer.content, headers={"Content-Type": "text/csv"})
    assert again.json()["accepted"] == ROWS


async def test_parquet(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/history", params={"thing": "h-pump", "property": "pressure", "format": "parquet"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == ROWS
    plot = await http.get(
        "/api/history", params={"thing": "h-pump", "property": "pressure", "points": 10, "format": "parquet"}
    )
    assert pyarrow.parquet.read_table(io.BytesIO(plot.content)).schema.equals(table.schema)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", "bad-input"),
        ("thing=h-pump&from=yesterday", "bad-input"),
        ("thing=h-pump&every=5", "bad-input"),
        ("thing=h-pump&every=0m", "bad-input"),
        ("thing=h-pump&format=xml", "bad-input"),
        ("thing=h-pump&aggregate=median", "query-refused"),
        ("thing=h-pump&aggregate=lttb,avg", "bad-input"),
        ("thing=h-pump&every=1m&points=10", "bad-input"),
        ("thing=h-pump&next=abc", "query-refused"),
        ("thing=h-pump&limit=0", "bad-input"),
        ("thing=h-pump&points=1", "bad-input"),
        ("thing=a%20b", "bad-input"),
        ("thing=h-pump&property=a/b", "bad-input"),
    ],
)
async def test_questions_that_make_no_sense(http: httpx.AsyncClient, query: str, kind: str) -> None:
    problem(await http.get(f"/api/history?{query}"), 400, kind)


async def test_limits(http: httpx.AsyncClient) -> None:
    many = "&".join(f"thing=t{number}" for number in range(40)) + "&" + "&".join(f"property=p{n}" for n in range(26))
    problem(await http.get(f"/api/history?{many}"), 413, "limit-exceeded")
    answer = await http.get("/api/history", params={"thing": "h-pump"}, headers={"Accept": "image/png"})
    problem(answer, 406, "not-acceptable")


async def test_what_is_too_much_for_a_quick_question_is_asked_again_as_a_long_one(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    await platform.caught_up(await platform.publish_many([(f"things/quick-{n}/properties/a", b"1") for n in range(9)]))
    engine = platform.history._engine
    session = {**historian_settings.QUICK_SETTINGS, "max_rows_to_read": "1"}
    refusing = engine._handles(1, session, historian_settings.DATABASE)
    monkeypatch.setattr(engine, "quick", refusing)
    with pytest.raises(QueryLimitError):
        refusing.rows("SELECT * FROM readings")
    parameters = {"thing": "quick-3", "property": "a", "from": "-1h"}
    answer = await http.get("/api/history", params=parameters)
    assert answer.status_code == 200
    assert [row[1] for row in answer.json()["series"][0]["points"]] == [1]
    refusing.close()
