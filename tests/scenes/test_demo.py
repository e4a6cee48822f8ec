"""The demo against a running platform: the rooms alone, since all of it is a matter of minutes."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator

import httpx
import pyarrow as pa
import pytest
from rich.console import Console

from allthings.scenes.demo import catalogue
from allthings.scenes.demo.backfill import fill, newest, register
from allthings.scenes.demo.placement import Seam, history, place
from allthings.scenes.demo.player import play_all
from allthings.testing.platform import Platform
from allthings.things.times import NS_PER_S, now_ns

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

GROUPS = tuple(group for group in catalogue.load() if group.name in ("rooms", "air"))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("demo")) as running:
        yield running


@pytest.fixture
def client(platform: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.http, timeout=60) as opened:
        yield opened


def seams(now_s: int) -> dict[str, Seam]:
    return {group.name: place(group.span, group.live_from_s, group.align_s, now_s, 0) for group in GROUPS}


def values_before(now_s: int) -> int:
    """How many values the recordings have for the past."""
    count = 0
    for group in GROUPS:
        seam = seams(now_s)[group.name]
        for thing in group.things:
            rows, _ = history(thing.recording.clock_s, group.span, seam, -1 << 62)
            taken = thing.recording.values.take(pa.array(rows))
            count += sum(len(column) - column.null_count for column in taken.columns)
    return count


def wait_for_count(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        found = client.post("/api/query", json={"sql": "SELECT count() FROM readings"}).json()["rows"][0][0]
        if found == count:
            return
        assert time.monotonic() < deadline, f"{found} of {count}"
        time.sleep(0.2)


def test_the_past_is_filled_in_once(client: httpx.Client) -> None:
    console = Console(file=io.StringIO())
    now_s = now_ns() // NS_PER_S
    assert register(client, GROUPS) == 4
    assert fill(client, GROUPS, seams(now_s), console) > 500_000
    expected = values_before(now_s)
    wait_for_count(client, expected)
    ends = newest(client, GROUPS)
    assert all(now_s - 7200 < end <= now_s for end in ends.values())
    assert register(client, GROUPS) == 0
    # PM2.5 is missing at times, so that its last hours may be sent again.
    assert fill(client, GROUPS, seams(now_s), console) < 1000
    wait_for_count(client, expected)
    # An hour later the hour between is missing, and nothing else.
    later = fill(client, (GROUPS[0],), seams(now_s + 3600), console)
    assert later == 3 * 3 * 60


def test_a_title_that_a_person_gave_stays(client: httpx.Client) -> None:
    register(client, GROUPS)
    patched = client.patch(
        "/things/urn:allthings:room-1",
        json={"title": "Mine"},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert patched.status_code == 204
    assert register(client, GROUPS) == 0
    assert client.get("/things/urn:allthings:room-1").json()["title"] == "Mine"


async def test_the_present_comes_live(platform: Platform) -> None:
    playing = asyncio.create_task(
        play_all(GROUPS, seams(now_ns() // NS_PER_S), platform.mqtt_host, platform.mqtt_port, 1e9)
    )
    seen: set[str] = set()
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(base_url=platform.http, timeout=30) as client,
        client.stream("GET", "/api/live") as feed,
    ):
        async for line in feed.aiter_lines():
            seen |= {thing.name for group in GROUPS for thing in group.things if f'"thing":"{thing.name}"' in line}
            if len(seen) == 4:
                break
    playing.cancel()
    await asyncio.wait([playing])
    assert playing.cancelled()
