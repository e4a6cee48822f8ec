"""Plain TCP sockets on one epoll, read and written directly.

An asyncio transport costs several times as much for each small message as the system call that it makes. With a
thousand devices that each wait for their acknowledgement, that is most of the gateway's work; here a readable socket
costs one `recv`, an acknowledgement one `send`, and many that are readable at once are left to the lane (gateway.lane).
The transports have the methods of asyncio's that connections use; TLS and the PROXY protocol stand between the two as
protocols (gateway.tls, gateway.proxy).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, Final

import numpy as np

from allthings.gateway import settings
from allthings.gateway.certificates import NO_CERTIFICATE
from allthings.gateway.lane import Lane

#: What one turn of the loop reads from one socket (at first, and once it has much to say), and from how many sockets,
#: so that none starves the others.
READ_BYTES_MIN: Final = 2048
READ_BYTES_MAX: Final = 256 * 1024
EVENTS_MAX: Final = settings.LANE_SOCKETS_MAX
ACCEPTS_MAX: Final = 32
#: What may wait to be written before a protocol is told to pause, and when it is told to go on.
HIGH_WATER_BYTES: Final = 64 * 1024
LOW_WATER_BYTES: Final = 16 * 1024
#: How long accepting pauses when the process has no file descriptors left.
ACCEPT_PAUSE_S: Final = 0.5

_IN: Final = select.EPOLLIN
_READ: Final = select.EPOLLIN | select.EPOLLRDHUP
_GONE: Final = select.EPOLLHUP | select.EPOLLERR
#: There is nothing to receive, or not now.
_NOTHING: Final = (-errno.EAGAIN, -errno.EINTR)


class Poller:
    """The epoll of all plain connections, hung into the event loop. With a lane many are read together."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lane: Lane | None = None) -> None:
        self._loop = loop
        self._lane = lane
        self._epoll = select.epoll()
        self._transports: dict[int, SocketTransport] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def listen(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accept connections from a listening, non-blocking socket."""
        with contextlib.suppress(OSError):
            # Those that are accepted inherit it. A Unix socket has no such thing.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kind = (int(listener.family), int(listener.type), listener.proto)
        self._loop.add_reader(listener.fileno(), self._accept, listener, kind, protocol)

    def stop_listening(self, listener: socket.socket) -> None:
        """Accept no more; the socket stays open, who connects waits in its backlog."""
        self._loop.remove_reader(listener.fileno())

    def _accept(
        self, listener: socket.socket, kind: tuple[int, int, int], protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        # What `accept` calls; it would ask the listener for its family and type, as enums, for each connection.
        accept: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]
        for _ in range(ACCEPTS_MAX):
            try:
                descriptor, peer = accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                # No file descriptors: try again when some may have been freed, instead of spinning.
                self.stop_listening(listener)
                self._loop.call_later(ACCEPT_PAUSE_S, self.listen, listener, protocol)
                return
            # What socket.socket wraps in Python, which is a twentieth of what it takes to accept a connection.
            accepted = socket.SocketType(*kind, descriptor)
            accepted.setblocking(False)
            made = protocol()
            made.connection_made(self.adopt(accepted, peer, made))  # type: ignore[arg-type]

    def adopt(self, connected: socket.SocketType, peer: Any, protocol: asyncio.Protocol) -> SocketTransport:
        """Take care of a connected, non-blocking socket. The protocol is not told; that is left to the caller."""
        transport = SocketTransport(self, connected, peer, protocol)
        descriptor = connected.fileno()
        self._transports[descriptor] = transport
        self._epoll.register(descriptor, _READ)
        return transport

    def _ready(self) -> None:
        transports = self._transports
        ready: Sequence[tuple[int, int]] = self._epoll.poll(0, EVENTS_MAX)
        if self._lane is not None and len(ready) >= settings.LANE_SOCKETS_MIN:
            ready = self._read_many(self._lane, ready)
        for descriptor, events in ready:
            transport = transports.get(descriptor)
            if transport is None:
                continue
            if events == _IN:
                # As `_read`, without a call for each of a thousand small messages.
                receive, size = transport.receive, transport.read_bytes
                try:
                    data = receive(size)
                except OSError:
                    self._read(transport)
                    continue
                if 0 < len(data) < size:
                    received = transport.received
                    received(data)
                else:
                    self._take(transport, data)
                continue
            if events & select.EPOLLOUT:
                transport.flush()
            if events & (_READ | _GONE):
                self._read(transport)

    def _read_many(self, lane: Lane, ready: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
        """Read the sockets of the lane if they are many; those that are left."""
        sockets, events = map(np.array, zip(*ready, strict=True))
        many = (events == _IN) & lane.among(sockets)
        if np.count_nonzero(many) < settings.LANE_SOCKETS_MIN:
            return ready
        for descriptor, result, data in lane.take(sockets[many].astype(np.int32)):
            transport = self._transports.get(descriptor)
            if transport is None or result in _NOTHING:
                continue
            if result > 0:
                transport.received(data)
            else:
                transport.lost(OSError(-result, os.strerror(-result)) if result else None)
        return list(compress(ready, ~many))

    def _read(self, transport: SocketTransport) -> None:
        try:
            data = transport.receive(transport.read_bytes)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            transport.lost(error)
        else:
            self._take(transport, data)

    def _take(self, transport: SocketTransport, data: bytes) -> None:
        if data:
            if len(data) == transport.read_bytes < READ_BYTES_MAX:
                transport.read_bytes *= 4
            transport.received(data)
        else:
            transport.lost(None)

    def watch(self, descriptor: int, *, reading: bool, writing: bool) -> None:
        """What a socket is watched for."""
        if self._lane is not None:
            self._lane.write_waits(descriptor, writing)
        self._epoll.modify(descriptor, (_READ if reading else 0) | (select.EPOLLOUT if writing else 0))

    def forget(self, descriptor: int) -> None:
        """Called once by each transport before it closes its socket."""
        if self._transports.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Drop all connections and the epoll."""
        for transport in tuple(self._transports.values()):
            transport.lost(None)
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()


class SocketTransport:
    """One connection. Methods as in asyncio.Transport; all are called on the event loop."""

    __slots__ = (
        "_buffered",
        "_closing",
        "_gently",
        "_lost",
        "_pausing",
        "_poller",
        "_reading",
        "_send",
        "_waiting",
        "certificate",
        "peer",
        "protocol",
        "read_bytes",
        "receive",
        "received",
        "socket",
    )

    def __init__(self, poller: Poller, accepted: socket.SocketType, peer: Any, protocol: asyncio.Protocol) -> None:
        self._poller = poller
        self.socket = accepted
        self.protocol = protocol
        # Bound once: looking a method up costs as much as some calls do. Where it matters they are also taken out of
        # their slots before they are called, as Python looks slots up at length in `transport.receive(...)`.
        self.receive = accepted.recv
        self._send = accepted.send
        self.received = protocol.data_received
        self.read_bytes = READ_BYTES_MIN
        #: Where the client is, and what its certificate says; a PROXY header may tell better (gateway.proxy).
        self.peer = peer
        self.certificate = NO_CERTIFICATE
        self._waiting: list[bytes | memoryview] | None = None
        self._buffered = 0
        self._reading = True
        self._closing = False
        self._gently = False
        self._lost = False
        self._pausing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Only `peername`, `certificate` and `socket`."""
        match name:
            case "peername":
                return self.peer
            case "certificate":
                return self.certificate
            case "socket":
                return self.socket
        return default

    def release(self) -> socket.SocketType:
        """Give the socket away, open as it is; the protocol hears no more of it."""
        self._lost = True
        self._poller.forget(self.socket.fileno())
        return self.socket

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Whom to tell from now on. It is not told that the connection was made."""
        self.protocol = protocol
        self.received = protocol.data_received

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def get_write_buffer_size(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._buffered

    def write(self, data: bytes) -> None:
        """Send now what the kernel takes; the rest when it takes more."""
        if self._lost or self._closing:
            return
        if self._waiting:
            self._waiting.append(data)
            self._buffered += len(data)
        else:
            send = self._send
            try:
                sent = send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._lose_soon(error)
                return
            if sent == len(data):
                return
            self._waiting = [memoryview(data)[sent:]]
            self._buffered = len(data) - sent
            self._watch()
        if self._buffered > HIGH_WATER_BYTES and not self._pausing:
            self._pausing = True
            self.protocol.pause_writing()

    def flush(self) -> None:
        """The kernel takes more."""
        data = b"".join(self._waiting or ())
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lost(error)
            return
        self._waiting = [memoryview(data)[sent:]] if sent < len(data) else None
        self._buffered = len(data) - sent
        if self._pausing and self._buffered < LOW_WATER_BYTES:
            self._pausing = False
            self.protocol.resume_writing()
        if not self._waiting:
            if self._gently:
                self._end_writing()
            elif self._closing:
                self.lost(None)
            else:
                self._watch()

    def pause_reading(self) -> None:
        if self._reading and not self._lost:
            self._reading = False
            self._watch()

    def resume_reading(self) -> None:
        if not self._reading and not self._lost:
            self._reading = True
            self._watch()

    def _watch(self) -> None:
        self._poller.watch(
            self.socket.fileno(),
            reading=self._reading and (self._gently or not self._closing),
            writing=bool(self._waiting),
        )

    def close(self) -> None:
        """Write what waits, then close."""
        if self._closing or self._lost:
            return
        self._closing = True
        if self._waiting:
            self._watch()
        else:
            self._lose_soon(None)

    def close_gently(self) -> None:
        """Write what waits and end our direction; until the client closes too, drop what it is still sending.

        A socket that is closed with unread bytes is reset, and the client would lose what was written last. Whoever
        calls this sees that it ends (`abort`).
        """
        if self._closing or self._lost:
            return
        self._closing = self._gently = self._reading = True
        self.received = drop
        if self._waiting:
            self._watch()
        else:
            self._end_writing()

    def _end_writing(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._lose_soon(error)
        else:
            self._watch()

    def abort(self) -> None:
        """Close at once."""
        self._lose_soon(None)

    def _lose_soon(self, error: OSError | None) -> None:
        """Not at once: whoever writes is not told of the loss in the middle of its own work."""
        self._closing = True
        asyncio.get_running_loop().call_soon(self.lost, error)

    def lost(self, error: OSError | None) -> None:
        """The connection is over; the protocol is told once."""
        if self._lost:
            return
        self._lost = True
        self._waiting = None
        self._poller.forget(self.socket.fileno())
        self.socket.close()
        protocol = self.protocol
        # Nothing points in a circle now: what many connections had is free as they end, not when the next ones come.
        self.protocol, self.received = NOBODY, drop
        protocol.connection_lost(error)


#: Whom a transport tells that is told nothing any more.
NOBODY: Final = asyncio.Protocol()


def drop(data: bytes) -> None:
    """What comes on a connection that is being closed."""
