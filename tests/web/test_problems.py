"""Errors as problem details."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.log.errors import LogUnavailableError
from allthings.things.errors import UnavailableError
from tests.web.conftest import Platform, problem


async def test_a_fault_of_ours_tells_nothing(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(platform.twin, "values", broken)
    answer = await http.get("/api/current", params={"thing": "x"})
    problem(answer, 500, "internal")
    assert "secret inside" not in answer.text
    assert "secret inside" in caplog.text


async def test_what_does_not_answer_is_tried_again_later(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: Any, **__: Any) -> int:
        raise LogUnavailableError("the log is away")

    monkeypatch.setattr(platform.log, "append_surely", unavailable)
    answer = await http.post("/api/readings", content=b'{"thing":"p","property":"a","value":1}')
    problem(answer, 503, "log-unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_registry_that_is_away(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(platform.registry.things, "get", away)
    problem(await http.get("/things/x"), 503, "unavailable")


async def test_the_path_is_named_as_it_was_meant(http: httpx.AsyncClient) -> None:
    body = problem(await http.get("/things/https%3A%2F%2Fa.example%2Fb"), 404, "not-found")
    assert body["instance"] == "/things/https://a.example/b"
