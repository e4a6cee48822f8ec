"""MQTT over TLS with real clients, and with clients that nobody would wish for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import shutil
import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from allthings.gateway import settings
from allthings.gateway.certificates import ServerCertificate
from allthings.gateway.listeners import Listener
from allthings.mqtt.reasons import ReasonCode
from allthings.registry.access import Terms
from allthings.registry.registry import Registry
from allthings.runtime.authority import DEVICE_DAYS, Authority, server_names
from allthings.things.times import NS_PER_S, now_ns
from tests.gateway.authorities import files, made
from tests.gateway.conftest import Gateway
from tests.gateway.test_broker import next_message

VERSIONS = [aiomqtt.ProtocolVersion.V311, aiomqtt.ProtocolVersion.V5]
TLS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
RESET_IS_AN_END = contextlib.suppress(ConnectionError)
CONNECT = bytes.fromhex("100e 0004 4d515454 05 02 003c 00 0001 61".replace(" ", ""))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    opened.migrate()
    for name in ("pump-7", "pump-8", "pump-9"):
        opened.things.create({"title": name}, now_ns(), name)
    yield opened
    opened.close()


def dressed(authority: Authority) -> Any:
    """A listener that speaks TLS with this authority's server certificate."""
    return functools.partial(Listener, certificate=ServerCertificate(files(authority)))


def trusting(authority: Authority, device: str = "", version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context, with a device's certificate if one is named."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if device:
        context.load_cert_chain(*authority.device(device))
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def client(port: int, context: ssl.SSLContext, **more: Any) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, tls_context=context, **more)


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("version", VERSIONS)
async def test_messages_of_any_size_pass(
    gateway: Gateway, authority: Authority, version: aiomqtt.ProtocolVersion, tls: ssl.TLSVersion
) -> None:
    context = trusting(authority, version=tls)
    sizes = [0, 1, 16_383, 16_384, 16_385, 1_000_000]
    async with (
        gateway(dress=dressed(authority)) as port,
        client(port, context, protocol=version) as subscriber,
        client(port, context) as publisher,
    ):
        await subscriber.subscribe("big/#", qos=1)
        for size in sizes:
            await publisher.publish("big/one", os.urandom(size), qos=1)
        for size in sizes:
            assert len((await next_message(subscriber)).payload) == size  # type: ignore[arg-type]


async def test_a_run_of_small_messages_keeps_its_order(gateway: Gateway, authority: Authority) -> None:
    context = trusting(authority)
    async with (
        gateway(dress=dressed(authority)) as port,
        client(port, context) as subscriber,
        client(port, context) as publisher,
    ):
        await subscriber.subscribe("many", qos=1)
        await asyncio.gather(*(publisher.publish("many", str(n), qos=1) for n in range(500)))
        got = [int((await next_message(subscriber)).payload) for _ in range(500)]  # type: ignore[arg-type]
        assert got == list(range(500))


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
async def test_mosquitto_pub_trusts_the_authority_and_no_other(
    gateway: Gateway, authority: Authority, tmp_path: Path, version: str
) -> None:
    async with gateway(dress=dressed(authority)) as port:

        def publish(cafile: Path) -> subprocess.CompletedProcess[str]:
            command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "--cafile", str(cafile), "-V", version]
            return subprocess.run([*command, "-t", "a/b", "-m", "1", "-q", "1"], capture_output=True, text=True)

        assert (await asyncio.to_thread(publish, authority.certificate)).returncode == 0
        stranger = made(tmp_path / "stranger")
        assert (await asyncio.to_thread(publish, stranger.certificate)).returncode != 0


# Client certificates


async def refused(port: int, context: ssl.SSLContext, **more: Any) -> str:
    """Why a client does not get in."""
    with pytest.raises((aiomqtt.MqttError, ssl.SSLError)) as caught:
        async with client(port, context, timeout=2, **more):
            pass
    return str(caught.value)


@pytest.mark.parametrize("tls", TLS)
async def test_a_client_certificate_is_the_thing_that_it_names(
    gateway: Gateway, authority: Authority, registry: Registry, tls: ssl.TLSVersion
) -> None:
    async with gateway(registry, dress=dressed(authority)) as port:
        async with client(port, trusting(authority, "pump-7", tls), timeout=2) as pump:
            await pump.subscribe("things/pump-7/#", qos=1)
            await pump.publish("things/pump-7/properties/flow", "1", qos=1)
            assert (await next_message(pump)).payload == b"1"
            await pump.publish("things/pump-8/properties/flow", "1", qos=0)
            with pytest.raises(aiomqtt.MqttError):
                await pump.publish("things/pump-8/properties/flow", "1", qos=1)
        await refused(port, trusting(authority, version=tls))
        # A name of somebody else, or a wrong password, is not made good by the certificate.
        await refused(port, trusting(authority, "pump-7", tls), username="pump-8")
        await refused(port, trusting(authority, "pump-7", tls), username="pump-7", password="wrong")


