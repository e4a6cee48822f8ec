"""TLS between a socket and MQTT: ciphertext in, plain bytes up; plain bytes down, ciphertext out.

A `TlsTransport` is a protocol to the socket's transport below and a transport to the connection above. OpenSSL works
on memory, so that one `recv` takes many records and one `send` writes many.

A handshake costs as much as hundreds of messages. `Handshakes` does only so much of them in one turn of the event
loop, so that ten thousand devices that come back at once do not keep waiting those that are connected; when it cannot
follow, newcomers wait in the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from allthings.gateway import settings
from allthings.gateway.certificates import NO_CERTIFICATE, ServerCertificate, client_certificate
from allthings.gateway.sockets import NOBODY, drop

_LOGGER = logging.getLogger(__name__)
#: The largest plain text of a record (RFC 8446 section 5.1).
_RECORD_BYTES: Final = 16_384
_SWEEP_EVERY_S: Final = 1.0
_TELL_FAILURES_EVERY_S: Final = 10.0


class Handshakes:
    """The handshakes of all TLS listeners: their turns, their time limit, their number.

    `on_busy(True)` asks to accept no more, `on_busy(False)` to go on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_busy: Callable[[bool], None]) -> None:
        self._loop = loop
        self._on_busy = on_busy
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        #: In the order of their start, with the time when each must be done. Those in `_turns` wait for us, the
        #: others for their client.
        self._under_way: dict[TlsTransport, float] = {}
        self._turns: dict[TlsTransport, None] = {}
        self._scheduled = False
        self._failures = 0
        self._tell_after = 0.0

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, transport: TlsTransport) -> None:
        """A connection was accepted."""
        self._under_way[transport] = self._loop.time() + settings.HANDSHAKE_WITHIN_S
        if len(self._under_way) > settings.HANDSHAKES_MAX:
            # Who said nothing for longest makes room.
            for oldest in islice(self._under_way, settings.HANDSHAKES_MAX):
                if oldest not in self._turns:
                    oldest.abort()
                    self.end(oldest)
                    break
        if self._timer is None:
            self._timer = self._loop.call_later(_SWEEP_EVERY_S, self._sweep)

    def end(self, transport: TlsTransport) -> None:
        """The handshake is done, or its connection gone."""
        self._under_way.pop(transport, None)
        self._turns.pop(transport, None)

    def arrived(self, transport: TlsTransport) -> None:
        """The client has sent more of its handshake."""
        self._turns[transport] = None
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._work)
        if not self._busy and len(self._turns) > settings.HANDSHAKE_TURNS_MAX:
            self._busy = True
            self._on_busy(True)

    def _work(self) -> None:
        self._scheduled = False
        until = self._loop.time() + settings.HANDSHAKE_TURN_S
        turns = self._turns
        while turns:
            transport = next(iter(turns))
            del turns[transport]
            transport.shake_hands()
            if self._loop.time() >= until:
                break
        if turns:
            self._scheduled = True
            self._loop.call_soon(self._work)
        if self._busy and len(turns) < settings.HANDSHAKE_TURNS_MAX // 2:
            self._busy = False
            self._on_busy(False)

    def _sweep(self) -> None:
        """Close what takes too long. The time limit is one for all, so the oldest is due first."""
        now = self._loop.time()
        for transport, due in tuple(self._under_way.items()):
            if due > now:
                break
            self.failed(transport, "it took too long")
            transport.abort()
        self._timer = self._loop.call_later(_SWEEP_EVERY_S, self._sweep) if self._under_way else None

    def failed(self, transport: TlsTransport, why: str) -> None:
        """A handshake came to nothing: say so, but not for each of a storm."""
        self.end(transport)
        self._failures += 1
        now = self._loop.time()
        if now >= self._tell_after:
            peer = transport.get_extra_info("peername")
            _LOGGER.info("%d TLS handshakes failed, the last one from %s: %s", self._failures, peer, why)
            self._failures = 0
            self._tell_after = now + _TELL_FAILURES_EVERY_S

    def close(self) -> None:
        """Drop what is under way."""
        for transport in tuple(self._under_way):
            transport.abort()
        if self._timer is not None:
            self._timer.cancel()


