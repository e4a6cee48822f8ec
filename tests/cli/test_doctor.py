"""`allthings doctor` when the platform is down, or something is in its way."""

from __future__ import annotations

import base64
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from allthings.cli import create
from allthings.cli.checks import LOSSES_DAYS
from allthings.gateway import ring
from allthings.log import losses
from allthings.registry.sealing import Sealing
from allthings.runtime.authority import SERVER_DAYS, Authority
from allthings.things.times import NS_PER_S, now_ns

APP = create()


def examine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status, and the findings by the name of the check."""
    monkeypatch.chdir(tmp_path)
    nowhere = "http://127.0.0.1:9"
    result = CliRunner().invoke(APP, ["doctor", "--json", "--url", nowhere, *arguments])
    return result.exit_code, {check["check"]: check for check in json.loads(result.output)["checks"]}


def test_a_platform_that_is_down_is_told_how_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLTHINGS_HTTP_PORT", "0")
    monkeypatch.setenv("ALLTHINGS_MQTT_PORT", "0")
    status, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path / "data"))
    assert status == 1
    assert found["platform"]["state"] == "fail"
    assert "allthings up" in found["platform"]["advice"]
    assert {check["state"] for name, check in found.items() if name != "platform"} == {"ok"}
    assert "will be made" in found["data"]["detail"]


def test_a_port_in_use_is_named_with_its_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("ALLTHINGS_MQTT_PORT", str(port))
        _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["port MQTT"]["state"] == "fail"
    assert str(port) in found["port MQTT"]["detail"]
    assert "--mqtt-port" in found["port MQTT"]["advice"]


def test_a_certificate_that_is_missing_good_or_nearly_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLTHINGS_MQTTS_PORT", "0")
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["certificate"]["state"] == "fail"
    assert "allthings certs init" in found["certificate"]["advice"]
    Authority(tmp_path / "certs", now_ns()).create(["localhost"])
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["certificate"]["state"] == "ok"
    for age_days, state in ((SERVER_DAYS - 5, "warn"), (SERVER_DAYS + 5, "fail")):
        Authority(tmp_path / "certs", now_ns() - age_days * 86_400 * NS_PER_S).renew(["localhost"])
        _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
        assert (found["certificate"]["state"], "--renew" in found["certificate"]["advice"]) == (state, True)
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["port MQTTS"]["state"] == "ok"


def test_the_key_of_secrets_that_is_good_open_to_others_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found() -> tuple[str, str, str]:
        check = examine(monkeypatch, tmp_path, "--data", str(tmp_path))[1]["secret key"]
        return check["state"], check["detail"], check["advice"]

    assert found()[0] == "ok", "none has been made"
    path = tmp_path / "secret.key"
    Sealing(path).seal("a secret", "a context")
    assert found() == ("ok", f"the key is that of {path}", "")
    path.chmod(0o644)
    assert found() == ("warn", f"{path} is open to others (mode 044)", f"chmod 600 {path}")
    path.write_text("damaged\n")
    state, detail, advice = found()
    assert (state, "is no key" in detail, "backup" in advice) == ("fail", True, True)
    monkeypatch.setenv("ALLTHINGS_SECRET_KEY", base64.b64encode(bytes(32)).decode())
    assert found()[0] == "ok", "the file is not used"


def test_a_disk_below_the_reserve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLTHINGS_DISK_RESERVE_MB", "10000000")
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["disk"]["state"] == "fail"


def test_a_clock_that_went_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "registry.db").touch()
    os.utime(tmp_path / "registry.db", (4_000_000_000, 4_000_000_000))
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["clock"]["state"] == "fail"
    assert "2096-10-02" in found["clock"]["detail"]


def test_how_many_sockets_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ring, "_SETUP", 100_000)
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["many sockets"]["state"] == "ok"
    assert found["many sockets"]["detail"].endswith("not available here: Function not implemented")


def test_a_setting_that_cannot_be_used_is_the_first_thing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "allthings.toml").write_text('http_port = "many"\n')
    status, found = examine(monkeypatch, tmp_path)
    assert status == 1
    assert list(found) == ["settings"]
    assert "http_port" in found["settings"]["detail"]


def test_a_log_server_that_is_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLTHINGS_NATS_SERVER", "no-such-program")
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["log server"]["state"] == "fail"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLTHINGS_DATABASE", "postgresql://me:s3cret@db/x")
    result = CliRunner().invoke(APP, ["doctor", "--url", "http://127.0.0.1:9", "--data", str(tmp_path)])
    assert "s3cret" not in result.output
    assert "(set)" in result.output


def test_losses_are_told_for_some_weeks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = now_ns() - (LOSSES_DAYS + 1) * 86_400 * NS_PER_S
    losses.write(tmp_path, [losses.found(old, losses.SESSION, "long-ago", 1, "it was damaged")])
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["losses"]["state"] == "ok"
    losses.write(tmp_path, [losses.found(now_ns(), losses.MESSAGES, f"pump-{n}", 3, "damaged") for n in range(12)])
    _, found = examine(monkeypatch, tmp_path, "--data", str(tmp_path))
    assert found["losses"]["state"] == "warn"
    assert "3 messages that waited for client 'pump-11' are lost: damaged" in found["losses"]["detail"]
    assert "and 2 more" in found["losses"]["detail"]
    assert losses.FILE in found["losses"]["advice"]
