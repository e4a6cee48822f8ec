"""Other people's clients behind one face: paho-mqtt, aiomqtt, mosquitto_pub and mosquitto_sub; MQTT 3.1.1 and 5."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WITHIN_S = 30.0
_numbers = itertools.count()


def own_name(prefix: str = "interop") -> str:
    """A client id or topic that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@dataclass(frozen=True)
class Message:
    """A message as a client got it. `expiry_s` and what follows are MQTT 5's."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    content_type: str = ""
    response_topic: str = ""
    correlation: bytes = b""
    user: tuple[tuple[str, str], ...] = ()
    expiry_s: int | None = None


@dataclass(frozen=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool = False


@dataclass(frozen=True)
class Asked:
    """How a subscriber connects. `keep`: its session stays when it leaves."""

    filters: tuple[str, ...]
    qos: int
    name: str = field(default_factory=own_name)
    keep: bool = False
    will: Will | None = None


class Subscriber(Protocol):
    async def take(self, count: int) -> list[Message]: ...

    def die(self) -> None:
        """Gone without a farewell."""


class Kind(Protocol):
    """One make of client."""

    def subscriber(
        self, port: int, version: str, asked: Asked
    ) -> contextlib.AbstractAsyncContextManager[Subscriber]: ...

    async def publish(self, port: int, version: str, messages: list[Message]) -> None:
        """Publish in order, each confirmed as its QoS says."""


# -- paho-mqtt: threads and callbacks -------------------------------------------------------------------------------


def _paho_properties(message: Message) -> Properties:
    made = Properties(PacketTypes.PUBLISH)
    for name, value in (
        ("ContentType", message.content_type),
        ("ResponseTopic", message.response_topic),
        ("CorrelationData", message.correlation),
        ("UserProperty", list(message.user)),
        ("MessageExpiryInterval", message.expiry_s),
    ):
        if value:
            setattr(made, name, value)
    return made


def _from_paho(topic: str, payload: bytes, qos: int, retain: bool, came: Properties | None) -> Message:
    def known(name: str, otherwise: Any) -> Any:
        return getattr(came, name, otherwise) if came is not None else otherwise

    return Message(
        *(topic, bytes(payload), qos, bool(retain), known("ContentType", ""), known("ResponseTopic", "")),
        *(known("CorrelationData", b""), tuple(known("UserProperty", ())), known("MessageExpiryInterval", None)),
    )


class PahoSubscriber:
    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._came: asyncio.Queue[paho.MQTTMessage] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        client.on_message = lambda _client, _data, message: loop.call_soon_threadsafe(self._came.put_nowait, message)

    async def take(self, count: int) -> list[Message]:
        async with asyncio.timeout(WITHIN_S):
            got = [await self._came.get() for _ in range(count)]
        return [_from_paho(one.topic, one.payload, one.qos, one.retain, one.properties) for one in got]

    def die(self) -> None:
        # Or it would come back by itself.
        self._client.loop_stop()
        taken = self._client.socket()
        assert taken is not None
        taken.shutdown(socket.SHUT_RDWR)
        taken.close()


class Paho:
    def _client(self, version: str, name: str, keep: bool) -> tuple[paho.Client, dict[str, Any]]:
        if version == "5":
            made = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if keep else 0
            return made, {"clean_start": not keep, "properties": properties}
        return paho.Client(paho.CallbackAPIVersion.VERSION2, name, clean_session=not keep), {}

    @contextlib.asynccontextmanager
    async def subscriber(self, port: int, version: str, asked: Asked) -> AsyncIterator[Subscriber]:
        client, how = self._client(version, asked.name, asked.keep)
        subscriber = PahoSubscriber(client)
        told: queue.Queue[object] = queue.Queue()
        client.on_connect = lambda *_: told.put("connected")
        client.on_subscribe = lambda *_: told.put("subscribed")
        if asked.will:
            client.will_set(asked.will.topic, asked.will.payload, asked.will.qos, asked.will.retain)
        await asyncio.to_thread(client.connect, "127.0.0.1", port, **how)
        client.loop_start()
        await asyncio.to_thread(told.get, True, WITHIN_S)
        if asked.filters:
            client.subscribe([(each, asked.qos) for each in asked.filters])
            await asyncio.to_thread(told.get, True, WITHIN_S)
        try:
            yield subscriber
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    async def publish(self, port: int, version: str, messages: list[Message]) -> None:
        client, how = self._client(version, own_name("paho"), False)
        await asyncio.to_thread(client.connect, "127.0.0.1", port, **how)
        client.loop_start()
        try:
            for one in messages:
                properties = _paho_properties(one) if version == "5" else None
                sent = client.publish(one.topic, one.payload, one.qos, one.retain, properties)
                await asyncio.to_thread(sent.wait_for_publish, WITHIN_S)
                assert sent.is_published()
        finally:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)


# -- aiomqtt --------------------------------------------------------------------------------------------------------


class AiomqttSubscriber:
    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def take(self, count: int) -> list[Message]:
        got: list[Message] = []
        async with asyncio.timeout(WITHIN_S):
            while len(got) < count:
                one = await anext(self._client.messages)
                assert isinstance(one.payload, bytes)
                got.append(_from_paho(str(one.topic), one.payload, one.qos, one.retain, one.properties))
        return got

    def die(self) -> None:
        taken = self._client._client.socket()
        assert taken is not None
        taken.shutdown(socket.SHUT_RDWR)


class Aiomqtt:
    def _client(self, port: int, version: str, name: str, keep: bool, will: Will | None = None) -> aiomqtt.Client:
        how: dict[str, Any] = {"clean_session": not keep}
        if version == "5":
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600 if keep else 0
            how = {"clean_start": not keep, "properties": properties, "protocol": aiomqtt.ProtocolVersion.V5}
        if will:
            how["will"] = aiomqtt.Will(will.topic, will.payload, will.qos, will.retain)
        return aiomqtt.Client("127.0.0.1", port, identifier=name, timeout=WITHIN_S, **how)

    @contextlib.asynccontextmanager
    async def subscriber(self, port: int, version: str, asked: Asked) -> AsyncIterator[Subscriber]:
        with contextlib.suppress(aiomqtt.MqttError):  # one that died says so when it is left
            async with self._client(port, version, asked.name, asked.keep, asked.will) as client:
                if asked.filters:
                    await client.subscribe([(each, asked.qos) for each in asked.filters])
                yield AiomqttSubscriber(client)

    async def publish(self, port: int, version: str, messages: list[Message]) -> None:
        async with self._client(port, version, own_name("aiomqtt"), False) as client:
            for one in messages:
                properties = _paho_properties(one) if version == "5" else None
                await client.publish(one.topic, one.payload, one.qos, one.retain, properties)


# -- mosquitto_sub and mosquitto_pub --------------------------------------------------------------------------------

_FORMAT_3 = "GOT|%q|%r|%t|%x|||||"
_FORMAT_5 = "GOT|%q|%r|%t|%x|%C|%R|%D|%P|%E"


class MosquittoSubscriber:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._came: asyncio.Queue[Message] = asyncio.Queue()
        self.subscribed = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode().rstrip("\n")
            if text.startswith("Subscribed"):
                self.subscribed.set()
            if not text.startswith("GOT|"):
                continue
            _, qos, retain, topic, payload, content, response, correlation, user, expiry = text.split("|")
            pairs = tuple((name, value) for name, _, value in (each.partition(":") for each in user.split()))
            self._came.put_nowait(
                Message(
                    *(topic, bytes.fromhex(payload), int(qos), retain == "1", content, response),
                    *(correlation.encode(), pairs, int(expiry) if expiry else None),
                )
            )

    async def take(self, count: int) -> list[Message]:
        async with asyncio.timeout(WITHIN_S):
            return [await self._came.get() for _ in range(count)]

    def die(self) -> None:
        self._process.kill()

    async def leave(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        await self._process.wait()
        await self.reading


class MosquittoClients:
    def __init__(self) -> None:
        if not shutil.which("mosquitto_sub"):
            pytest.skip("mosquitto_sub is not installed (Debian: apt install mosquitto-clients)")

    @contextlib.asynccontextmanager
    async def subscriber(self, port: int, version: str, asked: Asked) -> AsyncIterator[Subscriber]:
        command = [
            *("stdbuf", "-oL", "mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", str(port), "-i", asked.name),
            *("-V", "mqttv5" if version == "5" else "mqttv311", "-q", str(asked.qos)),
            *("-F", _FORMAT_5 if version == "5" else _FORMAT_3),
        ]
        # It must subscribe to something.
        for each in asked.filters or (own_name("nothing"),):
            command += ["-t", each]
        if asked.keep:
            command += ["-c", *(("-x", "600") if version == "5" else ())]
        if will := asked.will:
            command += [
                "--will-topic",
                will.topic,
                "--will-payload",
                will.payload.decode(),
                "--will-qos",
                str(will.qos),
            ]
            command += ["--will-retain"] if will.retain else []
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        subscriber = MosquittoSubscriber(process)
        try:
            async with asyncio.timeout(WITHIN_S):
                await subscriber.subscribed.wait()
            yield subscriber
        finally:
            await subscriber.leave()

    async def publish(self, port: int, version: str, messages: list[Message]) -> None:
        for one in messages:
            command = [
                *("mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-i", own_name("mosquitto")),
                *("-V", "mqttv5" if version == "5" else "mqttv311", "-q", str(one.qos), "-t", one.topic),
                *(("-m", one.payload.decode()) if one.payload else ("-n",)),
                *(("-r",) if one.retain else ()),
            ]
            if version == "5":
                for name, value in (
                    ("content-type", one.content_type),
                    ("response-topic", one.response_topic),
                    ("correlation-data", one.correlation.decode()),
                    ("message-expiry-interval", str(one.expiry_s or "")),
                ):
                    command += ["-D", "publish", name, value] if value else []
                for pair in one.user:
                    command += ["-D", "publish", "user-property", *pair]
            process = await asyncio.create_subprocess_exec(*command)
            async with asyncio.timeout(WITHIN_S):
                assert await process.wait() == 0


KINDS: dict[str, type[Kind]] = {"paho": Paho, "aiomqtt": Aiomqtt, "mosquitto": MosquittoClients}
VERSIONS = ("3.1.1", "5")
