"""MQTT on a Unix socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
from pathlib import Path

import aiomqtt
import pytest

from allthings.gateway.listeners import Listener
from allthings.gateway.unix import unix_address
from allthings.runtime.errors import StartError
from allthings.runtime.sockets import listen_unix
from tests.gateway.conftest import Gateway
from tests.gateway.test_broker import VERSIONS, next_message


@pytest.mark.parametrize("version", VERSIONS)
async def test_paho_and_mosquitto_on_a_unix_socket(
    gateway: Gateway, tmp_path: Path, version: aiomqtt.ProtocolVersion
) -> None:
    path = tmp_path / "mqtt.sock"
    with listen_unix(path, 0o660) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        unix = aiomqtt.Client(str(path), 1, transport="unix", protocol=version)
        async with gateway(further=[Listener(listener)]), unix:
            await unix.subscribe("a/#", qos=1)
            await unix.publish("a/b", "1", qos=1)
            assert (await next_message(unix)).payload == b"1"
            program = shutil.which("mosquitto_pub")
            if program is None:
                pytest.skip("mosquitto-clients is not installed; paho passed")
            command = [program, "--unix", str(path), "-t", "a/c", "-m", "2", "-q", "1"]
            process = await asyncio.create_subprocess_exec(*command)
            assert await process.wait() == 0
            assert (await next_message(unix)).payload == b"2"


def test_a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    listen_unix(path, 0o600).close()
    assert path.is_socket()
    with listen_unix(path, 0o600):
        with pytest.raises(StartError, match="in use"):
            listen_unix(path, 0o600)
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(str(path))


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(StartError, match="is no socket"):
        listen_unix(path, 0o600)
    assert path.read_text() == "data"
    with pytest.raises(StartError, match="cannot listen"):
        listen_unix(tmp_path / "nowhere" / "mqtt.sock", 0o600)


def test_a_path_may_be_longer_than_an_address(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / "mqtt.sock"
    before = len(os.listdir("/proc/self/fd"))
    with listen_unix(path, 0o600), socket.socket(socket.AF_UNIX) as one, unix_address(path) as address:
        one.connect(address)
    assert len(os.listdir("/proc/self/fd")) == before
    with unix_address(tmp_path / "short") as address:
        assert address == str(tmp_path / "short")


def test_the_mask_of_the_process_is_left_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    listen_unix(tmp_path / "mqtt.sock", 0o660).close()
    assert os.umask(before) == 0o022
