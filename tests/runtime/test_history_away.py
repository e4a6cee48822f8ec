"""A platform whose history cannot be had: devices are served, and whoever asks is told why."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import paho.mqtt.publish
import pytest

from allthings.testing.platform import Platform

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def test_devices_are_served_without_a_history(tmp_path: Path) -> None:
    with Platform(tmp_path, arguments=("--open", "--clickhouse", "http://127.0.0.1:1/")) as platform:
        topic = "things/tank/properties/level"
        paho.mqtt.publish.single(topic, "7", qos=1, hostname="127.0.0.1", port=platform.mqtt_port)
        deadline = time.monotonic() + 20
        while not (values := httpx.get(f"{platform.http}/api/current", params={"thing": "tank"}).json())["values"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert values["values"][0]["value"] == 7
        answer = httpx.get(f"{platform.http}/api/history", params={"thing": "tank"})
        assert answer.status_code == 503
        assert "Connection refused" in answer.json()["detail"]
        ready = httpx.get(f"{platform.http}/ready")
        assert ready.status_code == 503
        assert ready.json()["parts"] == ["history"]
        status = httpx.get(f"{platform.http}/api/status").json()
        assert status["history"]["state"] == "away"
        assert platform.stop() == 0
