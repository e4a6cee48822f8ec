"""How the platform is."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path

import httpx
import pytest

from allthings.gateway.statistics import DISK
from allthings.historian.errors import HistorianUnavailableError
from allthings.log.reserve import Reserve
from allthings.web import disk, settings
from tests.web.conftest import Platform, problem, until


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


async def test_status_waits_for_nobody(
    http: httpx.AsyncClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the history does not answer, and while it refuses, the state is told as it was."""
    before = (await http.get("/api/status")).json()
    release, asked = threading.Event(), threading.Event()

    def stuck() -> int:
        asked.set()
        release.wait(30)
        raise HistorianUnavailableError("it did not answer")

    monkeypatch.setattr(platform.history, "disk_bytes", stuck)
    monkeypatch.setattr(settings, "STATUS_CACHED_S", 0.0)
    try:
        answer = await http.get("/api/status")
        assert asked.is_set()
        assert not release.is_set()
        assert answer.status_code == 200
        assert answer.json()["now"] <= before["now"] or answer.json()["disk"] == before["disk"]
    finally:
        release.set()

    async def told_anew() -> bool:
        refused = await http.get("/api/status")
        assert refused.status_code == 200
        assert refused.json()["disk"]["history_bytes"] == before["disk"]["history_bytes"]
        return bool(refused.json()["now"] > before["now"])

    await until(told_anew)


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


async def test_ready_tries_an_append(anyone: httpx.AsyncClient, platform: Platform) -> None:
    before = (await platform.log.status()).last
    assert (await anyone.get("/ready")).json() == {"status": "ready"}
    assert (await platform.log.status()).last > before


async def test_what_gateways_say_of_disk_and_log_counts(
    http: httpx.AsyncClient, anyone: httpx.AsyncClient, platform: Platform
) -> None:
    stats = platform.services.stats
    stats.holding, stats.trouble = [DISK, "waiting for the historian"], "the log did not confirm a block"
    try:
        body = problem(await anyone.get("/ready"), 503, "unavailable")
        await asyncio.sleep(settings.STATUS_CACHED_S)
        metrics, status = (await http.get("/metrics")).text, (await http.get("/api/status")).json()
    finally:
        stats.holding, stats.trouble = [], ""
    assert body["parts"] == ["disk", "log"]
    assert body["reasons"]["log"] == "the log did not confirm a block"
    assert DISK in body["detail"]
    assert status["holding"] == [DISK, "waiting for the historian"]
    assert status["log"]["trouble"] == "the log did not confirm a block"
    assert "allthings_log_takes_appends 0" in metrics
    assert f'allthings_devices_wait{{reason="{DISK}"}} 1' in metrics


async def test_below_the_reserve_nothing_that_comes_over_http_is_appended(
    http: httpx.AsyncClient, anyone: httpx.AsyncClient, platform: Platform
) -> None:
    rejected = await platform.publish("things/room-1/properties", b"no JSON at all {")
    await platform.publish_many([("room/kept", b"1")])
    await platform.caught_up()
    (reject,) = [one for one in platform.history.rejects(100).items if one.position == rejected]
    platform.services.reserve = Reserve(platform.services.settings.data_dir, 10**9)
    try:
        before = (await platform.log.status()).last
        row = {"thing": "room-1", "property": "a", "value": 1}
        for body in (
            problem(await http.post("/api/readings", json=[row]), 507, "no-room"),
            problem(await http.post(f"/api/rejects/{reject.position}/replay"), 507, "no-room"),
            problem(await http.post("/api/rejects/replay", json={"topic": reject.topic}), 507, "no-room"),
        ):
            assert "1000000000 MB are kept in reserve (disk_reserve_mb)" in body["detail"]
            assert "Free some space" in body["detail"]
        body = problem(await anyone.get("/ready"), 503, "unavailable")
        assert body["parts"] == ["disk"]
        assert "the disk is nearly full" in body["reasons"]["disk"]
        await asyncio.sleep(settings.STATUS_CACHED_S)
        assert "the disk is nearly full" in (await http.get("/api/status")).json()["disk"]["shortage"]
        assert "allthings_log_takes_appends 0" in (await http.get("/metrics")).text
        # Not even to see whether it could be.
        assert (await platform.log.status()).last == before
    finally:
        platform.services.reserve = None
    assert (await http.post("/api/readings", json=[row])).status_code == 200
    assert (await anyone.get("/ready")).status_code == 200


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
