"""The console's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.web.conftest import Platform, problem


@pytest.fixture
def console(platform: Platform, tmp_path: Path) -> Iterator[Path]:
    """A built console, with a secret next to it."""
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>console</title>")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "index-DKa93_bX.js").write_text("1")
    (folder / "assets" / "index-DKa93_bX.js.br").write_bytes(b"brotli")
    (folder / "leak").symlink_to(tmp_path / "secret.txt")
    platform.services.settings.static_dir = folder
    yield folder
    platform.services.settings.static_dir = None


@pytest.mark.parametrize("path", ["/", "/console", "/console/things", "/console/things/urn%3Aa%2Fb.c", "/index.html"])
async def test_first_page(anyone: httpx.AsyncClient, console: Path, path: str) -> None:
    answer = await anyone.get(path)
    assert answer.status_code == 200
    assert "<title>console</title>" in answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"


async def test_files(anyone: httpx.AsyncClient, console: Path) -> None:
    script = await anyone.get("/assets/index-DKa93_bX.js", headers={"Accept-Encoding": "identity"})
    assert script.text == "1"
    assert "javascript" in script.headers["content-type"]
    assert "immutable" in script.headers["cache-control"]
    icon = await anyone.get("/favicon.svg")
    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.headers["cache-control"] == "no-cache"
    async with anyone.stream("GET", "/assets/index-DKa93_bX.js", headers={"Accept-Encoding": "br"}) as packed:
        assert packed.headers["content-encoding"] == "br"


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/leak",
        "/assets",
        "/assets/none.js",
        "/none",
        "/index.html%00",
        "/" + "a" * 5_000,
    ],
)
async def test_nothing_else(anyone: httpx.AsyncClient, console: Path, path: str) -> None:
    # httpx would tidy the path up; a stranger does not.
    url = httpx.URL("http://127.0.0.1:8484").copy_with(raw_path=path.encode())
    answer = await anyone.get(url)
    assert "secret" not in answer.text.replace("secret.txt", "")
    assert "root:" not in answer.text
    problem(answer, 404, "not-found")


async def test_api_paths_are_never_pages(anyone: httpx.AsyncClient, console: Path) -> None:
    for path in ("/api/none", "/sensorthings/v1.1", "/mcp", "/events"):
        problem(await anyone.get(path), 404, "not-found")


async def test_a_console_that_was_not_built_says_so(anyone: httpx.AsyncClient) -> None:
    answer = await anyone.get("/")
    assert answer.status_code == 503
    assert "make console" in answer.text
    problem(await anyone.get("/assets/none.js"), 404, "not-found")
