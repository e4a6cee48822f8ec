"""A connection that came in here, but whose client belongs to another gateway of this machine, goes there.

Its socket is passed on with what was read from it. What stands between the socket and MQTT (TLS) stays: then the
other gateway gets one end of a pair of sockets, and the bytes are relayed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from allthings.gateway.certificates import ClientCertificate
from allthings.gateway.shard import Shard
from allthings.gateway.sockets import Poller, SocketTransport

_LOGGER = logging.getLogger(__name__)
#: What fits one datagram between two processes; a CONNECT beyond it cannot be handed over.
HANDOVER_BYTES_MAX: Final = 128 * 1024
_DESCRIPTORS_MAX: Final = 1
_TAKES_MAX: Final = 256
#: Connections that wait for a gateway that is being replaced.
_WAITING_MAX: Final = 10_000


class _Parcel(msgspec.Struct, frozen=True, array_like=True):
    """What goes with a socket."""

    peer: tuple[str, int] | None
    certificate: ClientCertificate
    data: bytes


_DECODER: Final = msgspec.msgpack.Decoder(_Parcel)


class Handover:
    """`receiving` is this gateway's end; `sending` has one end for each gateway, by index."""

    def __init__(
        self,
        shard: Shard,
        receiving: socket.socket,
        sending: Sequence[socket.socket],
        poller: Poller,
        connection: Callable[[], asyncio.Protocol],
    ) -> None:
        self._shard = shard
        self._receiving = receiving
        self._sending = sending
        self._poller = poller
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, deque[tuple[bytes, socket.SocketType]]] = {n: deque() for n in range(len(sending))}

    def open(self) -> None:
        """Take what the others hand over."""
        self._loop.add_reader(self._receiving.fileno(), self._take)

    def close(self) -> None:
        """Take no more; what comes waits for whoever takes this gateway's place."""
        self._loop.remove_reader(self._receiving.fileno())
        for index, waiting in self._waiting.items():
            self._loop.remove_writer(self._sending[index].fileno())
            for _, handed in waiting:
                handed.close()

    # Giving

    def give(self, transport: Any, client: str, data: bytes) -> bool:
        """Pass a connection on with `data`, which begins with its CONNECT. False when it cannot be."""
        index = self._shard.owner(client)
        waiting = self._waiting[index]
        if len(data) > HANDOVER_BYTES_MAX or len(waiting) >= _WAITING_MAX:
            return False
        peer = transport.get_extra_info("peername")
        certificate = transport.get_extra_info("certificate")
        parcel = msgspec.msgpack.encode(_Parcel((str(peer[0]), int(peer[1])) if peer else None, certificate, data))
        waiting.append((parcel, self._socket_of(transport, peer)))
        self._send(index)
        return True

    def _socket_of(self, transport: Any, peer: Any) -> socket.SocketType:
        if isinstance(transport, SocketTransport):
            return transport.release()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        relay = _Relay(transport)
        transport.set_protocol(_Relay(self._poller.adopt(ours, peer, relay)))
        return theirs

    def _send(self, index: int) -> None:
        waiting, to = self._waiting[index], self._sending[index]
        while waiting:
            parcel, handed = waiting[0]
            try:
                socket.send_fds(to, [parcel], [handed.fileno()])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(to.fileno(), self._send, index)
                return
            except OSError as error:
                _LOGGER.warning("a connection cannot be handed to gateway %d: %s", index, error)
            waiting.popleft()
            handed.close()
        self._loop.remove_writer(to.fileno())

    # Taking

    def _take(self) -> None:
        for _ in range(_TAKES_MAX):
            try:
                data, descriptors, _, _ = socket.recv_fds(self._receiving, 2 * HANDOVER_BYTES_MAX, _DESCRIPTORS_MAX)
            except (BlockingIOError, InterruptedError):
                return
            if not descriptors:
                continue
            handed = socket.socket(fileno=descriptors[0])
            handed.setblocking(False)
            parcel = _DECODER.decode(data)
            protocol = self._connection()
            transport = self._poller.adopt(handed, parcel.peer, protocol)
            transport.certificate = parcel.certificate
            protocol.connection_made(transport)  # type: ignore[arg-type]
            if not transport.is_closing():
                protocol.data_received(parcel.data)


class _Relay(asyncio.Protocol):
    """Stands on one connection and writes what comes to the other one."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def data_received(self, data: bytes) -> None:
        self._other.write(data)

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._other.close()
