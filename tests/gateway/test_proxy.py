"""PROXY protocol version 2: bytes by hand, by another encoder, by chance; then on a listening gateway."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
import ssl
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allthings.gateway import settings
from allthings.gateway.certificates import ServerCertificate
from allthings.gateway.errors import ProxyHeaderError
from allthings.gateway.listeners import Listener
from allthings.gateway.proxy import SIGNATURE, Header, encode, networks, parse
from allthings.registry.registry import Registry
from allthings.things.times import now_ns
from tests.gateway.authorities import files, made
from tests.gateway.conftest import Gateway
from tests.gateway.test_tls import trusting
from tests.reaching import must_reach, reach

#: The specification's own example of a header over TCP and IPv4, built up field by field.
EXAMPLE = bytes.fromhex("0d0a0d0a000d0a515549540a 21 11 000c c0a80001 c0a8000b dc04 01bb".replace(" ", ""))
CONNECT = bytes.fromhex("100d 0004 4d515454 04 02 003c 0001 61".replace(" ", ""))
CONNACK = bytes.fromhex("20020000")
LOCAL = SIGNATURE + b"\x20\x00\0\0"


def record(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def header(command: int = 0x21, family: int = 0x11, body: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


FOUR = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 40_000, 1883)
SIX = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + struct.pack("!HH", 40_000, 1883)


def test_the_example_of_the_specification() -> None:
    assert parse(EXAMPLE + b"rest") == Header(28, ("192.168.0.1", 56324))
    assert encode(("192.168.0.1", 56324), ("192.168.0.11", 443)) == EXAMPLE


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (header(body=FOUR), ("192.0.2.7", 40_000)),
        (header(family=0x21, body=SIX), ("2001:db8::7", 40_000)),
        (header(family=0x31, body=bytes(216)), None),
        (header(family=0x00), None),
        (header(family=0x00, body=record(0x04, b"noop")), None),
        (LOCAL, None),
        (header(command=0x20, family=0x77, body=b"whatever stands here is skipped"), None),
        (header(body=FOUR + record(0x01, b"h2") + record(0xE0, b"") + record(0x05, b"id")), ("192.0.2.7", 40_000)),
    ],
)
def test_what_a_proxy_may_send(data: bytes, source: tuple[str, int] | None) -> None:
    assert parse(data) == Header(len(data), source)
    assert parse(data + CONNECT) == Header(len(data), source)
    for count in range(len(data)):
        assert parse(data[:count]) is None


@pytest.mark.parametrize(
    "data",
    [
        CONNECT,
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 1883\r\n",  # version 1
        b"\r\n\r\n\0\r\nQUIX",
        header(command=0x11),
        header(command=0x22),
        header(family=0x12, body=FOUR),  # a datagram
        header(family=0x41, body=FOUR),
        header(body=FOUR[:-1]),
        header(family=0x21, body=FOUR),
        SIGNATURE + struct.pack("!BBH", 0x21, 0x11, settings.PROXY_BYTES_MAX + 1),
        header(body=FOUR + b"\x01"),
        header(body=FOUR + b"\x01\x00"),
        header(body=FOUR + b"\x01\x00\x05four"),
        header(body=FOUR + record(0x20, b"\x01\0\0\0")),
        header(body=FOUR + record(0x20, b"\x01\0\0\0\0" + b"\x22\x00\x09short")),
    ],
)
def test_what_it_may_not(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(data)


@pytest.mark.parametrize(
    ("shown", "checked", "name"),
    [(0x03, 0, "pump-7"), (0x05, 0, "pump-7"), (0x07, 0, "pump-7"), (0x01, 0, ""), (0x07, 1, "")],
)
def test_a_clients_certificate_counts_when_it_was_shown_and_is_good(shown: int, checked: int, name: str) -> None:
    inner = record(0x21, b"TLSv1.3") + record(0x22, b"pump-7") + record(0x23, b"cipher")
    tls = record(0x20, struct.pack("!BI", shown, checked) + inner)
    found = parse(header(body=FOUR + record(0x02, b"authority") + tls))
    assert found is not None
    assert found.common_name == name


ADDRESSES = st.ip_addresses()
PORTS = st.integers(0, 65535)


@given(ADDRESSES, PORTS, ADDRESSES, PORTS, st.binary(max_size=50))
def test_what_is_encoded_is_parsed(
    source: ipaddress.IPv4Address | ipaddress.IPv6Address,
    source_port: int,
    destination: ipaddress.IPv4Address | ipaddress.IPv6Address,
    destination_port: int,
    rest: bytes,
) -> None:
    data = encode((str(source), source_port), (str(destination), destination_port))
    found = parse(data + rest)
    assert found is not None
    assert found.size == len(data)
    assert found.source is not None
    told = ipaddress.ip_address(found.source[0])
    assert getattr(told, "ipv4_mapped", None) == source or told == source
    assert found.source[1] == source_port


@must_reach("refused", "not whole yet", "a header")
@given(st.binary(max_size=300), st.booleans())
@example(header(body=FOUR), False)
def test_any_bytes_are_a_header_or_refused(data: bytes, signed: bool) -> None:
    data = SIGNATURE + data if signed else data
    try:
        found = parse(data)
    except ProxyHeaderError:
        reach("refused")
        return
    reach("not whole yet" if found is None else "a header")
    assert found is None or 16 <= found.size <= len(data)


@must_reach("refused", "read")
@given(st.data())
def test_damaged_headers_never_crash(data: st.DataObject) -> None:
    whole = bytearray(header(body=FOUR + record(0x20, b"\x07\0\0\0\0" + record(0x22, b"pump-7")) + record(4, b"xyz")))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(12, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse(bytes(whole))
    except ProxyHeaderError:
        reach("refused")
    else:
        reach("read")


def test_networks() -> None:
    assert networks("") == []
    assert [str(each) for each in networks("10.0.0.5, 10.1.0.0/16,::1")] == ["10.0.0.5/32", "10.1.0.0/16", "::1/128"]
    with pytest.raises(ValueError, match="not-an-address"):
        networks("10.0.0.5,not-an-address")


# On a gateway


async def answered(port: int, *pieces: bytes) -> bytes:
    """What the gateway says to these bytes before it closes, at most a CONNACK."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(20):
            return await reader.readexactly(4)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    finally:
        writer.close()


