"""Who may come in."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from litestar.datastructures import Headers

from allthings.things.times import now_ns
from allthings.web.app import HANDLERS, create_app
from allthings.web.auth import check_host, check_origin
from allthings.web.errors import ForeignOriginError
from allthings.web.services import Services
from allthings.web.settings import SESSION_COOKIE, WebSettings
from tests.web.conftest import BASE, PASSWORD, Platform, client_of, problem

_OPEN = {"/health", "/ready", "/api/login", "/.well-known/wot", "/", "/{path:path}"}
_ROUTES = sorted({(method, path) for handler in HANDLERS for method in handler.http_methods for path in handler.paths})


def test_what_is_public_is_listed() -> None:
    public = {path for handler in HANDLERS if handler.opt["public"] for path in handler.paths}
    assert public == _OPEN


@pytest.mark.parametrize(("method", "path"), [route for route in _ROUTES if route[1] not in _OPEN])
async def test_every_route_refuses_strangers(anyone: httpx.AsyncClient, method: str, path: str) -> None:
    for part in ("thing", "name", "reject_id", "token_id"):
        path = path.replace(f"{{{part}:str}}", "1")
    answer = await anyone.request(method, path)
    problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer realm="allthings"'


@pytest.mark.parametrize(
    "credentials",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer " + "x" * 100_000},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Cookie": f"{SESSION_COOKIE}=nonsense"},
        {"Cookie": f"{SESSION_COOKIE}="},
    ],
)
async def test_wrong_credentials_are_refused(anyone: httpx.AsyncClient, credentials: dict[str, str]) -> None:
    problem(await anyone.get("/api/status", headers=credentials), 401, "unauthorized")


async def test_a_device_token_opens_nothing(anyone: httpx.AsyncClient, platform: Platform) -> None:
    platform.registry.things.create({"title": "Auth device"}, now_ns(), name="auth-device")
    secret = platform.registry.tokens.create("device", "auth-device", "", now_ns()).secret
    for path in ("/api/status", "/things/auth-device", "/things/auth-device/properties", "/api/live"):
        answer = await anyone.get(path, headers={"Authorization": f"Bearer {secret}"})
        problem(answer, 401, "unauthorized")


async def test_a_session_token_is_no_bearer_token_and_the_other_way(app: Any, platform: Platform) -> None:
    session = platform.registry.users.open_session(platform.admin, now_ns())
    async with client_of(app) as client:
        answer = await client.get("/api/me", headers={"Authorization": f"Bearer {session}"})
        problem(answer, 401, "unauthorized")
        answer = await client.get("/api/me", headers={"Cookie": f"{SESSION_COOKIE}={platform.token}"})
        problem(answer, 401, "unauthorized")


async def test_a_revoked_token_is_refused_at_once(http: httpx.AsyncClient, app: Any) -> None:
    made = (await http.post("/api/tokens", json={"label": "short-lived"})).json()
    async with client_of(app, headers={"Authorization": f"Bearer {made['token']}"}) as program:
        assert (await program.get("/api/me")).status_code == 200
        assert (await http.delete(f"/api/tokens/{made['id']}")).status_code == 204
        problem(await program.get("/api/me"), 401, "unauthorized")


async def test_viewers_look_but_do_not_change(app: Any, platform: Platform) -> None:
    platform.registry.users.create("viewer", PASSWORD, "viewer")
    token = platform.registry.tokens.create("api", "viewer", "", now_ns()).secret
    async with client_of(app, headers={"Authorization": f"Bearer {token}"}) as viewer:
        assert (await viewer.get("/api/status")).status_code == 200
        assert (await viewer.post("/api/query", json={"sql": "SELECT 1"})).status_code == 200
        problem(await viewer.post("/things", json={"title": "No"}), 403, "forbidden")
        problem(await viewer.post("/api/readings", content=b"{}"), 403, "forbidden")
        problem(await viewer.post("/api/tokens", json={}), 403, "forbidden")
        problem(await viewer.delete("/things/auth-device"), 403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
async def test_pages_of_other_sites_change_nothing(app: Any, platform: Platform, headers: dict[str, str]) -> None:
    session = platform.registry.users.open_session(platform.admin, now_ns())
    async with client_of(app, headers={"Cookie": f"{SESSION_COOKIE}={session}", **headers}) as page:
        problem(await page.post("/things", json={"title": "Forged"}), 403, "foreign-origin")
        problem(await page.post("/api/login", json={"user": "admin", "password": PASSWORD}), 403, "foreign-origin")
        problem(await page.delete("/things/auth-device"), 403, "foreign-origin")
    assert all(one.title != "Forged" for one in platform.registry.things.list(search="forged").things)


async def test_our_own_pages_may_change_things(app: Any, platform: Platform) -> None:
    session = platform.registry.users.open_session(platform.admin, now_ns())
    headers = {"Cookie": f"{SESSION_COOKIE}={session}", "Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    async with client_of(app, headers=headers) as page:
        assert (await page.post("/api/things/auth-device/adopt", json={})).status_code in (200, 404)


@pytest.mark.parametrize("host", ["127.0.0.1:8484", "localhost", "[::1]:8484", "LOCALHOST:1"])
def test_open_answers_under_its_own_name(host: str) -> None:
    check_host(Headers({"host": host}))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "127.0.0.1.evil.example", "10.0.0.1:8484", "localhost@evil.example"]
)
def test_open_refuses_other_names(host: str) -> None:
    with pytest.raises(ForeignOriginError):
        check_host(Headers({"host": host}))


def test_programs_send_no_origin() -> None:
    check_origin(Headers({"host": "a.example"}))


@pytest.fixture(scope="package")
def open_app(platform: Platform) -> Any:
    """The same parts without authentication."""
    old = platform.services
    opened = WebSettings(data_dir=old.settings.data_dir, started_ns=old.settings.started_ns, open=True)
    return create_app(
        Services(
            registry=old.registry,
            history=old.history,
            twin=old.twin,
            log=old.log,
            decoder=old.decoder,
            settings=opened,
            pools=old.pools,
        )
    )


async def test_open_lets_the_machine_itself_in(open_app: Any) -> None:
    async with client_of(open_app) as client:
        me = (await client.get("/api/me")).json()
        assert me["open"] is True
        assert me["role"] == "admin"
        made = await client.post("/api/tokens", json={"label": "made while open"})
        assert made.status_code == 201


async def test_open_refuses_rebound_names_and_foreign_pages(open_app: Any) -> None:
    async with client_of(open_app) as client:
        answer = await client.get("/api/status", headers={"Host": "evil.example"})
        problem(answer, 403, "foreign-origin")
        answer = await client.post("/things", json={"title": "x"}, headers={"Origin": "https://evil.example"})
        problem(answer, 403, "foreign-origin")
