"""The application as a whole: what every route has in common."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import problem


async def test_unknown_path_is_a_problem(http: httpx.AsyncClient) -> None:
    body = problem(await http.get("/api/nonsense"), 404, "not-found")
    assert body["instance"] == "/api/nonsense"


async def test_wrong_method_is_a_problem(http: httpx.AsyncClient) -> None:
    answer = await http.put("/api/status")
    problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


async def test_wrong_parameter_is_named(http: httpx.AsyncClient) -> None:
    body = problem(await http.get("/api/things", params={"limit": "many"}), 400, "bad-input")
    assert "limit" in body["detail"]


async def test_health(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/health")).json() == {"status": "ok"}


async def test_ready(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/ready")).json() == {"status": "ready"}


@pytest.mark.parametrize("path", ["/health", "/api/nonsense", "/api/status", "/"])
async def test_security_headers_everywhere(anyone: httpx.AsyncClient, path: str) -> None:
    headers = (await anyone.get(path)).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_head_is_get_without_its_body(http: httpx.AsyncClient) -> None:
    answer = await http.head("/api/status")
    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"] == "application/json"


async def test_head_of_a_stream_ends(http: httpx.AsyncClient) -> None:
    answer = await http.head("/api/live")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
