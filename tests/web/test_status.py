"""How the platform is."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from allthings.web import disk
from tests.web.conftest import Platform, problem


async def test_status(http: httpx.AsyncClient, platform: Platform) -> None:
    await platform.caught_up(await platform.publish("things/s-1/properties/a", b"1"))
    status = (await http.get("/api/status")).json()
    async with asyncio.timeout(30):
        # The twin keeps its position every few seconds only.
        while "twin" not in {one["name"] for one in status["consumers"]}:
            await asyncio.sleep(0.1)
            status = (await http.get("/api/status")).json()
    assert status["connections"] == 3
    assert status["roles"] == [{"name": "gateway", "state": "running", "restarts": 0}]
    assert status["things"]["total"] >= status["things"]["discovered"]
    assert status["disk"]["data_bytes"] > 0
    assert status["disk"]["free_bytes"] > 0
    assert status["disk"]["history_bytes"] > 0
    assert int(status["log"]["last"]) >= 1
    assert {"historian", "twin"} <= {one["name"] for one in status["consumers"]}
    for consumer in status["consumers"]:
        assert consumer["lag_s"] >= 0
        assert consumer["position"].isdigit()


async def test_metrics(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    typed = set(re.findall(r"^# TYPE (\S+) (?:gauge|counter)$", answer.text, re.MULTILINE))
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [-+0-9.e]+', line)
            assert match, line
            assert match[1] in typed
    assert "allthings_connections 3" in answer.text


async def test_not_ready_says_which_part(anyone: httpx.AsyncClient, platform: Platform) -> None:
    platform.services.stats.ready = False
    try:
        body = problem(await anyone.get("/ready"), 503, "unavailable")
    finally:
        platform.services.stats.ready = True
    assert body["parts"] == ["roles"]


async def test_connect_info(http: httpx.AsyncClient, platform: Platform) -> None:
    info = (await http.get("/api/connect-info")).json()
    assert info == {"mqtt": {"host": "127.0.0.1", "port": 1883}, "http": "http://127.0.0.1:8484"}
    platform.services.settings.mqtt_host = "0.0.0.0"
    try:
        info = (await http.get("/api/connect-info", headers={"Host": "hub.example:8484"})).json()
    finally:
        platform.services.settings.mqtt_host = "127.0.0.1"
    assert info["http"] == "http://hub.example:8484"
    assert info["mqtt"]["host"] == "hub.example"


def test_folder_bytes(tmp_path: Path) -> None:
    assert disk.folder_bytes(tmp_path) == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x" * 100_000)
    (tmp_path / "link").symlink_to("/")
    assert 100_000 <= disk.folder_bytes(tmp_path) < 200_000
    assert disk.folder_bytes(tmp_path / "gone") == 0
