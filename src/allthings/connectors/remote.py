"""A connection to another broker: aiomqtt, with acknowledgements in our hands and many messages under way at once."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from typing import Any, Final, Self

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from allthings.connectors import settings
from allthings.connectors.way import client_id
from allthings.mqtt.properties import NO_PROPERTIES, Carrier, Properties, encode
from allthings.registry.bridges import Bridge, TopicMap

_QUIET: Final = logging.getLogger("allthings.connectors.quiet")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
#: PUBACK reason codes from here on are refusals (MQTT 5 section 3.4.2.1); this one is for now only.
_REFUSED: Final = 0x80
_QUOTA_EXCEEDED: Final = 0x97
#: Our names of a PUBLISH packet's properties, and paho's.
_NAMES: Final = {
    "payload_format_indicator": "PayloadFormatIndicator",
    "message_expiry_interval": "MessageExpiryInterval",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
}


class Remote(aiomqtt.Client):
    """One connection, from `async with` on. Its session at the broker is persistent, unless `fresh` ends it.

    Nothing that arrives is acknowledged before `acknowledge`; what is sent is confirmed by the broker when `settled`
    returns. All calls raise aiomqtt.MqttError once the connection is lost.
    """

    def __init__(self, bridge: Bridge, tls: ssl.SSLContext | None, fresh: bool = False) -> None:
        self.v5 = bridge.version == "5"
        self.session_present = False
        self._offers_none = tls is not None and not bridge.certificate
        self.refused = 0
        self._window = settings.IN_FLIGHT_MAX
        self._packet_bytes_max = settings.PACKET_BYTES_MAX
        self._qos_max = 2
        self._retain_available = True
        self._open: set[int] = set()
        self._early: set[int] = set()
        self._publishing = False
        self._arrived: list[paho.MQTTMessage] = []
        self._changed = asyncio.Event()
        self._busy = False
        self._last = NO_PROPERTIES, _Encoded(NO_PROPERTIES)
        more: dict[str, Any] = {"clean_session": fresh}
        if self.v5:
            properties = PahoProperties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0 if fresh else settings.SESSION_EXPIRY_S
            properties.ReceiveMaximum = settings.IN_FLIGHT_MAX
            properties.MaximumPacketSize = settings.PACKET_BYTES_MAX
            more = {"clean_start": fresh, "properties": properties}
        super().__init__(
            bridge.host,
            bridge.port,
            username=bridge.user or None,
            password=bridge.password.reveal() or None,
            identifier=client_id(bridge.id),
            protocol=aiomqtt.ProtocolVersion.V5 if self.v5 else aiomqtt.ProtocolVersion.V311,
            timeout=settings.CONNECT_WITHIN_S,
            keepalive=settings.KEEPALIVE_S,
            # The window is kept here, where the broker's own wish is known: paho shall hold nothing back.
            max_inflight_messages=65_535,
            tls_context=tls,
            logger=_QUIET,
            **more,
        )
        self._told_of_end, self._client.on_disconnect = self._client.on_disconnect, self._ended
        self._client.manual_ack_set(True)
        self._client.connect_timeout = settings.TCP_WITHIN_S

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._disconnected.add_done_callback(self._lost)
        return self

    def _ended(self, *told: Any) -> None:
        """aiomqtt waits for an answer to CONNECT until its time is over, also when there is no connection any more."""
        if not self._connected.done():
            # A broker that misses a certificate says so behind the handshake of TLS 1.3, which paho does not tell.
            missing = ", and may want a certificate" if self._offers_none else ""
            why = f"it closed the connection before it answered CONNECT{missing}"
            self._connected.set_exception(aiomqtt.MqttError(why))
            self._connected.exception()  # looked at, should nobody wait any more
        elif self._told_of_end is not None:
            self._told_of_end(*told)

    def _lost(self, disconnected: asyncio.Future[None]) -> None:
        if not disconnected.cancelled():
            disconnected.exception()  # looked at, so that asyncio does not complain of it
        self._changed.set()

    # Subscribing and receiving

    async def subscribe_maps(self, maps: Iterable[TopicMap]) -> None:
        """Subscribe to what the maps name. Raises aiomqtt.MqttError when the broker refuses one of them.

        Retained messages come with the first subscription only (MQTT 5), not again with each connection.
        """
        wanted = list(maps)
        if self.v5:
            options = [
                SubscribeOptions(each.qos, noLocal=True, retainAsPublished=True, retainHandling=1) for each in wanted
            ]
            codes = await self.subscribe([(each.filter, option) for each, option in zip(wanted, options, strict=True)])
        else:
            codes = await self.subscribe([(each.filter, each.qos) for each in wanted])
        values = [code.value if isinstance(code, ReasonCode) else code for code in codes]
        for each, value in zip(wanted, values, strict=True):
            if value >= _REFUSED:
                raise aiomqtt.MqttError(f"it refuses the subscription to {each.filter} (0x{value:02x})")

    async def take(self, count_max: int, bytes_max: int) -> list[paho.MQTTMessage]:
        """What has arrived, in order, waiting for the first one; at most so many messages and about so many bytes."""
        while not self._arrived:
            await self._wait()
        size = count = 0
        for message in self._arrived[:count_max]:
            size += len(message.payload)
            if count and size > bytes_max:
                break
            count += 1
        taken, self._arrived = self._arrived[:count], self._arrived[count:]
        return taken

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """Tell the broker that it may forget a message."""
        if message.qos:
            self._client.ack(message.mid, message.qos)

    # Sending

    async def room(self) -> None:
        """Wait until one more message may be on its way."""
        while len(self._open) >= self._window:
            await self._wait()
        self._check()

    def send(self, topic: str, payload: bytes, qos: int, retain: bool, properties: Properties) -> bool:
        """Put a message on its way; False when it is larger than the broker takes."""
        size = len(topic) + len(payload) + sum(map(len, map(str, properties.user_property)))
        if size + settings.PACKET_OVERHEAD_BYTES > self._packet_bytes_max:
            return False
        self._publishing = True
        try:
            info = self._client.publish(
                topic,
                payload,
                min(qos, self._qos_max),
                retain and self._retain_available,
                self._translated(properties) if self.v5 else None,
            )
        finally:
            self._publishing = False
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "the connection does not take a message")
        if info.mid not in self._early:
            self._open.add(info.mid)
        self._early.clear()
        return True

    def _translated(self, properties: Properties) -> PahoProperties:
        """As paho sends them. Most messages share one object: it is encoded once."""
        if properties is not self._last[0]:
            self._last = properties, _Encoded(properties)
        return self._last[1]

    async def settled(self) -> None:
        """Wait until the broker has confirmed all that was sent."""
        while self._open:
            await self._wait()

    async def _wait(self) -> None:
        """Until something has changed."""
        self._check()
        self._changed.clear()
        await self._changed.wait()
        self._check()

    def _check(self) -> None:
        if self._disconnected.done():
            raise aiomqtt.MqttError("the connection is lost") from self._disconnected.exception()
        if self._busy:
            raise aiomqtt.MqttError("it says that our quota is used up (0x97)")

    # What paho calls

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: Any,
        properties: PahoProperties | None = None,
    ) -> None:
        self.session_present = flags.session_present
        if properties is not None:
            self._window = min(self._window, getattr(properties, "ReceiveMaximum", self._window))
            self._packet_bytes_max = getattr(properties, "MaximumPacketSize", self._packet_bytes_max)
            self._qos_max = getattr(properties, "MaximumQoS", self._qos_max)
            self._retain_available = bool(getattr(properties, "RetainAvailable", True))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._arrived.append(message)
        self._changed.set()

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: Any, properties: PahoProperties
    ) -> None:
        code = reason_code.value
        if code == _QUOTA_EXCEEDED:
            self._busy = True
        elif code >= _REFUSED:
            self.refused += 1
        if self._publishing:  # QoS 0, written at once: before its identifier is known
            self._early.add(mid)
        self._open.discard(mid)
        self._changed.set()


class _Encoded(PahoProperties):
    """Properties in the bytes of our codec. paho's own take longer to make and to pack than all else of a message."""

    encoded: bytes

    def __init__(self, properties: Properties) -> None:
        # Not paho's: it builds tables of all properties for each object.
        object.__setattr__(self, "encoded", encode(properties, Carrier.PUBLISH))

    def pack(self) -> bytes:
        return self.encoded


def properties_of(message: paho.MQTTMessage) -> Properties:
    """The properties that a message came with and that stay with it."""
    came = message.properties
    if came is None:
        return Properties()
    known: dict[str, Any] = {ours: getattr(came, theirs, None) for ours, theirs in _NAMES.items()}
    return Properties(user_property=tuple(getattr(came, "UserProperty", ())), **known)
