"""A paho client whose tests see every reason code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from paho.mqtt.client import CallbackAPIVersion, Client

from tests.gateway.conftest import Wire


class Answer(NamedTuple):
    """A reason code (MQTT 3.1.1: what paho makes of it), and its reason string."""

    code: int
    why: str


class Paho:
    """One connection. Callbacks of paho's thread end up in queues and futures of the test's loop."""

    def __init__(self, port: int, protocol: int, name: str, secret: str, client_id: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=protocol,
            reconnect_on_failure=False,  # type: ignore[arg-type]
        )
        if name:
            self._client.username_pw_set(name, secret)
        self._published: dict[int, asyncio.Future[Answer]] = {}
        self._subscribed: dict[int, asyncio.Future[list[int]]] = {}
        self.connected: asyncio.Future[Answer] = self._loop.create_future()
        self.disconnected: asyncio.Future[Answer] = self._loop.create_future()
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self._client.on_connect = lambda _c, _u, _f, reason, more: self._call(
            _set, self.connected, _answer(reason, more)
        )
        self._client.on_disconnect = lambda _c, _u, _f, reason, more: self._call(
            _set, self.disconnected, _answer(reason, more)
        )
        self._client.on_publish = lambda _c, _u, number, reason, more: self._call(
            self._answered, self._published, number, _answer(reason, more)
        )
        self._client.on_subscribe = lambda _c, _u, number, reasons, _m: self._call(
            self._answered, self._subscribed, number, [reason.value for reason in reasons]
        )
        self._client.on_message = lambda _c, _u, message: self._call(self.messages.put_nowait, message)
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()

    def _call(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    @staticmethod
    def _answered(waiting: dict[int, Any], number: int, answer: Any) -> None:
        _set(waiting[number], answer)

    async def publish(self, topic: str, payload: str | bytes, qos: int = 1, **more: Any) -> Answer:
        """The code of its PUBACK or PUBCOMP (QoS 0: once it is sent)."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        # The answer may be there before `publish` has returned: paho hands it to the loop, which runs after us.
        info = self._client.publish(topic, payload, qos, **more)
        self._published[info.mid] = future
        async with asyncio.timeout(30):
            return await future

    async def subscribe(self, topic_filter: str, qos: int = 1) -> int:
        """The code of its SUBACK."""
        future: asyncio.Future[list[int]] = self._loop.create_future()
        _, number = self._client.subscribe(topic_filter, qos)
        assert number is not None
        self._subscribed[number] = future
        async with asyncio.timeout(30):
            return (await future)[0]

    async def next_message(self) -> Any:
        async with asyncio.timeout(30):
            return await self.messages.get()

    async def ended(self) -> Answer:
        """The code of the server's DISCONNECT."""
        async with asyncio.timeout(30):
            return await asyncio.shield(self.disconnected)

    async def close(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


def _set(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _answer(reason: Any, properties: Any) -> Answer:
    return Answer(reason.value, getattr(properties, "ReasonString", ""))


@contextlib.asynccontextmanager
async def paho(
    port: int, name: str = "", secret: str = "", *, protocol: int = 5, client_id: str = "", accepted: bool = True
) -> AsyncIterator[Paho]:
    """A client that has its CONNACK: 0 if `accepted`."""
    client = Paho(port, protocol, name, secret, client_id)
    try:
        async with asyncio.timeout(30):
            answer = await client.connected
        assert (answer.code == 0) is accepted, answer
        yield client
    finally:
        await client.close()


def connect(name: str, secret: str, properties: bytes = b"", client_id: str = "c") -> bytes:
    """A CONNECT of MQTT 5, clean start, with a keep-alive of a minute."""
    strings = b"".join(len(one).to_bytes(2) + one for one in (each.encode() for each in (client_id, name, secret)))
    body = b"\x00\x04MQTT\x05\xc2\x00\x3c" + bytes([len(properties)]) + properties + strings
    return b"\x10" + bytes([len(body)]) + body


async def packet(client: Wire) -> bytes:
    """The next packet (of less than 128 bytes) without its length."""
    head = bytes.fromhex(await client.receive(2))
    return head[:1] + (bytes.fromhex(await client.receive(head[1])) if head[1] else b"")
