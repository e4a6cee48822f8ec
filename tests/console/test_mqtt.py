"""Clients, topics, retained messages, access and the explorer, with real MQTT clients beside the browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import pytest
from playwright.async_api import expect

from tests.console.conftest import Console, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.system, pytest.mark.timeout(180)]

Connect = Callable[..., aiomqtt.Client]


@pytest.fixture(scope="module")
def program(console: Console) -> str:
    """An administrator's token, which is an MQTT password too."""
    return str(console.api.post("/api/tokens", json={"label": "mqtt"}).raise_for_status().json()["token"])


@pytest.fixture
def connect(console: Console, program: str) -> Connect:
    """A client that may do everything."""

    def made(client: str, **more: Any) -> aiomqtt.Client:
        platform = console.platform
        return aiomqtt.Client(
            platform.mqtt_host, platform.mqtt_port, identifier=client, username="admin", password=program, **more
        )

    return made


@pytest.fixture
async def writer(connect: Connect) -> AsyncIterator[aiomqtt.Client]:
    async with connect("writer") as client:
        yield client


async def test_clients_are_searched_looked_at_and_disconnected(open_page: OpenPage, connect: Connect) -> None:
    async with connect("patient", clean_session=False) as patient:
        await patient.subscribe("ward/#", qos=1)
    async with connect("visitor", protocol=aiomqtt.ProtocolVersion.V5) as visitor:
        await visitor.subscribe("ward/+/door")
        page = await open_page("/console/clients")
        row = page.get_by_role("row").filter(has_text="visitor")
        await expect(row).to_contain_text("MQTT 5")
        await expect(row).to_contain_text("user:admin")
        await expect(page.get_by_role("row").filter(has_text="patient")).to_contain_text("Away")
        await page.get_by_role("button", name="Connected", exact=True).click()
        await expect(page.get_by_role("row").filter(has_text="patient")).to_have_count(0)
        await page.get_by_role("button", name="All", exact=True).click()
        await page.get_by_placeholder("Search clients").fill("patient")
        await expect(page.get_by_role("row").filter(has_text="visitor")).to_have_count(0)
        await page.get_by_role("button", name="patient").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("ward/#")
        await dialog.get_by_role("checkbox").check()
        await dialog.get_by_role("button", name="End session").click()
        await expect(page.get_by_text("No client matches")).to_be_visible()
        await page.get_by_placeholder("Search clients").fill("visit")
        await page.get_by_role("button", name="visitor").click()
        await dialog.get_by_role("button", name="Disconnect").click()
        with pytest.raises(aiomqtt.MqttError):
            await anext(aiter(visitor.messages))


async def test_a_long_list_of_clients_has_pages(open_page: OpenPage, console: Console, program: str) -> None:
    writers = []
    for number in range(60):
        name = f"page-{number:02}".encode()
        secret = program.encode()
        body = b"\0\4MQTT\4\xc2\0\0" + b"".join(len(part).to_bytes(2) + part for part in (name, b"admin", secret))
        _, writer = await asyncio.open_connection(console.platform.mqtt_host, console.platform.mqtt_port)
        writer.write(b"\x10" + bytes((len(body),)) + body)
        writers.append(writer)
    page = await open_page("/console/clients?search=page-")
    await expect(page.get_by_text("1–50 of 60")).to_be_visible()
    await page.get_by_role("button", name="Next page").click()
    await expect(page.get_by_text("51–60 of 60")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="page-59")).to_be_visible()
    await page.get_by_role("button", name="Client", exact=True).click()
    await expect(page.get_by_role("row").nth(1)).to_contain_text("page-59")
    for writer in writers:
        writer.close()


