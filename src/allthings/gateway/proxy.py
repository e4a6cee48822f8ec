"""The PROXY protocol, version 2: who really connects, told by a proxy in front of us.

`parse` and `encode` do no I/O and follow the specification of HAProxy (proxy-protocol.txt, section 2.2 on).
`ProxyProtocol` stands before TLS and MQTT on a connection, takes the header off, and is gone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from allthings.gateway import settings
from allthings.gateway.certificates import ClientCertificate
from allthings.gateway.errors import ProxyHeaderError
from allthings.things.names import valid_thing_name

if TYPE_CHECKING:
    from allthings.gateway.sockets import SocketTransport

_LOGGER = logging.getLogger(__name__)
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD: Final = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
#: The bytes of both addresses and ports, by family and transport.
_ADDRESS_BYTES: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_TYPE_SSL, _SUBTYPE_SSL_CN = 0x20, 0x22
_CLIENT_CERT_CONN, _CLIENT_CERT_SESS = 0x02, 0x04

Address = tuple[str, int]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Header(NamedTuple):
    """`size` bytes of header. `source` is the client; None when the proxy speaks for itself or knows no address.

    `common_name` is that of the client's certificate if the proxy ended TLS and has checked one, else "".
    """

    size: int
    source: Address | None
    common_name: str = ""


def parse(data: bytes) -> Header | None:
    """The header at the start of `data`; None when more is needed. Raises ProxyHeaderError."""
    if data[: len(SIGNATURE)] != SIGNATURE[: len(data)]:
        raise ProxyHeaderError("a PROXY v2 header was expected and something else came")
    if len(data) < _HEAD.size:
        return None
    _, command, family, length = _HEAD.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"version and command 0x{command:02x}; known are 0x20 and 0x21")
    if length > settings.PROXY_BYTES_MAX:
        raise ProxyHeaderError(f"a header of {length} bytes; at most {settings.PROXY_BYTES_MAX} are accepted")
    size = _HEAD.size + length
    if len(data) < size:
        return None
    if command == _LOCAL:
        return Header(size, None)
    needed = _ADDRESS_BYTES.get(family)
    if needed is None:
        raise ProxyHeaderError(
            f"address family and transport 0x{family:02x}; known are streams over IP and Unix sockets"
        )
    if length < needed:
        raise ProxyHeaderError(f"{length} bytes of addresses; family 0x{family:02x} takes {needed}")
    common_name = _common_name(data[_HEAD.size + needed : size])
    return Header(size, _source(family, data[_HEAD.size : _HEAD.size + needed]), common_name)


def _source(family: int, addresses: bytes) -> Address | None:
    if family == _TCP4:
        return socket.inet_ntop(socket.AF_INET, addresses[:4]), int.from_bytes(addresses[8:10])
    if family == _TCP6:
        return socket.inet_ntop(socket.AF_INET6, addresses[:16]), int.from_bytes(addresses[32:34])
    return None


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each record (TLV)."""
    position = 0
    while position < len(data):
        end = position + 3 + int.from_bytes(data[position + 1 : position + 3])
        if position + 3 > len(data) or end > len(data):
            raise ProxyHeaderError(f"a record that ends {end - len(data)} bytes behind the header")
        yield data[position], data[position + 3 : end]
        position = end


def _common_name(records: bytes) -> str:
    name = b""
    for kind, value in _records(records):
        # One byte says what the client showed, four bytes whether it was checked: zero means that it was and is good.
        if kind != _TYPE_SSL:
            continue
        if len(value) < 5:
            raise ProxyHeaderError(f"a TLS record of {len(value)} bytes; it has at least 5")
        inner = dict(_records(value[5:]))
        if value[0] & (_CLIENT_CERT_CONN | _CLIENT_CERT_SESS) and value[1:5] == b"\0\0\0\0":
            name = inner.get(_SUBTYPE_SSL_CN, b"")
    return name.decode("utf-8", "replace")


def encode(source: Address, destination: Address) -> bytes:
    """The header that tells of a client at `source` who connected to `destination` (numeric addresses)."""
    ends = [(ipaddress.ip_address(host.partition("%")[0]), port) for host, port in (source, destination)]
    family, length = _TCP4, 4
    if any(address.version == 6 for address, _ in ends):
        family, length = _TCP6, 16
    # IPv4 among IPv6 is written as an IPv4-mapped address.
    hosts = [b"\xff\xff".rjust(length - 4, b"\0") * (len(a.packed) < length) + a.packed for a, _ in ends]
    ports = [port.to_bytes(2) for _, port in ends]
    return _HEAD.pack(SIGNATURE, _PROXY, family, _ADDRESS_BYTES[family]) + b"".join(hosts + ports)


def networks(text: str) -> list[Network]:
    """Addresses and networks with commas between. Raises ValueError, which names the wrong one."""
    return [ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


class ProxyProtocol(asyncio.Protocol):
    """Takes the header off a connection, then leaves it to `inner`.

    `trusted`: the proxies' networks; clients from elsewhere have no header. None: every connection has one.
    """

    def __init__(self, trusted: Sequence[Network] | None, inner: asyncio.Protocol) -> None:
        self._trusted = trusted
        self._inner = inner
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport: SocketTransport = transport
        self._timer = asyncio.get_running_loop().call_later(settings.PROXY_WITHIN_S, transport.abort)
        if self._trusted is not None and not _is_in(transport.peer, self._trusted):
            self._hand_over(b"")

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            header = parse(self._data)
        except ProxyHeaderError as error:
            _LOGGER.info("the proxy at %s: %s", self._transport.peer, error.detail)
            self._transport.abort()
            return
        if header is None:
            return
        if header.source is not None:
            self._transport.peer = header.source
        if valid_thing_name(header.common_name):
            self._transport.certificate = ClientCertificate(header.common_name)
        self._hand_over(self._data[header.size :])

    def _hand_over(self, rest: bytes) -> None:
        self._timer.cancel()
        self._transport.set_protocol(self._inner)
        self._inner.connection_made(self._transport)  # type: ignore[arg-type]
        if rest and not self._transport.is_closing():
            self._inner.data_received(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()


def _is_in(peer: Any, trusted: Sequence[Network]) -> bool:
    if not peer:
        return False
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in trusted)
