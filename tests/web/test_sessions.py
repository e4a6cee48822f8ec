"""Logging in and out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.registry.settings import ATTEMPTS_BURST
from allthings.web import settings
from tests.web.conftest import PASSWORD, Platform, client_of, problem


async def test_login_and_logout(app: Any) -> None:
    async with client_of(app) as client:
        answer = await client.post("/api/login", json={"user": "admin", "password": PASSWORD})
        assert answer.status_code == 204
        cookie = answer.headers["set-cookie"].lower()
        for flag in ("httponly", "samesite=strict", "path=/", "max-age="):
            assert flag in cookie
        assert "secure" not in cookie
        me = (await client.get("/api/me")).json()
        assert me == {"user": "admin", "role": "admin", "open": False, "version": me["version"]}
        session = client.cookies[settings.SESSION_COOKIE]
        assert (await client.post("/api/logout")).status_code == 204
        client.cookies.set(settings.SESSION_COOKIE, session, domain="127.0.0.1")
        problem(await client.get("/api/me"), 401, "unauthorized")


async def test_the_cookie_is_secure_behind_https(app: Any) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://things.example") as client:
        answer = await client.post("/api/login", json={"user": "admin", "password": PASSWORD})
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "body",
    [{"user": "admin", "password": "wrong password"}, {"user": "nobody", "password": PASSWORD}],
)
async def test_wrong_password(app: Any, body: dict[str, str]) -> None:
    async with client_of(app) as client:
        answer = await client.post("/api/login", json=body)
        problem(answer, 401, "unauthorized")
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"user":"admin"}', b'{"user":1,"password":2}'])
async def test_malformed_login(app: Any, content: bytes) -> None:
    async with client_of(app) as client:
        answer = await client.post("/api/login", content=content, headers={"Content-Type": "application/json"})
        problem(answer, 400, "bad-input")


async def test_logins_are_limited_by_address(
    app: Any, http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the verification is here, no time passes in which a further attempt is earned.
    now = platform.services.clock()
    monkeypatch.setattr(platform.services, "clock", lambda: now)
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484") as client:
        body = {"user": "admin", "password": "guess no. one"}
        for _ in range(ATTEMPTS_BURST):
            problem(await client.post("/api/login", json=body), 401, "unauthorized")
        answer = await client.post("/api/login", json={"user": "admin", "password": PASSWORD})
        problem(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    failed = (await http.get("/api/audit", params={"kind": "login-failed"})).json()["entries"]
    assert [(one["who"], one["address"]) for one in failed[:ATTEMPTS_BURST]] == [
        ("admin", "203.0.113.7")
    ] * ATTEMPTS_BURST
    elsewhere = httpx.ASGITransport(app, client=("203.0.113.8", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1:8484") as other:
        assert (await other.post("/api/login", json={"user": "admin", "password": PASSWORD})).status_code == 204