async def test_topics_unfold_by_keyboard_and_lead_to_the_explorer(
    open_page: OpenPage, console: Console, writer: aiomqtt.Client
) -> None:
    page = await open_page("/console/topics")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await writer.publish("garden/bed-1/soil", b'{"moisture": 0.31}', qos=1)
    garden = page.get_by_role("row").filter(has_text="garden")
    await expect(garden).to_be_visible()
    await garden.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("row").filter(has_text="bed-1")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    soil = page.get_by_role("row").filter(has_text="soil")
    await expect(soil).to_contain_text('{"moisture": 0.31}')
    await page.keyboard.press("ArrowDown")
    await expect(soil).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(soil).to_have_count(0)
    await page.get_by_placeholder("Search topics").fill("SOIL")
    found = page.get_by_role("row").filter(has_text="garden/bed-1/soil")
    await found.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("pre")).to_contain_text('"moisture": 0.31')
    await dialog.get_by_role("link", name="Watch live").click()
    await expect(page).to_have_url(f"{console.url}/console/explorer?filter=garden%2Fbed-1%2Fsoil")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await writer.publish("garden/bed-1/soil", b'{"moisture": 0.32}', qos=1)
    await expect(page.get_by_role("region", name="Messages")).to_contain_text("0.32")


async def test_retained_messages_are_filtered_and_cleared(open_page: OpenPage, writer: aiomqtt.Client) -> None:
    await writer.publish("shelf/a", b"\x00\xff\x10", qos=1, retain=True)
    await writer.publish("shelf/b", b"second", qos=1, retain=True)
    page = await open_page("/console/retained")
    await page.get_by_placeholder("Topic filter").fill("shelf/+")
    await expect(page.get_by_text("2 messages")).to_be_visible()
    await page.get_by_role("button", name="shelf/a", exact=True).click()
    await expect(page.locator("pre")).to_contain_text("00 ff 10")
    await page.get_by_role("button", name="Clear shelf/a").click()
    await page.get_by_role("dialog").get_by_role("button", name="Clear").click()
    await expect(page.get_by_text("1 message", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="shelf/b", exact=True)).to_be_visible()


async def test_the_explorer_publishes_subscribes_and_pauses(
    open_page: OpenPage, console: Console, writer: aiomqtt.Client
) -> None:
    page = await open_page("/console/explorer")
    await expect(page.get_by_text("connected", exact=True)).to_be_visible()
    await page.get_by_label("Topic filter").fill("lab/#")
    await page.get_by_role("button", name="Subscribe").click()
    await writer.subscribe("lab/#", qos=1)
    await page.get_by_label("Topic", exact=True).fill("lab/lamp")
    await page.get_by_label("Payload").fill('{"on": true}')
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_text("Published to lab/lamp; it is on disk")).to_be_visible()
    assert (await anext(aiter(writer.messages))).payload == b'{"on": true}'
    messages = page.get_by_role("region", name="Messages")
    await expect(messages.get_by_role("listitem")).to_have_count(1)
    await messages.get_by_role("button", name="lab/lamp").click()
    await expect(messages.locator("pre")).to_have_text('{\n  "on": true\n}')
    await messages.get_by_role("button", name="Pause").click()
    await writer.publish("lab/lamp", b"while you read", qos=1)
    await messages.get_by_role("button", name="Go on (1)").click()
    await expect(messages.get_by_role("listitem")).to_have_count(2)
    page_clients = console.api.get("/api/mqtt/clients", params={"search": "console-"}).json()["clients"]
    assert [one["owner"] for one in page_clients] == ["user:admin"]


