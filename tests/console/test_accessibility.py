"""WCAG 2.2 AA: axe-core finds nothing on any page, and the keyboard alone reaches and leaves everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Console, OpenPage
from tests.console.test_import import FILE, choose
from tests.console.test_looks import PAGES

pytestmark = [pytest.mark.browser, pytest.mark.system, pytest.mark.timeout(480)]

AXE = Path(__file__).parents[2] / "web-console/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in web-console)")
    return AXE.read_text()


async def found(page: Page, axe: str) -> list[str]:
    """What axe has against the page as it is, one line each."""
    await page.evaluate(axe)
    verdict: Any = await page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [f"{one['id']}: {node['html'][:120]}" for one in verdict["violations"] for node in one["nodes"]]


@pytest.mark.parametrize(("width", "dark", "locale"), [(390, True, "zh-CN"), (1440, False, "en-GB")])
async def test_axe_finds_nothing_on_any_page(
    open_page: OpenPage, console: Console, axe: str, width: int, dark: bool, locale: str
) -> None:
    console.publish("boiler", b'{"temperature": ')
    page = await open_page("/", width=width, dark=dark, locale=locale)
    problems = {}
    for path in (*PAGES, "/console/nowhere"):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        problems[path] = await found(page, axe)
    assert {path: lines for path, lines in problems.items() if lines} == {}


@pytest.mark.parametrize("dark", [False, True])
async def test_axe_finds_nothing_while_a_file_is_imported(open_page: OpenPage, axe: str, dark: bool) -> None:
    page = await open_page("/console/import", dark=dark, width=390 if dark else 1440)
    await choose(page, "axe.csv", FILE)
    question = page.get_by_role("alert")
    await expect(question).to_be_visible()
    await page.get_by_text("More", exact=True).click()
    assert await found(page, axe) == []
    await question.get_by_role("button", name="Day first").click()
    await page.get_by_role("button", name="Import", exact=True).click()
    await expect(page.get_by_role("link", name="Chart of axe")).to_be_visible()
    assert await found(page, axe) == []


async def test_axe_finds_nothing_in_dialogs(open_page: OpenPage, axe: str) -> None:
    page = await open_page("/console/things")
    dialog = page.get_by_role("dialog")
    for path, button in (
        ("/console/things", "Add thing"),
        ("/console/things/boiler", "Rename"),
        ("/console/things/boiler", "Remove"),
        ("/console/access", "Add rule"),
        ("/console/access?tab=users", "Add user"),
        ("/console/access?tab=quotas", "Add quota"),
        ("/console/settings", "Change password"),
        ("/console/settings", "Keyboard shortcuts"),
    ):
        await page.goto(path)
        await page.get_by_role("button", name=button, exact=True).click()
        await expect(dialog).to_be_visible()
        assert await found(page, axe) == [], button
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.get_by_role("button", name=button, exact=True)).to_be_focused()


async def test_a_form_opens_at_its_first_field(open_page: OpenPage) -> None:
    page = await open_page("/console/access?tab=users")
    await page.get_by_role("button", name="Add user").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_label("Name")).to_be_focused()


async def test_every_stop_of_the_tab_key_is_seen(open_page: OpenPage) -> None:
    page = await open_page("/console/things/boiler")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    unseen: list[str] = []
    stops = 0
    while stops < 80:
        await page.keyboard.press("Tab")
        stop: dict[str, Any] | None = await page.evaluate(
            """() => {
              const one = document.activeElement;
              if (!one || one === document.body) return null;
              const line = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
              const box = one.getBoundingClientRect();
              return {
                html: one.outerHTML.slice(0, 100),
                seen: line(getComputedStyle(one)) || line(getComputedStyle(one, "::after")),
                inside: box.bottom > 0 && box.top < innerHeight,
              };
            }"""
        )
        if stop is None:
            break
        stops += 1
        if not (stop["seen"] and stop["inside"]):
            unseen.append(stop["html"])
    assert stops > 15
    assert unseen == []


async def test_a_new_page_is_announced(open_page: OpenPage) -> None:
    page = await open_page("/")
    await page.get_by_role("link", name="Rejects").first.click()
    await expect(page.get_by_role("status").filter(has_text="Rejects · allthings")).to_have_count(1)
