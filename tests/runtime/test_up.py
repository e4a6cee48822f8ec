"""`allthings up` as its user starts, stops, and kills it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import paho.mqtt.publish
import pytest
from paho.mqtt import MQTTException

from allthings.testing.platform import Platform

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def publish(platform: Platform, thing: str, value: float) -> None:
    paho.mqtt.publish.single(
        f"things/{thing}/properties/level", str(value), qos=1, hostname="127.0.0.1", port=platform.mqtt_port
    )


def wait_for_count(platform: Platform, thing: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        # 404 until the thing is known.
        answer = httpx.get(f"{platform.http}/api/history", params={"thing": thing}).json()
        found = sum(len(series["points"]) for series in answer.get("series", []))
        if found == count:
            return
        assert time.monotonic() < deadline, f"{found} of {count} readings: {platform.output}"
        time.sleep(0.1)


def refusal(*arguments: str) -> str:
    """What `allthings up` says when it does not start."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "allthings"), "up", "--open", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_ready_means_that_everything_answers_and_sigterm_stops_it_cleanly(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        # Nobody asked the registry before it was there.
        assert [line for line in platform.output if "waiting for the registry" in line] == []
        publish(platform, "tank", 1)
        assert httpx.get(f"{platform.http}/api/history", params={"thing": "tank"}).status_code in (200, 404)
        assert httpx.get(platform.http + "/").status_code == 200
        wait_for_count(platform, "tank", 1)
        said = refusal("--data", str(tmp_path), "--http-port", "0", "--mqtt-port", "0")
        assert "uses" in said
        assert str(tmp_path) in said
        started = time.monotonic()
        assert platform.stop() == 0
        assert time.monotonic() - started < 10
        platform.start()
        wait_for_count(platform, "tank", 1)


def test_a_killed_process_is_replaced_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        count = 0
        for role in ("gateway", "platform", "nats-server"):
            publish(platform, "tank", count)
            count += 1
            platform.kill(role)
            deadline = time.monotonic() + 30
            while True:
                try:
                    publish(platform, "tank", count)
                    break
                except (OSError, ValueError, RuntimeError):
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            count += 1
            deadline = time.monotonic() + 30
            while httpx.get(platform.http + "/health", timeout=30).status_code != 200:
                assert time.monotonic() < deadline
        wait_for_count(platform, "tank", count)
        assert any("was ended by SIGKILL; starting it again" in line for line in platform.output)


def test_everything_killed_at_once_starts_again(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        publish(platform, "tank", 1)
        platform.kill_all()
        platform.start()
        publish(platform, "tank", 2)
        wait_for_count(platform, "tank", 2)


def test_a_supervisor_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        tree = {role: process.pid for role, process in platform.processes().items()}
        supervisor = tree.pop("supervisor")
        assert set(tree) >= {"gateway", "platform", "nats-server"}
        children = list(tree.values())
        os.kill(supervisor, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in children):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_port_in_use_is_named_with_the_flag_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refusal("--data", str(tmp_path), "--http-port", "0", "--mqtt-port", port)
    assert f"port {port} for MQTT is in use" in said
    assert "--mqtt-port" in said


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLTHINGS_DISK_RESERVE_MB", "9999999")
    said = refusal("--data", str(tmp_path), "--http-port", "0", "--mqtt-port", "0")
    assert "nearly full" in said


def test_settings_that_can_never_work_end_the_start(tmp_path: Path) -> None:
    said = refusal(
        "--data", str(tmp_path), "--http-port", "0", "--mqtt-port", "0", "--database", "postgresql://127.0.0.1:1/x"
    )
    assert "registry" in said or "database" in said


def test_without_open_the_first_start_prints_a_password_once(tmp_path: Path) -> None:
    with Platform(tmp_path, arguments=()) as platform:
        (line,) = [line for line in platform.output if "administrator created" in line]
        # What stands there besides is no trouble: nobody asked the registry before it was there.
        assert [line for line in platform.output if "waiting for the registry" in line] == []
        password = line.split("password ")[1].split()[0]
        assert httpx.get(platform.http + "/api/current").status_code == 401
        with httpx.Client(base_url=platform.http, headers={"Origin": platform.http}) as client:
            assert client.post("/api/login", json={"user": "admin", "password": password}).status_code == 204
            assert client.get("/api/current").status_code == 200
        with pytest.raises(MQTTException):
            publish(platform, "tank", 1)
        paho.mqtt.publish.single(
            "things/tank/properties/level",
            "1",
            qos=1,
            hostname="127.0.0.1",
            port=platform.mqtt_port,
            auth={"username": "admin", "password": password},
        )
        platform.stop()
        platform.start()
        assert len([line for line in platform.output if "administrator created" in line]) == 1
