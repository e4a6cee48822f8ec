"""Where clients come in, and what stands before MQTT on each way: TLS, the PROXY protocol."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from allthings.gateway.certificates import ServerCertificate
from allthings.gateway.proxy import Network, ProxyProtocol
from allthings.gateway.sockets import Poller
from allthings.gateway.tls import Handshakes, TlsTransport

Protocol = Callable[[], asyncio.Protocol]


@dataclass(frozen=True)
class Listener:
    """A listening, non-blocking socket. With a certificate it speaks TLS.

    `proxies`: from these networks connections begin with a PROXY header; None: all of them do.
    """

    socket: socket.socket
    certificate: ServerCertificate | None = None
    proxies: Sequence[Network] | None = ()


class Listeners:
    """Opens all listeners on one poller. `connection` makes the protocol that speaks MQTT."""

    def __init__(self, poller: Poller, listeners: Sequence[Listener], connection: Protocol) -> None:
        self._poller = poller
        self._listeners = listeners
        self._connection = connection
        self._handshakes = Handshakes(asyncio.get_running_loop(), self._busy)
        self._open = False

    def open(self) -> None:
        """Accept connections."""
        self._open = True
        for listener in self._listeners:
            self._poller.listen(listener.socket, self._protocol(listener))

    def _protocol(self, listener: Listener) -> Protocol:
        plain = self._connection
        certificate, proxies = listener.certificate, listener.proxies

        def encrypted() -> asyncio.Protocol:
            assert certificate is not None
            return TlsTransport(certificate, self._handshakes, plain())

        inner = plain if certificate is None else encrypted
        if proxies is not None and not proxies:
            return inner
        return lambda: ProxyProtocol(proxies, inner())

    def _busy(self, busy: bool) -> None:
        """The handshakes cannot follow, or can again: who connects with TLS waits in the backlog."""
        for listener in self._listeners:
            if listener.certificate is None or not self._open:
                continue
            if busy:
                self._poller.stop_listening(listener.socket)
            else:
                self._poller.listen(listener.socket, self._protocol(listener))

    async def follow_certificates(self, looked: Callable[[ServerCertificate], None]) -> None:
        """Take new certificates as their files appear; `looked` is called each time that was looked for them."""
        certificates = {listener.certificate for listener in self._listeners if listener.certificate is not None}
        async with asyncio.TaskGroup() as tasks:
            for certificate in certificates:
                tasks.create_task(certificate.follow(partial(looked, certificate)))

    def stop_listening(self) -> None:
        """Accept no more; the sockets stay open."""
        self._open = False
        for listener in self._listeners:
            self._poller.stop_listening(listener.socket)

    def close(self) -> None:
        """End the handshakes that are under way."""
        self._handshakes.close()