async def test_certificates_of_strangers_servers_and_the_revoked_open_nothing(
    gateway: Gateway, registry: Registry, tmp_path: Path
) -> None:
    authority, stranger = made(tmp_path / "ours"), made(tmp_path / "theirs")
    authority.issue("pump-7")
    stranger.issue("pump-7")
    authority.issue("pump-9")
    kept = trusting(authority, "pump-9")
    certificate = ServerCertificate(files(authority))
    async with gateway(registry, dress=functools.partial(Listener, certificate=certificate)) as port:
        theirs = trusting(authority)
        theirs.load_cert_chain(*stranger.device("pump-7"))
        await refused(port, theirs)
        server = trusting(authority)
        server.load_cert_chain(*authority.server)
        await refused(port, server)
        lost = trusting(authority, "pump-7")
        async with client(port, lost):
            pass
        authority.revoke("pump-7")
        assert certificate.refresh()
        await refused(port, lost)
        async with client(port, kept):
            pass
        authority.issue("pump-7")
        async with client(port, trusting(authority, "pump-7")):
            pass


CONNECT_V3 = bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 62".replace(" ", ""))
#: With a will to `things/pump-7/gone`.
CONNECT_WILL = bytes.fromhex("1026 0004 4d515454 05 06 003c 00 0001 61 00 0012".replace(" ", "")) + (
    b"things/pump-7/gone" + bytes.fromhex("0001 78")
)


