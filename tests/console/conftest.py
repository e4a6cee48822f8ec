"""The console in a real browser, on a whole platform that asks for a login and holds a year of readings."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import paho.mqtt.client as mqtt
import pytest
from playwright.async_api import Browser, BrowserContext, Page, StorageState, async_playwright, expect

from allthings.console import static_dir
from allthings.testing.platform import Platform, wait_until

USER = "admin"

# Generous, since tests may run beside others on few cores.
expect.set_options(timeout=20_000)
#: Hours of readings in the past of the thing `boiler`.
HOURS = 400 * 24
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Console:
    """A platform with its console: where it is, how one logs in, and devices that publish."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.url = platform.http
        printed = re.search(r"password (\S+)", "\n".join(platform.output))
        assert printed, "the first start prints the administrator's password"
        self.password = printed[1]
        self.api = httpx.Client(base_url=self.url, timeout=30)
        self.api.post("/api/login", json={"user": USER, "password": self.password}).raise_for_status()

    def upload(self, rows: list[dict[str, object]]) -> None:
        text = "\n".join(json.dumps(row) for row in rows)
        answer = self.api.post("/api/readings", content=text, headers={"Content-Type": "application/x-ndjson"})
        assert answer.raise_for_status().json()["rejected_total"] == 0

    def token(self, thing: str) -> str:
        return str(
            self.api.post(f"/api/things/{thing}/tokens", json={"label": "test"}).raise_for_status().json()["token"]
        )

    def change(self, thing: str, change: dict[str, object]) -> None:
        """Change a thing's description (RFC 7396)."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self.api.patch(f"/things/{thing}", content=json.dumps(change), headers=headers).raise_for_status()

    def publish(self, thing: str, *payloads: bytes, token: str | None = None) -> None:
        """As the device `thing`, acknowledged."""
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"test-{thing}")
        client.username_pw_set(thing, token or self.token(thing))
        client.connect(self.platform.mqtt_host, self.platform.mqtt_port)
        client.loop_start()
        for payload in payloads:
            client.publish(f"things/{thing}/properties", payload, qos=1).wait_for_publish(20)
        client.disconnect()
        client.loop_stop()

    def wait_for(self, path: str, holds: Callable[[dict[str, list[object]]], bool]) -> None:
        """Wait until the answer at a path is as it shall be."""
        assert wait_until(lambda: holds(self.api.get(path).json()), 20), self.api.get(path).text[:500]


def past() -> list[dict[str, object]]:
    """An hourly temperature with a yearly and a daily swing, and a burner that is on in the cold."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    rows: list[dict[str, object]] = []
    for hour in range(HOURS):
        warmth = 40 + 20 * math.cos(hour / 8766 * 2 * math.pi) + 4 * math.sin(hour / 24 * 2 * math.pi)
        time = (start + timedelta(hours=hour)).isoformat()
        rows.append({"thing": "boiler", "property": "temperature", "time": time, "value": round(warmth, 2)})
        rows.append({"thing": "boiler", "property": "burner_on", "time": time, "value": warmth < 40})
    return rows


@pytest.fixture(scope="session")
def browser_program() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    if static_dir() is None:
        pytest.skip("the console is not built (npm ci && npm run build in web-console)")
    return found


@pytest.fixture(scope="session")
def console(browser_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Platform(tmp_path_factory.mktemp("console"), arguments=()) as platform:
        made = Console(platform)
        made.upload(past())
        made.wait_for("/api/things?search=boiler", lambda page: len(page["things"]) == 1)
        made.api.post("/api/things/boiler/adopt", json={"title": "Boiler in the cellar"}).raise_for_status()
        described = {"type": "number", "unit": "Cel", "allthings:inferred": None}
        made.change("boiler", {"properties": {"temperature": described}})
        yield made
        made.api.close()


@pytest.fixture(scope="session")
async def browser(browser_program: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=browser_program, args=ARGUMENTS)
        yield launched
        await launched.close()


@pytest.fixture(scope="session")
def logged_in(console: Console) -> StorageState:
    """What a browser keeps after the login."""
    cookie = {
        "name": "allthings_session",
        "value": console.api.cookies["allthings_session"],
        "url": console.url,
    }
    return {"cookies": [cookie], "origins": []}  # type: ignore[list-item, typeddict-item]


OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture
async def open_page(browser: Browser, console: Console, logged_in: StorageState) -> AsyncIterator[OpenPage]:
    """Opens an address of the console. Errors in the browser's own console fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    async def open_it(
        path: str,
        *,
        width: int = 1440,
        height: int = 900,
        locale: str = "en-GB",
        dark: bool = False,
        login: bool = True,
    ) -> Page:
        context = await browser.new_context(
            base_url=console.url,
            viewport={"width": width, "height": height},
            locale=locale,
            timezone_id="Asia/Shanghai",
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        if login:
            await context.add_cookies(logged_in["cookies"])  # type: ignore[arg-type]
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(path)
        return page

    yield open_it
    for context in contexts:
        await context.close()
    assert errors == []
