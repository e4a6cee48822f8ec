"""Large answers: counted while they are on their way, and cut off when nobody takes them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from litestar.types import Message

from allthings.web import settings
from tests.web.conftest import Platform, until

LARGE = "/api/history?thing=large-1&property=a"


@pytest.fixture
async def large(http: httpx.AsyncClient, platform: Platform) -> int:
    """A series whose answer leaves in pieces; its rows."""
    rows = "".join(f"large-1,a,{1_767_225_600 + number},{number}\n" for number in range(60_000))
    body = "thing,property,time,value\n" + rows
    answer = await http.post("/api/readings", content=body, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.text
    await platform.caught_up()
    return 60_000


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
async def test_a_large_answer_is_whole_and_holds_nothing_afterwards(
    http: httpx.AsyncClient, platform: Platform, large: int, form: str
) -> None:
    answer = await http.get(f"{LARGE}&format={form}&limit=100000")
    assert answer.status_code == 200
    if form == "json":
        assert len(answer.json()["series"][0]["points"]) == large
    if form == "csv":
        assert answer.text.count("\n") == large + 1
    assert platform.services.pools.held.held_bytes == 0


async def test_who_takes_nothing_of_an_answer_is_cut_off(
    app: Any, platform: Platform, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "TAKE_S_MAX", 0.05)
    held, sent = platform.services.pools.held, list[Message]()
    body: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not body:
            await asyncio.Event().wait()
        return body.pop()

    async def send(message: Message) -> None:
        sent.append(message)
        if len(sent) == 3:
            assert held.held_bytes > settings.ANSWER_WHOLE_BYTES_MAX
            await asyncio.Event().wait()

    path, _, query = LARGE.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": f"{query}&format=csv".encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8484"), (b"authorization", f"Bearer {platform.token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8484),
    }
    async with asyncio.timeout(20):
        await app(scope, receive, send)
    assert len(sent) == 3
    assert sent[-1].get("more_body")
    await until(lambda: held.held_bytes == 0)