async def connected(
    port: int, context: ssl.SSLContext, connect: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose CONNECT was accepted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(connect)
    head = await reader.readexactly(2)
    connack = await reader.readexactly(head[1])
    assert (head[0], connack[1]) == (0x20, 0)
    return reader, writer


async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What a connection is told before its end, which must come soon."""
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize("tls", TLS)
async def test_connections_end_when_their_certificate_is_revoked(
    gateway: Gateway, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: ssl.TLSVersion
) -> None:
    monkeypatch.setattr(settings, "CERTIFICATE_EVERY_S", 0.02)
    authority = made(tmp_path / "ours")
    for name in ("pump-7", "pump-9"):
        authority.issue(name)
    lost, kept = trusting(authority, "pump-7", tls), trusting(authority, "pump-9", tls)
    registry.access.create(Terms("devices", "#", publish=True, subscribe=True), now_ns())
    async with gateway(registry, dress=dressed(authority)) as port, client(port, kept) as stays:
        await stays.subscribe("things/pump-7/gone", qos=1)
        of_v5 = await connected(port, lost, CONNECT_WILL)
        of_v3 = await connected(port, lost, CONNECT_V3)
        authority.revoke("pump-7")
        said = await ends(*of_v5)
        assert said[0] == 0xE0
        assert said[2] == ReasonCode.NOT_AUTHORIZED
        assert b"its certificate is revoked" in said
        assert await ends(*of_v3) == b""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(shake, port, lost, None)
        await stays.publish("things/pump-7/gone", "not by a will", qos=1)
        assert (await next_message(stays)).payload == b"not by a will"
    entries = [one for one in registry.audit.list().entries if one.kind == "disconnected"]
    assert {(one.who, one.why) for one in entries} == {("pump-7", "its certificate is revoked")}


async def test_connections_end_when_their_certificate_does(
    gateway: Gateway, registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed session, which OpenSSL does not check, is no way around it."""
    monkeypatch.setattr(settings, "CERTIFICATE_EVERY_S", 0.02)
    later_ns = 0
    server = ServerCertificate(files(authority), lambda: now_ns() + later_ns)
    context = trusting(authority, "pump-7", ssl.TLSVersion.TLSv1_3)
    async with gateway(registry, dress=functools.partial(Listener, certificate=server)) as port:
        _, session, answer = await asyncio.to_thread(shake, port, context, None)
        assert answer[3] == 0
        stands = await connected(port, context, CONNECT)
        later_ns = (DEVICE_DAYS + 1) * 86_400 * NS_PER_S
        assert b"its certificate has expired" in await ends(*stands)
        resumed, _, answer = await asyncio.to_thread(shake, port, context, session)
        assert resumed
        assert answer == b""


# Sessions


def shake(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession, bytes]:
    """Connect, say CONNECT: whether the session was resumed, the new one, CONNACK."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    with context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
        tls.sendall(CONNECT)
        answer = tls.recv(1024)
        assert tls.session is not None
        return bool(tls.session_reused), tls.session, answer


@pytest.mark.parametrize("tls", TLS)
async def test_a_session_is_resumed_and_keeps_its_certificate(
    gateway: Gateway, authority: Authority, registry: Registry, tls: ssl.TLSVersion
) -> None:
    context = trusting(authority, "pump-7", tls)
    async with gateway(registry, dress=dressed(authority)) as port:
        first, session, answer = await asyncio.to_thread(shake, port, context, None)
        assert not first
        assert answer[:2] == b"\x20" + bytes([len(answer) - 2])
        assert answer[3] == 0
        for _ in range(3):
            again, session, answer = await asyncio.to_thread(shake, port, context, session)
            assert again
            assert answer[3] == 0


# New certificates


def served(port: int, authority: Authority) -> int:
    """The serial number of the server's certificate."""
    raw = socket.create_connection(("127.0.0.1", port), 10)
    with trusting(authority).wrap_socket(raw, server_hostname="localhost") as tls:
        shown = tls.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


async def test_a_new_certificate_is_taken_and_a_bad_one_refused(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(settings, "CERTIFICATE_EVERY_S", 0.02)
    caplog.set_level(logging.INFO, "allthings.gateway.certificates")
    authority = made(tmp_path)

    async def logged(text: str) -> None:
        async with asyncio.timeout(20):
            while not any(text in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0.01)
        caplog.clear()

    async with gateway(dress=dressed(authority)) as port, client(port, trusting(authority)) as stays:
        before = await asyncio.to_thread(served, port, authority)
        authority.renew(server_names([]))
        await logged("a new certificate is in use")
        renewed = await asyncio.to_thread(served, port, authority)
        assert renewed != before
        good = authority.server.certificate.read_bytes()
        for bad in (b"", b"no certificate", good[: len(good) // 2]):
            authority.server.certificate.write_bytes(bad)
            await logged("the new certificate is refused, the old one stays in use")
            assert await asyncio.to_thread(served, port, authority) == renewed
        authority.server.certificate.unlink()
        await logged("cannot be read")
        authority.server.certificate.write_bytes(good)
        await logged("a new certificate is in use")
        await stays.publish("a/b", "still here", qos=1)


# Clients that nobody would wish for


async def test_a_handshake_that_does_not_go_on_is_ended(
    gateway: Gateway, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HANDSHAKE_WITHIN_S", 0.2)
    async with gateway(dress=dressed(authority)) as port:
        silent = await asyncio.open_connection("127.0.0.1", port)
        slow = await asyncio.open_connection("127.0.0.1", port)
        # The head of a ClientHello that never comes.
        slow[1].write(b"\x16\x03\x01\x02\x00\x01")
        for reader, writer in (silent, slow):
            async with asyncio.timeout(10):
                with RESET_IS_AN_END:
                    assert await reader.read() == b""
            writer.close()


async def test_silent_ones_make_room_for_those_who_shake_hands(
    gateway: Gateway, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HANDSHAKES_MAX", 10)
    async with gateway(dress=dressed(authority)) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        async with client(port, trusting(authority)) as one:
            await one.publish("a/b", "1", qos=1)
        async with asyncio.timeout(10):
            for reader, _ in silent[:20]:
                with RESET_IS_AN_END:
                    assert await reader.read() == b""
        for _, writer in silent:
            writer.close()


async def test_a_storm_of_handshakes_passes_and_leaves_the_connected_their_turn(
    gateway: Gateway, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HANDSHAKE_TURNS_MAX", 4)
    monkeypatch.setattr(settings, "HANDSHAKE_TURN_S", 0.0)
    context = trusting(authority)
    arrived: list[int] = []

    async def newcomer(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.write(CONNECT[:-1] + b"%c" % (33 + number % 90))
        assert (await reader.readexactly(1)) == b"\x20"
        arrived.append(number)
        writer.close()

    async with gateway(dress=dressed(authority)) as port, client(port, context) as stays:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(newcomer(number))
            for n in range(20):
                await stays.publish("a/b", str(n), qos=1)
        assert len(arrived) == 100


@pytest.mark.parametrize(
    "data", [CONNECT, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + b"\1" * 70_000]
)
async def test_what_is_no_tls_is_closed(gateway: Gateway, authority: Authority, data: bytes) -> None:
    async with gateway(dress=dressed(authority)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        async with asyncio.timeout(10):
            with RESET_IS_AN_END:
                assert CONNECT not in await reader.read()
        writer.close()
        async with client(port, trusting(authority)) as one:
            await one.publish("a/b", "1", qos=1)


async def test_old_versions_are_refused(gateway: Gateway, authority: Authority) -> None:
    context = trusting(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with gateway(dress=dressed(authority)) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(shake, port, context, None)


async def test_an_end_is_said_before_it_comes(gateway: Gateway, authority: Authority) -> None:
    """A refused client gets its reason and a clean end (close_notify), which no attacker can make up."""
    async with gateway(dress=dressed(authority)) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting(authority), server_hostname="localhost"
        )
        writer.write(bytes.fromhex("c000"))  # PINGREQ before CONNECT
        async with asyncio.timeout(10):
            assert (await reader.read())[:1] in (b"", b"\x20")
        writer.close()


async def test_a_subscriber_that_does_not_read_holds_nobody_up(gateway: Gateway, authority: Authority) -> None:
    context = trusting(authority)
    async with gateway(dress=dressed(authority)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.write(CONNECT)
        await reader.readexactly(2)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(bytes.fromhex("8209 0001 00 0003 612f62 00".replace(" ", "")))
        async with client(port, context) as publisher:
            payload = os.urandom(200_000)
            for _ in range(40):
                await publisher.publish("a/b", payload, qos=1)
        writer.transport.abort()