async def test_who_may_do_what_is_changed(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/access")
    await page.get_by_role("button", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Who").fill("thing:boiler")
    await dialog.get_by_label("Topic filter").fill("heating/#")
    await dialog.get_by_label("Note").fill("the whole heating")
    await dialog.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text="heating/#")
    await expect(row).to_contain_text("the whole heating")
    await page.get_by_label("Name").fill("boiler")
    await page.get_by_label("Topic", exact=True).fill("heating/pump")
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_text("allowed by thing:boiler heating/#").first).to_be_visible()
    await row.get_by_role("button", name="Remove").click()
    await dialog.get_by_role("button", name="Remove").click()
    await expect(row).to_have_count(0)
    await page.get_by_role("button", name="Users", exact=True).click()
    await page.get_by_role("button", name="Add user").click()
    await dialog.get_by_label("Name").fill("vera")
    await dialog.get_by_label("Password").fill("long enough")
    await dialog.get_by_role("button", name="Save").click()
    vera = page.get_by_role("row").filter(has_text="vera")
    await expect(vera).to_contain_text("Viewer")
    await vera.get_by_role("button", name="Edit").click()
    await dialog.get_by_label("Role").select_option("operator")
    await dialog.get_by_role("button", name="Save").click()
    await expect(vera).to_contain_text("Operator")
    await page.get_by_role("button", name="Quotas", exact=True).click()
    await page.get_by_role("button", name="Add quota").click()
    await dialog.get_by_label("Whose").fill("thing:boiler")
    await dialog.get_by_label("Messages per second").fill("50")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row").filter(has_text="thing:boiler")).to_contain_text("50")
    await page.get_by_role("button", name="Audit list", exact=True).click()
    await expect(page.get_by_role("listitem").filter(has_text="Quota set").first).to_contain_text("thing:boiler")
    console.api.delete("/api/access/quotas/thing:boiler").raise_for_status()
    console.api.delete("/api/users/vera").raise_for_status()


async def test_rules_that_are_alike_are_listed_and_removed_one_by_one(open_page: OpenPage, console: Console) -> None:
    rule = {"subject": "devices", "filter": "twice/#", "publish": False, "subscribe": True, "note": ""}
    for _ in range(2):
        console.api.post("/api/access/rules", json=rule).raise_for_status()
    page = await open_page("/console/access")
    rows = page.get_by_role("row").filter(has_text="twice/#")
    for left in (2, 1):
        await expect(rows).to_have_count(left)
        await rows.first.get_by_role("button", name="Remove").click()
        await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(rows).to_have_count(0)


async def test_a_dialog_says_what_was_refused(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/access")
    await page.get_by_role("button", name="Add rule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Who").fill("thing:boiler")
    await dialog.get_by_label("Topic filter").fill("a/#/b")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("#")
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Add rule").click()
    await expect(dialog.get_by_label("Topic filter")).to_have_value("")
    await expect(dialog.get_by_role("alert")).to_have_count(0)


async def test_viewers_are_offered_nothing_that_they_may_not_do(open_page: OpenPage, console: Console) -> None:
    viewer = {"user": "victor", "role": "viewer", "tenant": "main", "password": "long enough"}
    console.api.post("/api/users", json=viewer).raise_for_status()
    page = await open_page("/console/login", login=False)
    await page.get_by_label("User").fill("victor")
    await page.get_by_label("Password").fill("long enough")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    for path, button in (
        ("/console/things", "Add thing"),
        ("/console/things/boiler", "Rename"),
        ("/console/things/boiler", "Remove"),
        ("/console/things/boiler?tab=connect", "Create token"),
        ("/console/rejects", "Replay all"),
        ("/console/settings", "Create token"),
    ):
        await page.goto(path)
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator("[aria-busy=true]")).to_have_count(0)
        await expect(page.get_by_role("button", name=button)).to_have_count(0)
    await page.goto("/console/clients")
    await expect(page.get_by_role("link", name="Explorer")).to_be_visible()
    await expect(page.get_by_role("link", name="Access")).to_have_count(0)
    console.api.delete("/api/users/victor").raise_for_status()


async def test_a_thing_is_made_strict(open_page: OpenPage, console: Console) -> None:
    page = await open_page("/console/things/boiler")
    switch = page.get_by_role("switch", name="Strict")
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(page.get_by_text("refuses what its description forbids")).to_be_visible()
    assert console.api.get("/things/boiler").json()["allthings:strict"] is True
    await switch.click()
    await expect(page.get_by_text("takes everything")).to_be_visible()
    assert "allthings:strict" not in console.api.get("/things/boiler").json()
