"""Logging in and out."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from allthings.things.times import NS_PER_S
from allthings.web import settings
from allthings.web.errors import TooManyRequestsError
from allthings.web.logins import FailedLogins
from tests.web.conftest import PASSWORD, client_of, problem


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


async def test_logins_are_limited_by_address(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "LOGIN_FAILURES_MAX", 2)
    transport = httpx.ASGITransport(app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484") as client:
        body = {"user": "admin", "password": "guess no. one"}
        for _ in range(settings.LOGIN_FAILURES_MAX):
            problem(await client.post("/api/login", json=body), 401, "unauthorized")
        answer = await client.post("/api/login", json={"user": "admin", "password": PASSWORD})
        problem(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    elsewhere = httpx.ASGITransport(app, client=("203.0.113.8", 1))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://127.0.0.1:8484") as other:
        assert (await other.post("/api/login", json={"user": "admin", "password": PASSWORD})).status_code == 204


def test_failures_are_forgotten_after_the_window() -> None:
    failed = FailedLogins()
    for _ in range(settings.LOGIN_FAILURES_MAX):
        failed.check("192.0.2.1", 0)
        failed.failed("192.0.2.1", 0)
    with pytest.raises(TooManyRequestsError):
        failed.check("192.0.2.1", 59 * NS_PER_S)
    failed.check("192.0.2.1", 60 * NS_PER_S)
    failed.check("192.0.2.2", 0)


def test_an_ipv6_network_is_one_address() -> None:
    failed = FailedLogins()
    for host in range(settings.LOGIN_FAILURES_MAX):
        failed.failed(f"2001:db8::{host:x}", 0)
    with pytest.raises(TooManyRequestsError):
        failed.check("2001:db8::ffff", 1)
    failed.check("2001:db8:0:1::1", 1)


def test_success_clears_failures_and_memory_is_bounded() -> None:
    failed = FailedLogins()
    for _ in range(settings.LOGIN_FAILURES_MAX):
        failed.failed("192.0.2.1", 0)
    failed.succeeded("192.0.2.1")
    failed.check("192.0.2.1", 1)
    for number in range(settings.LOGIN_ADDRESSES_MAX + 10):
        failed.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0)
    assert len(failed._failures) == settings.LOGIN_ADDRESSES_MAX
