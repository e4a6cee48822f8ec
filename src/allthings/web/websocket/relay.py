"""A WebSocket's way to the gateway: frames on the browser's side, plain MQTT on the gateway's private socket.

Both sides are protocols on plain transports, and each lets the other wait: a browser that does not read stops the
gateway's bytes at its own socket, and the gateway then treats it as any slow subscriber. Nothing is kept here.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, Final

from allthings.gateway.proxy import Address
from allthings.gateway.proxy import encode as encode_proxy
from allthings.gateway.unix import unix_address
from allthings.things.errors import AllthingsError
from allthings.web import settings
from allthings.web.websocket.frames import CloseCode, FrameError, Frames, Opcode, encode, encode_close
from allthings.web.websocket.handshake import accept, refuse

_LOGGER = logging.getLogger(__name__)
_UNKNOWN: Final[Address] = ("127.0.0.1", 0)


class Relays:
    """Makes the protocol of each WebSocket, as uvicorn asks for it (`Config.ws`), and counts them.

    `gateway`: the path of the gateway's private socket.
    """

    def __init__(self, gateway: Path, is_open: bool) -> None:
        self.gateway = gateway
        self.is_open = is_open
        self.browsers: set[Browser] = set()

    def __call__(self, config: Any, server_state: Any, app_state: Any) -> Browser:
        return Browser(self, server_state.connections)


class Browser(asyncio.Protocol):
    """The browser's side of one WebSocket, from its request on."""

    def __init__(self, relays: Relays, connections: set[Any]) -> None:
        self._relays = relays
        self._connections = connections
        self._frames: Frames | None = None
        self._gateway: _Gateway | None = None
        self._connecting: asyncio.Task[None] | None = None
        #: What came before the gateway was there; reading pauses meanwhile, so it is one read at most.
        self._early: list[bytes] = []
        self._full = False
        self._closing = False

    # What uvicorn and the socket tell

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._frames is None:
            self._open(data)
            return
        try:
            events = self._frames.feed(data)
        except FrameError as error:
            self._close(error.code, str(error))
            return
        for opcode, payload in events:
            if opcode == Opcode.BINARY:
                self._pass_on(payload)
            elif opcode == Opcode.PING:
                # Who does not read has no need of further answers.
                if not self._full:
                    self._transport.write(encode(Opcode.PONG, payload))
            else:
                self._end(encode(Opcode.CLOSE, payload[:2]))
                return

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._connections.discard(self)
        self._relays.browsers.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._gateway is not None:
            self._gateway.transport.close()

    def pause_writing(self) -> None:
        self._full = True
        if self._gateway is not None:
            self._gateway.transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if self._gateway is not None:
            self._gateway.transport.resume_reading()

    def shutdown(self) -> None:
        """The web application stops (uvicorn)."""
        self._close(CloseCode.GOING_AWAY, "the platform stops")

    # Open and close

    def _open(self, head: bytes) -> None:
        relays = self._relays
        try:
            answer = accept(head, relays.is_open, len(relays.browsers))
        except AllthingsError as error:
            self._end(refuse(error))
            return
        relays.browsers.add(self)
        self._frames = Frames()
        self._transport.write(answer)
        # What comes before the gateway is there waits in the socket.
        self._transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        gateway = _Gateway(self)
        try:
            with unix_address(self._relays.gateway) as address:
                async with asyncio.timeout(settings.RELAY_CONNECT_S_MAX):
                    await asyncio.get_running_loop().create_unix_connection(lambda: gateway, address)
        except OSError as error:  # TimeoutError is one
            _LOGGER.info("the gateway does not answer a WebSocket: %s", error)
            self._close(CloseCode.TRY_AGAIN_LATER, "the gateway does not answer")
            return
        finally:
            self._connecting = None
            if self._closing and gateway.transport is not None:
                # The browser has gone in the moment when the gateway answered.
                gateway.transport.close()
        self._gateway = gateway
        peer, local = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
        gateway.transport.write(encode_proxy(peer[:2] if peer else _UNKNOWN, local[:2] if local else _UNKNOWN))
        for data in self._early:
            gateway.transport.write(data)
        self._early.clear()
        if self._full:
            gateway.transport.pause_reading()
        self._transport.resume_reading()

    def _close(self, code: CloseCode, why: str) -> None:
        self._end(encode_close(code, why) if self._frames is not None else b"")

    def _end(self, last: bytes) -> None:
        """Send the last bytes, then close. The gateway hears of it in `connection_lost`."""
        if self._closing:
            return
        self._closing = True
        if last:
            self._transport.write(last)
        self._transport.close()

    # Between the two

    def _pass_on(self, data: bytes) -> None:
        if self._gateway is None:
            self._early.append(data)
        else:
            self._gateway.transport.write(data)

    def hold(self, held: bool) -> None:
        """The gateway does not read: let the browser wait, or go on."""
        if self._closing:
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def receive(self, data: bytes) -> None:
        """The gateway has sent this."""
        if not self._closing:
            self._transport.write(encode(Opcode.BINARY, data))

    def gateway_lost(self) -> None:
        """The gateway has closed its side: its last bytes are on their way to the browser."""
        self._close(CloseCode.NORMAL, "")


class _Gateway(asyncio.Protocol):
    """The gateway's side of one WebSocket."""

    transport: Any = None

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.data_received = browser.receive  # type: ignore[method-assign]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._browser.gateway_lost()

    def pause_writing(self) -> None:
        self._browser.hold(True)

    def resume_writing(self) -> None:
        self._browser.hold(False)
