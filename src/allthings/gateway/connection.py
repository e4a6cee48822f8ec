"""One client's connection: bytes in, packets to the broker, bytes out.

The loop over a receive buffer hands runs of plain PUBLISH packets to the broker as they stand; everything else goes
through the codec. Whatever the codec refuses is answered with the reason code that the standard names, then the
connection is closed (MQTT 5 section 4.13).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from allthings.gateway import collector, settings
from allthings.gateway.access import NOBODY, Principal
from allthings.gateway.outgoing import Outgoing
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import MalformedPacketError, MqttError, ProtocolError, UnsupportedVersionError
from allthings.mqtt.packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
)
from allthings.mqtt.packets.acknowledgements import encode_puback_run
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.reasons import ReasonCode, connack_return_code
from allthings.mqtt.scanner import Run, frame, scan
from allthings.mqtt.versions import V3, V5, Sender, Version

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker


class _Plain(NamedTuple):
    """Where the parts of a PUBLISH stand that is like the last one: same flags, same topic, short."""

    first: int
    topic_bytes: bytes
    identifier_at: int
    payload_at: int
    qos: int
    run: collector.Run


class Connection(asyncio.Protocol):
    """From accept to close. `client` is "" until CONNECT was accepted."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._time = asyncio.get_running_loop().time
        self._add_one = broker.collector.add_one
        self._transport: Any = None
        self._write: Callable[[bytes], None]
        self._chunks: list[bytes] = []
        self._arrived = 0
        self._needed = 0
        self._packet_bytes_max = settings.CONNECT_BYTES_MAX
        self._runs: list[Run] = []
        #: Only while nothing stands between the last byte and the next packet.
        self._plain: _Plain | None = None
        self._state = "new"
        self._write_paused = False
        self._problem_information = True
        self.version: Version = V3
        self.v5 = False
        self.client = ""
        self.address = ""
        self.certificate_name = ""
        self.principal: Principal = NOBODY
        self.will: Publish | None = None
        self.keepalive_s = 0
        self.heard = 0.0
        self.topics: dict[bytes, str] = {}
        self.filters: dict[str, int] = {}
        self.outgoing: Outgoing | None = None
        self.dropped = 0
        self.received = 0

    # The socket

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write
        peer = transport.get_extra_info("peername")
        self.address = f"{peer[0]}:{peer[1]}" if peer else "local"
        self.certificate_name = transport.get_extra_info("certificate_name") or ""
        self.heard = self._time()
        if not self._broker.opened(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = "closed"
        self._plain = None
        self._broker.closed(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False

    def hold_reading(self, held: bool) -> None:
        """Let the device wait (TCP's flow control), or go on."""
        if self._state != "up" or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.heard = self._time()
        plain = self._plain
        if (
            plain is not None
            and data[0] == plain.first
            and data.startswith(plain.topic_bytes, 2)
            and self._take_plain(data, plain)
        ):
            return
        if self._chunks or self._state == "checking":
            self._chunks.append(data)
            self._arrived += len(data)
            if self._arrived < self._needed or self._state == "checking":
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        try:
            self._take(data)
        except UnsupportedVersionError as error:
            self.version, self.v5 = error.answer_version, error.answer_version == V5
            self.refuse(error.reason, str(error))
        except MqttError as error:
            self.refuse(error.reason, str(error))

    def _take_plain(self, data: bytes, plain: _Plain) -> bool:
        """One whole PUBLISH like the one before it: what a device that waits for each PUBACK sends."""
        size = len(data)
        at = plain.payload_at
        if data[1] != size - 2 or not at <= size < 0x82 or (self.v5 and data[at - 1]):
            return False
        identifier = None
        if plain.qos:
            identifier = data[plain.identifier_at : plain.identifier_at + 2]
            if identifier == b"\0\0":
                return False
        self.received += 1
        self._add_one(plain.run, data[at:], identifier)
        return True

    def _take(self, data: bytes) -> None:
        position, available = 0, len(data)
        while position < available and self._state in ("up", "new"):
            if self._state == "up":
                position = scan(data, position, self.v5, self._runs)
                if self._runs:
                    self._take_runs()
                    continue
            head = frame(data, position)
            if head is None:
                self._keep(data, position, position + 2)
                return
            if head.end < 0:
                raise MalformedPacketError("the remaining length takes more than four bytes", "MQTT-1.5.5")
            if head.end - position > self._packet_bytes_max:
                raise ProtocolError(
                    f"a packet of {head.end - position} bytes; at most {self._packet_bytes_max} are accepted",
                    "MQTT 5 section 3.2.2.3.6",
                    ReasonCode.PACKET_TOO_LARGE,
                )
            if head.end > available:
                self._keep(data, position, head.end)
                return
            body = data[head.start : head.end]
            position = head.end
            self._handle(decode(head.first, body, self.version, Sender.CLIENT))
        if position < available and self._state == "checking":
            self._keep(data, position, 0)

    def _keep(self, data: bytes, position: int, end: int) -> None:
        self._plain = None
        rest = data[position:]
        self._chunks = [rest]
        self._arrived = len(rest)
        self._needed = end - position

    def _take_runs(self) -> None:
        runs, self._runs = self._runs, []
        for run in runs:
            topic = self.topics.get(run.topic)
            if topic is None:
                topic = self._broker.learn_topic(self, run.topic)
                if topic is None:
                    self._broker.refuse_publish(self, run)
                    if self._state != "up":
                        return
                    continue
            self.received += len(run.payloads)
            flags = run.first >> 1 & 3 | (run.first & 1) << 2
            self._broker.collector.add_run(topic, run.payloads, flags, self, run.identifiers)
        if len(runs) == 1 and len(run.payloads) == 1 and topic is not None:
            self._plain = self._like(run, topic, flags)

    def _like(self, run: Run, topic: str, flags: int) -> _Plain:
        topic_bytes = len(run.topic).to_bytes(2) + run.topic
        identifier_at = 2 + len(topic_bytes)
        payload_at = identifier_at + (2 if flags & 3 else 0) + (1 if self.v5 else 0)
        one = collector.Run(topic, self.client, flags, None, 1, self)
        return _Plain(run.first, topic_bytes, identifier_at, payload_at, flags & 3, one)

    # Packets

    def _handle(self, packet: Packet) -> None:
        if self._state == "new":
            if not isinstance(packet, Connect):
                raise ProtocolError("the first packet must be CONNECT", "MQTT-3.1.0-1")
            self._connect(packet)
            return
        match packet:
            case Publish():
                self._broker.publish(self, packet)
            case Puback():
                if self.outgoing is not None:
                    self.outgoing.acknowledged(packet.packet_id)
            case Subscribe():
                self._broker.subscribe(self, packet)
            case Unsubscribe():
                self._broker.unsubscribe(self, packet)
            case Pingreq():
                self.send(Pingresp())
            case Disconnect():
                if packet.reason_code == ReasonCode.NORMAL_DISCONNECTION:
                    self.will = None
                self.close()
            case Connect():
                raise ProtocolError("a second CONNECT on one connection", "MQTT-3.1.0-2")
            case _:
                raise ProtocolError(
                    f"a client may not send {type(packet).__name__.upper()} here", "MQTT 5 section 2.1.2"
                )

    def _connect(self, packet: Connect) -> None:
        self.version = packet.version
        self.v5 = packet.version == V5
        self._state = "checking"
        self._transport.pause_reading()
        self._broker.check(self, packet)

    def accepted(self, packet: Connect, client: str, answer: Properties, session_present: bool) -> None:
        """CONNECT was accepted: answer, and read on."""
        self.client = client
        asked = packet.properties
        self._problem_information = asked.request_problem_information is not False
        self.outgoing = Outgoing(
            self.version,
            asked.receive_maximum or 65535,
            asked.maximum_packet_size or 2**32,
            self.write,
            lambda why: self.refuse(ReasonCode.QUOTA_EXCEEDED, why),
        )
        self._packet_bytes_max = settings.PACKET_BYTES_MAX
        self._state = "up"
        self.send(Connack(session_present=session_present, reason_code=ReasonCode.SUCCESS, properties=answer))
        self._transport.resume_reading()
        if self._chunks:
            rest = b"".join(self._chunks)
            self._chunks.clear()
            try:
                self._take(rest)
            except MqttError as error:
                self.refuse(error.reason, str(error))

    # Answers

    def acknowledge(self, identifiers: list[bytes]) -> None:
        """PUBACK for messages that are on disk (collector.Publisher)."""
        if self._state == "up":
            self._write(encode_puback_run(identifiers))

    def send(self, packet: Packet) -> None:
        self.write(encode(packet, self.version))

    def write(self, data: bytes) -> None:
        if data and self._state != "closed":
            self._transport.write(data)

    def deliver_once(self, data: bytes, messages: int) -> None:
        """QoS 0: dropped, and counted, while the subscriber does not read."""
        if self._write_paused or self.outgoing is None:
            self.dropped += messages
            return
        self.outgoing.send_encoded(data, messages)

    def refuse(self, reason: ReasonCode, why: str) -> None:
        """Say why as the version allows, then close."""
        if self._state in ("closed", "closing"):
            return
        properties = Properties(reason_string=why[:1024]) if self._problem_information else NO_PROPERTIES
        if self._state == "up":
            if self.v5:
                self.send(Disconnect(reason_code=reason, properties=properties))
        elif self.v5 or connack_return_code(reason) is not None:
            self.send(
                Connack(session_present=False, reason_code=reason, properties=properties if self.v5 else NO_PROPERTIES)
            )
        self._broker.refused(self, reason, why)
        self.close()

    def close(self) -> None:
        if self._state not in ("closed", "closing"):
            self._state = "closing"
            self._plain = None
            self._transport.close()

    def forget_verdicts(self) -> None:
        """The rules have changed: ask again for each topic."""
        self.topics.clear()
        self._plain = None

    @property
    def up(self) -> bool:
        return self._state == "up"

    @property
    def checking(self) -> bool:
        """Whether CONNECT came and waits for its answer."""
        return self._state == "checking"

    def abort(self) -> None:
        """Close without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()