class TlsTransport(asyncio.Protocol):
    """One connection with TLS. `inner` hears of it once the handshake is done."""

    __slots__ = (
        "_below",
        "_closing",
        "_handshakes",
        "_incoming",
        "_inner",
        "_outgoing",
        "_received",
        "_server",
        "_tls",
        "_up",
        "certificate",
    )

    def __init__(self, server: ServerCertificate, handshakes: Handshakes, inner: asyncio.Protocol) -> None:
        self._server = server
        self._handshakes = handshakes
        self._inner = inner
        self._received = inner.data_received
        self._below: Any = None
        self._up = False
        self._closing = False
        self.certificate = NO_CERTIFICATE

    # What the socket tells

    def connection_made(self, transport: Any) -> None:
        self._below = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = self._server.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._handshakes.begin(self)

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._up:
            self._decrypt()
        elif self._incoming.pending > settings.HANDSHAKE_BYTES_MAX:
            self._handshakes.failed(self, f"more than {settings.HANDSHAKE_BYTES_MAX} bytes of it")
            self.abort()
        else:
            self._handshakes.arrived(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._up:
            inner = self._inner
            # As in gateway.sockets: no circle is left.
            self._inner, self._received = NOBODY, drop
            inner.connection_lost(exc)
        else:
            self._handshakes.end(self)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    # TLS

    def shake_hands(self) -> None:
        """Go on with the handshake as far as what has arrived allows."""
        try:
            self._tls.do_handshake()
            self.certificate = client_certificate(self._tls)
            # A session that is resumed is not checked by OpenSSL, and a list may have come since this began.
            if why := self._server.objection(self.certificate):
                raise ValueError(why)
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ValueError) as error:
            self._flush()  # the alert that tells the client
            self._handshakes.failed(self, _reason(error))
            self._below.close()
            return
        self._flush()
        self._handshakes.end(self)
        self._up = True
        self._inner.connection_made(self)  # type: ignore[arg-type]
        if self._incoming.pending:
            self._decrypt()

    def _decrypt(self) -> None:
        read, incoming, pending = self._tls.read, self._incoming, self._tls.pending
        chunks = []
        ended = False
        try:
            # A buffer as large as a record could be would cost more than decrypting a short one.
            size = incoming.pending
            while size:
                chunk = read(min(size, _RECORD_BYTES))
                if not chunk:
                    ended = True
                    break
                chunks.append(chunk)
                # A record whose end was reached leaves nothing inside OpenSSL.
                size = incoming.pending or (pending() if len(chunk) >= size else 0)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still on its way
        except ssl.SSLError as error:
            _LOGGER.debug("TLS of %s: %s", self.get_extra_info("peername"), error)
            ended = True
        if self._outgoing.pending:
            self._flush()
        if chunks:
            self._received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if ended:
            self._below.close()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._below.write(data)

    # What the connection asks for, as of asyncio.Transport

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        try:
            done = self._tls.write(data)
            while done < len(data):
                done += self._tls.write(memoryview(data)[done:])
        except ssl.SSLError:
            # Nothing can be written after our or the client's farewell.
            self._below.close()
            return
        self._below.write(self._outgoing.read())

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the socket's transport; `certificate` is what the client showed (ClientCertificate)."""
        if name == "certificate":
            return self.certificate
        return self._below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return bool(self._below.is_closing())

    def get_write_buffer_size(self) -> int:
        return int(self._below.get_write_buffer_size())

    def pause_reading(self) -> None:
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._below.resume_reading()

    def close(self) -> None:
        """Say farewell (close_notify), write what waits, then close."""
        if self._closing:
            return
        self._closing = True
        with contextlib.suppress(ssl.SSLError):  # the client's own farewell is not waited for
            self._tls.unwrap()
        self._flush()
        self._below.close()

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """Whom to tell from now on. It is not told that the connection was made."""
        self._inner = protocol
        self._received = protocol.data_received

    def close_gently(self) -> None:
        """As `close`: the client's TLS layer tells it what came before close_notify."""
        self.close()

    def abort(self) -> None:
        self._below.abort()


def _reason(error: ssl.SSLError | ValueError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error)