async def test_a_trusted_proxy_tells_who_connects(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "allthings.gateway.broker")
    bad = bytes.fromhex("c000")  # PINGREQ before CONNECT: refused, and the address is logged
    async with gateway(dress=functools.partial(Listener, proxies=networks("127.0.0.0/8"))) as port:
        assert await answered(port, header(body=FOUR) + CONNECT) == CONNACK
        assert await answered(port, header(body=FOUR), CONNECT) == CONNACK
        assert await answered(port, *(bytes([byte]) for byte in EXAMPLE + CONNECT)) == CONNACK
        assert await answered(port, LOCAL + CONNECT) == CONNACK
        assert await answered(port, CONNECT) == b""
        await answered(port, header(family=0x21, body=SIX) + bad)
    assert any("2001:db8::7:40000" in record.getMessage() for record in caplog.records)


async def test_from_elsewhere_there_is_no_header(gateway: Gateway) -> None:
    async with gateway(dress=functools.partial(Listener, proxies=networks("192.0.2.0/24"))) as port:
        assert await answered(port, CONNECT) == CONNACK
        assert await answered(port, header(body=FOUR) + CONNECT) == b""


async def test_a_header_that_does_not_come_is_not_waited_for(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "PROXY_WITHIN_S", 0.1)
    async with gateway(dress=functools.partial(Listener, proxies=None)) as port:
        assert await answered(port, SIGNATURE) == b""


async def test_a_proxy_in_front_of_tls(gateway: Gateway, tmp_path: Path) -> None:
    authority = made(tmp_path)
    dress = functools.partial(Listener, certificate=ServerCertificate(files(authority)), proxies=None)

    def connect(port: int) -> bytes:
        raw = socket.create_connection(("127.0.0.1", port), 10)
        raw.sendall(header(body=FOUR))
        with trusting(authority).wrap_socket(raw, server_hostname="localhost") as tls:
            tls.sendall(CONNECT)
            return tls.recv(4)

    async with gateway(dress=dress) as port:
        assert await asyncio.to_thread(connect, port) == CONNACK
        without = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 10)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(trusting(authority).wrap_socket, without, server_hostname="localhost")


async def test_a_proxy_that_ends_tls_names_the_thing(gateway: Gateway, tmp_path: Path) -> None:
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    registry.migrate()
    registry.things.create({"title": "pump-7"}, now_ns(), "pump-7")

    def named(name: bytes, checked: int = 0) -> bytes:
        tls = record(0x20, struct.pack("!BI", 0x07, checked) + record(0x22, name))
        return header(body=FOUR + tls) + CONNECT

    async with gateway(registry, dress=functools.partial(Listener, proxies=networks("127.0.0.1"))) as port:
        assert await answered(port, named(b"pump-7")) == CONNACK
        assert await answered(port, named(b"pump-7", checked=18)) != CONNACK
        assert await answered(port, named(b"pump-8")) != CONNACK
        assert await answered(port, named(b"pump/\xff")) != CONNACK
    registry.close()
