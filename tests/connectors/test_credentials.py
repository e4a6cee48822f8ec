"""What a bridge shows the other broker: user and password, or a certificate."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from allthings.connectors import settings
from allthings.registry.bridges import BridgeSettings, TopicMap
from allthings.runtime.authority import Authority, server_names
from allthings.things.times import now_ns
from tests.connectors.conftest import Start
from tests.servers import WITHIN_S, Mosquitto

MAPS = (TopicMap("out", "things/#"),)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PAUSE_S_MIN", 0.05)
    monkeypatch.setattr(settings, "PAUSE_S_MAX", 0.2)
    monkeypatch.setattr(settings, "FOLLOW_EVERY_S", 0.05)


async def test_a_password_is_told_to_the_other_broker_and_to_nobody_else(
    installation: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    said: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.put_nowait(await reader.read(1024))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    wanted = BridgeSettings(
        f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}", MAPS, user="ann", password="hush!"
    )
    async with server, installation() as one:
        await asyncio.to_thread(one.registry.bridges.create, "north", wanted, now_ns())
        async with asyncio.timeout(WITHIN_S):
            assert b"\x00\x03ann\x00\x05hush!" in await said.get()
        key = next(tmp_path.rglob("secret.key"))
        kept = key.read_bytes()
        key.unlink()
        state = await one.reaches("north", lambda state: "secret.key" in state.trouble)
        assert state.phase == "waiting"
        key.write_bytes(kept)
        while not said.empty():
            said.get_nowait()
        async with asyncio.timeout(WITHIN_S):
            assert b"hush!" in await said.get()
    assert "hush!" not in caplog.text


async def test_a_certificate_opens_a_broker_that_asks_for_one(installation: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "certs", now_ns())
    authority.create(server_names([]))
    shown = authority.issue("site1")
    directory = tmp_path / "mosquitto"
    directory.mkdir()
    certificate, key = authority.server
    tls = f"cafile {authority.certificate}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\n"
    broker = Mosquitto(directory, tls)
    broker.start()
    ca = authority.certificate.read_text()
    without = BridgeSettings(f"mqtts://localhost:{broker.port}", MAPS, ca=ca)
    with_one = replace(without, certificate=str(shown.certificate), key=str(shown.key))
    async with installation() as one:
        await one.bridge("north", with_one)
        bridges = one.registry.bridges
        for wrong, trouble in (
            (without, "closed the connection before it answered CONNECT, and may want a certificate"),
            (replace(with_one, key=str(key)), "cannot be used"),
            (replace(with_one, certificate="/nowhere.pem"), "/nowhere.pem or its key cannot be used: No such file"),
        ):
            await asyncio.to_thread(bridges.replace, "north", wrong, now_ns())
            await one.reaches("north", lambda state, trouble=trouble: trouble in state.trouble)  # type: ignore[misc]
        await asyncio.to_thread(bridges.replace, "north", with_one, now_ns())
        await one.reaches("north", lambda state: state.phase == "connected")
    broker.kill()
