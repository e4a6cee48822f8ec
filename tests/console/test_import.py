"""A file is dropped, corrected, imported, and its chart shown."""

from __future__ import annotations

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.console.conftest import Console, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.system, pytest.mark.timeout(180)]

ROWS = [f"{minute // 60 + 1:02}/03/2026 08:{minute % 60:02};{minute / 8:.2f};auto" for minute in range(90)]
FILE = "\n".join(["Messzeit;p [bar];Modus", *ROWS, "02/03/2026 09:00;ERR;auto", ""]).replace(".", ",")


def payload(name: str, text: str) -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": text.encode()}


async def choose(page: Page, name: str, text: str) -> None:
    await page.get_by_label("Choose a file").set_input_files(payload(name, text))


def entry(page: Page, name: str) -> Locator:
    """A name of what was understood, with what it is."""
    return page.locator("dt", has_text=name).locator("+ dd")


async def test_a_file_is_corrected_and_imported(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/things")
    await page.get_by_role("link", name="Import").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Import")
    await choose(page, "pump.csv", FILE)
    begin = page.get_by_role("button", name="Import", exact=True)
    # 01/03 and 02/03 may be days of March or of two months: only a person knows.
    question = page.get_by_role("alert")
    await expect(question).to_contain_text("Which part is the day?")
    await expect(begin).to_be_disabled()
    await question.get_by_role("button", name="Day first").click()
    await expect(question).to_have_count(0)
    # The zone is the browser's, not that of the machine that the platform runs on.
    await expect(page.get_by_label("Time zone")).to_have_value("Asia/Shanghai")
    await expect(entry(page, "From – to")).to_contain_text("1 Mar 2026, 08:00:00")
    await expect(entry(page, "Usually every")).to_have_text("1 min")
    row = page.get_by_role("row").filter(has_text="p [bar]")
    await expect(row).to_contain_text("number")
    await expect(row.get_by_role("cell", name="bar", exact=True)).to_be_visible()
    await page.get_by_label("Thing", exact=True).fill("Pump im Keller")
    await page.get_by_label("Thing", exact=True).press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("is no name of a thing")
    await expect(begin).to_be_disabled()
    await page.get_by_label("Thing", exact=True).fill("imported-1")
    await page.get_by_label("Thing", exact=True).press("Enter")
    await page.get_by_label("What becomes of Modus").select_option("leave out")
    await expect(page.get_by_text("the column 'Modus' is left out")).to_be_visible()
    await begin.click()
    await expect(page.get_by_text("90 readings accepted")).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text="Row 91")).to_contain_text("'ERR' is no number")
    await page.get_by_role("link", name="Chart of imported-1").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("imported-1")
    await expect(page.locator("canvas").first).to_be_visible()
    points = console.api.get("/api/history", params={"thing": "imported-1", "property": "p"}).json()["series"][0]
    assert points["points"][0] == ["2026-03-01T00:00:00Z", 0.0]
    assert len(points["points"]) == 90
    console.api.delete("/things/imported-1").raise_for_status()


async def test_a_file_is_dropped_and_asks_for_its_time(open_page: OpenPage) -> None:
    page = await open_page("/console/import", locale="zh-CN", width=390)
    drop = """(text) => {
      const files = new DataTransfer();
      files.items.add(new File([text], "level.csv"));
      window.dispatchEvent(new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}));
    }"""
    await expect(page.get_by_text("将文件拖放到此处")).to_be_visible()
    await page.evaluate(drop, "a;b\nx;2\ny;4\n")
    question = page.get_by_role("alert")
    await expect(question).to_contain_text("哪一列是读数的时间")
    await question.get_by_role("button", name="a", exact=True).click()
    await expect(question).to_contain_text("is no time that is known here")
    # Another one dropped anywhere takes the place of the first.
    await page.evaluate(drop, "Messzeit_;v\nspät;1\nfrüh;2\n")
    await expect(question).to_contain_text("哪一列是读数的时间")
    await page.evaluate(drop, "a;b\nx;2\ny;4\n")
    await question.get_by_role("button", name="a", exact=True).click()
    await expect(question).to_contain_text("is no time that is known here")
    # What was said is taken back, and the other answer given.
    await page.get_by_role("combobox", name="时间列", exact=True).select_option("导入时间")
    await expect(question).to_have_count(0)
    await expect(page.get_by_role("button", name="导入", exact=True)).to_be_enabled()
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


async def test_what_is_no_file_of_readings_says_so(open_page: OpenPage) -> None:
    page = await open_page("/console/import")
    await choose(page, "empty.csv", "a,b\n")
    await expect(page.get_by_role("alert")).to_contain_text("no rows of data")
    await page.get_by_role("button", name="Another file").click()
    await expect(page.get_by_text("Drop a file here")).to_be_visible()
    await page.route("**/api/imports/preview*", lambda route: route.abort())
    await choose(page, "pump.csv", FILE)
    await expect(page.get_by_role("alert")).to_contain_text("The platform does not answer.")
    await page.unroute("**/api/imports/preview*")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("alert")).to_contain_text("Which part is the day?")
