"""`allthings certs` and `allthings up` with everything switched on that it can listen on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sysconfig
from pathlib import Path

import httpx
import paho.mqtt.publish
import pytest

from allthings.gateway.errors import CertificateError
from allthings.runtime import listening
from allthings.runtime.errors import StartError
from allthings.runtime.settings import Settings, load
from allthings.testing.platform import Platform

PROGRAM = str(Path(sysconfig.get_path("scripts")) / "allthings")


def certs(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "certs", *arguments, "--data", str(data), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def settings(data: Path, **flags: object) -> Settings:
    return load({"data": str(data), "http_port": 0, "mqtt_port": 0, **flags}, {})


def opened(asked: Settings) -> dict[str, str]:
    with contextlib.ExitStack() as stack:
        asked.data.mkdir(exist_ok=True)
        return listening.addresses(asked, listening.open_all(asked, {}, stack))


def test_what_was_not_asked_for_is_not_there(tmp_path: Path) -> None:
    assert set(opened(settings(tmp_path / "data"))) == {"http", "mqtt"}
    assert not (tmp_path / "data" / "gateway.sock").exists()


def test_tls_without_a_certificate_says_what_to_do(tmp_path: Path) -> None:
    for flags in ({"mqtts_port": 0}, {"https": True}):
        with pytest.raises(StartError, match="allthings certs init --data"):
            opened(settings(tmp_path / "data", **flags))
    with pytest.raises(CertificateError, match=r"missing\.pem cannot be read"):
        opened(settings(tmp_path / "data", mqtts_port=0, tls_cert=str(tmp_path / "missing.pem")))


def test_proxies_must_be_addresses(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"proxy_protocol: 'proxy\.example'"):
        opened(settings(tmp_path / "data", proxy_protocol="10.0.0.1,proxy.example"))


def test_open_is_refused_where_others_reach_it(tmp_path: Path) -> None:
    """Also when it was not we who opened the socket."""
    for address, refused in (("127.0.0.1", False), ("0.0.0.0", True)):
        with contextlib.ExitStack() as stack:
            given = {"mqtt": [stack.enter_context(socket.create_server((address, 0)))]}
            expected = pytest.raises(StartError, match="--open") if refused else contextlib.nullcontext()
            with expected:
                listening.open_all(settings(tmp_path, open=True), given, stack)


def test_certificates_of_ones_own_or_made(tmp_path: Path) -> None:
    own = settings(tmp_path, tls_cert="both.pem")
    assert listening.certificate_files(own) == (Path("both.pem"), Path("both.pem"), None)
    own = settings(tmp_path, tls_cert="c.pem", tls_key="k.pem", tls_client_ca="ca.pem")
    assert listening.certificate_files(own) == (Path("c.pem"), Path("k.pem"), Path("ca.pem"))
    assert certs(tmp_path, "init").returncode == 0
    folder = tmp_path / "certs"
    made = (folder / "server.pem", folder / "server.key", folder / "clients.pem")
    assert listening.certificate_files(settings(tmp_path)) == made


@pytest.mark.system
@pytest.mark.timeout(240)
def test_everything_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = json.loads(certs(data, "init", "--name", "broker.example.org").stdout)
    assert made["names"][0] == "broker.example.org"
    assert certs(data, "init").returncode == 1
    device = json.loads(certs(data, "device", "pump-7").stdout)
    unix = tmp_path / "mqtt.sock"
    more = ("--open", "--https", "--mqtts-port", "0", "--mqtt-socket", str(unix), "--proxy-protocol", "192.0.2.0/24")
    with Platform(data, arguments=more) as platform:
        assert set(platform.addresses) == {"http", "mqtt", "mqtts"}
        assert platform.http.startswith("https://")
        host, port = platform.addresses["mqtts"].removeprefix("mqtts://").split(":")
        trust = ssl.create_default_context(cafile=made["ca"])
        with httpx.Client(verify=trust) as client:
            assert client.get(f"{platform.http}/health").status_code == 200
        asked = [PROGRAM, "things", "list", "--url", platform.http]
        assert subprocess.run(asked, env={**os.environ, "SSL_CERT_FILE": made["ca"]}, timeout=60).returncode == 0
        assert subprocess.run(asked, timeout=60).returncode == 1
        tls = {"ca_certs": made["ca"], "certfile": device["certificate"], "keyfile": device["key"]}
        ways = (
            {"hostname": host, "port": int(port), "tls": tls},
            {"hostname": str(unix), "port": 1, "transport": "unix"},
            {"hostname": "127.0.0.1", "port": platform.mqtt_port},
        )
        for way in ways:
            paho.mqtt.publish.single("things/pump-7/properties/flow", "1", qos=1, **way)  # type: ignore[arg-type]
        assert certs(data, "revoke", "pump-7").returncode == 0
        assert platform.stop() == 0
    assert not unix.exists()


@pytest.mark.system
@pytest.mark.timeout(180)
def test_browsers_reach_the_gateway_through_the_web(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform:
        paho.mqtt.publish.single(
            "a/b", "1", qos=1, hostname="127.0.0.1", port=platform.http_port, transport="websockets"
        )
        platform.kill("gateway")
        # The new gateway answers on the same socket: who connects meanwhile waits.
        paho.mqtt.publish.single(
            "a/b", "2", qos=1, hostname="127.0.0.1", port=platform.http_port, transport="websockets"
        )
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", platform.http_port)) != 0
