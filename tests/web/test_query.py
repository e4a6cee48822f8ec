"""`/api/query`."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import Platform, problem


async def test_query(http: httpx.AsyncClient, platform: Platform) -> None:
    await platform.caught_up(await platform.publish("things/q-1/properties", b'{"a":1.5,"b":"x"}'))
    sql = "SELECT property, number, text FROM readings WHERE thing = 'q-1' ORDER BY property"
    answer = (await http.post("/api/query", json={"sql": sql})).json()
    assert answer["columns"] == ["property", "number", "text"]
    assert answer["rows"] == [["a", 1.5, None], ["b", None, "x"]]
    assert len(answer["types"]) == 3


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE readings",
        "INSERT INTO readings VALUES (1)",
        "SELECT * FROM system.users",
        "SELECT * FROM url('http://127.0.0.1/')",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "SELECT * FROM readings INTO OUTFILE '/tmp/x'",
    ],
)
async def test_only_reads(http: httpx.AsyncClient, sql: str) -> None:
    problem(await http.post("/api/query", json={"sql": sql}), 400, "query-refused")


async def test_limits(http: httpx.AsyncClient) -> None:
    problem(await http.post("/api/query", json={"sql": "SELECT 1" + " " * 70_000}), 400, "bad-input")
    problem(await http.post("/api/query", json={"sql": "x" * (1 << 20)}), 413, "limit-exceeded")
    problem(await http.post("/api/query", json={}), 400, "bad-input")


async def test_a_too_large_answer_is_told_and_harms_no_other(http: httpx.AsyncClient) -> None:
    large = "SELECT groupArray(x) FROM (SELECT arrayJoin(range(100000000)) AS x)"
    for _ in range(3):
        problem(await http.post("/api/query", json={"sql": large}), 413, "query-limit")
        assert (await http.post("/api/query", json={"sql": "SELECT 7"})).json()["rows"] == [[7]]
        assert (await http.get("/api/status")).status_code == 200
    body = problem(await http.post("/api/query", json={"sql": "SELECT foo FROM readings"}), 400, "query-refused")
    assert body["detail"] == "Unknown expression identifier `foo`"
