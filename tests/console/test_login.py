"""Coming in, being sent back to where one wanted to be, and going out."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import expect

from allthings.testing.platform import Platform
from tests.console.conftest import USER, Console, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.system, pytest.mark.timeout(180)]


async def test_a_stranger_is_sent_to_the_login_and_then_back(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/things?search=boiler", login=False)
    await expect(page).to_have_url(f"{console.url}/console/login?to=%2Fconsole%2Fthings%3Fsearch%3Dboiler")
    await page.get_by_label("User").fill(USER)
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
    await page.get_by_label("Password").fill(console.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{console.url}/console/things?search=boiler")
    await expect(page.get_by_role("link", name="Boiler in the cellar")).to_be_visible()


async def test_the_login_leads_to_no_other_site(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/login?to=//elsewhere.example/", login=False)
    await page.get_by_label("User").fill(USER)
    await page.get_by_label("Password").fill(console.password)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{console.url}/")


async def test_logging_out_closes_every_page(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/login", login=False)
    await page.get_by_label("User").fill(USER)
    await page.get_by_label("Password").fill(console.password)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{console.url}/console/login")
    await page.goto("/console/things")
    await expect(page.get_by_label("Password")).to_be_visible()


async def test_people_change_their_own_password_and_stay(open_page: OpenPage, console: Console) -> None:
    user = {"user": "paula", "role": "operator", "tenant": "main", "password": "the first one"}
    console.api.post("/api/users", json=user).raise_for_status()
    page = await open_page("/console/login?to=/console/settings", login=False)
    await page.get_by_label("User").fill("paula")
    await page.get_by_label("Password").fill("the first one")
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("button", name="Change password").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Present password").fill("not this one")
    await dialog.get_by_label("New password").fill("the second one")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_text("The present password is wrong.")
    await dialog.get_by_label("Present password").fill("the first one")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Your password is changed")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", level=1, name="Settings")).to_be_visible()
    with httpx.Client(base_url=console.url) as client:
        answers = [
            client.post("/api/login", json={"user": "paula", "password": password}).status_code
            for password in ("the first one", "the second one")
        ]
    assert answers == [401, 204]
    console.api.delete("/api/users/paula").raise_for_status()


async def test_an_open_platform_says_so(
    open_page: OpenPage, browser_program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Platform(tmp_path_factory.mktemp("open")) as platform:
        page = await open_page(f"{platform.http}/", login=False)
        await expect(page.get_by_text("open: no authentication, loopback only")).to_be_visible()
        await expect(page.get_by_text("Things online")).to_be_visible()
        # Nothing has arrived yet: the pages say what to do.
        await page.goto(f"{platform.http}/console/things")
        await expect(page.get_by_role("heading", name="No things yet")).to_be_visible()
        line = await page.locator("pre").text_content()
        assert line is not None
        assert f"-p {platform.mqtt_port}" in line
        assert "-u" not in line
        await page.goto(f"{platform.http}/console/rejects")
        await expect(page.get_by_role("heading", name="Nothing was rejected")).to_be_visible()
