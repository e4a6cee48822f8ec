"""One client's connection: bytes in, packets to the broker, bytes out.

The loop over a receive buffer hands runs of plain PUBLISH packets to the broker as they stand; everything else goes
through the codec. Whatever the codec refuses is answered with the reason code that the standard names, then the
connection is closed (MQTT 5 section 4.13).

It is one file, though long: the state of a connection is in the slots of one object, which the hot path reads without
a call in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from allthings.gateway import plain, settings
from allthings.gateway.access import NOBODY, Principal
from allthings.gateway.aliases import ALIAS_BYTES, GivenAliases, TakenAliases
from allthings.gateway.certificates import NO_CERTIFICATE
from allthings.gateway.lane import NO_SHARE, Place, Share
from allthings.gateway.messages import Message, wire_properties
from allthings.gateway.sockets import SocketTransport
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import MalformedPacketError, MqttError, ProtocolError, UnsupportedVersionError
from allthings.mqtt.packets import (
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
)
from allthings.mqtt.packets.connect import asked_version, decode_connect
from allthings.mqtt.packets.publish import encode_publish
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.reasons import ReasonCode, connack_return_code
from allthings.mqtt.scanner import Frame, Run, frame, scan
from allthings.mqtt.versions import V3, V3_1, V5, Sender, Version

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.quota import ConnectionQuota
    from allthings.gateway.session import Session


#: The first byte of CONNECT, and that of PUBLISH without its flags.
_CONNECT: Final = 0x10
_PUBLISH: Final = 0x30
#: CONNACK in MQTT 3.1.1, without and with a session that was there.
_ACCEPTED: Final = tuple(encode(Connack(session_present=present), V3) for present in (False, True))


@lru_cache(maxsize=256)
def _connack(session_present: bool, answer: Properties) -> bytes:
    """CONNACK in MQTT 5 for who comes in: of thousands that come at once most are told the same."""
    return encode(Connack(session_present, ReasonCode.SUCCESS, answer), V5)


class Connection(asyncio.Protocol):
    """From accept to close. `client` is "" until CONNECT was accepted."""

    __slots__ = (
        *("_add_one", "_aliases_taken", "_arrived", "_broker", "_chunks", "_needed", "_out"),
        *("_packet_bytes_max", "_parked", "_peer", "_place", "_plains", "_problem_information", "_state", "_time"),
        *("_transport", "_unacknowledged", "_unread", "_waits", "_write", "_write_paused", "aliases", "certificate"),
        *("client", "dropped", "heard", "keepalive_s", "outgoing_bytes_max", "principal", "quota", "received"),
        *("sent", "session", "since_ns", "slot", "topics", "v5", "version"),
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._time = broker.time
        self._add_one = broker.add_one
        self._transport: Any = None
        self._write: Callable[[bytes], None]
        self._chunks: list[bytes] | None = None
        self._arrived = 0
        self._needed = 0
        self._packet_bytes_max = settings.CONNECT_BYTES_MAX
        #: By topic, as it stands in the packet with its length.
        self._plains: dict[bytes, plain.Plain] | None = None
        #: In the lane of many sockets, once a message has shown what the next ones look like.
        self._place: Place | None = None
        self._state = "new"
        #: Whether what comes behind CONNECT is left in the socket for now.
        self._waits = False
        self._write_paused = False
        self._unread = False
        #: PUBLISH packets that wait for room on the disk.
        self._parked = b""
        self._problem_information = True
        self.version: Version = V3
        self.v5 = False
        self.client = ""
        self._peer: tuple[Any, ...] | None = None
        self.certificate = NO_CERTIFICATE
        self.principal: Principal = NOBODY
        self.session: Session | None = None
        self.keepalive_s = 0
        self.quota: ConnectionQuota | None = None
        self.heard = 0.0
        #: When it is looked at next (gateway.vigil).
        self.slot = 0
        self.topics: dict[bytes, str] = {}
        #: The largest packet that the client takes.
        self.outgoing_bytes_max = 2**32
        #: For topics that are sent to it, if it takes any.
        self.aliases: GivenAliases | None = None
        self._aliases_taken: TakenAliases | None = None
        self._out: list[bytes] | None = None
        self._unacknowledged = 0
        self.dropped = 0
        self.received = 0
        #: Messages of QoS 0; those of QoS 1 and 2 are counted by the session.
        self.sent = 0
        #: When CONNECT was accepted (Unix time in ns).
        self.since_ns = 0

    @property
    def _share(self) -> Share:
        """What the lane has counted."""
        return NO_SHARE if self._place is None else self._place.share

    @property
    def messages_received(self) -> int:
        """PUBLISH packets that were taken."""
        return self.received + self._share.received

    @property
    def last_heard(self) -> float:
        """When it was heard last, by the event loop's clock."""
        return max(self.heard, self._share.heard_s)

    # The socket

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._write = transport.write
        self._peer = transport.get_extra_info("peername")
        self.certificate = transport.get_extra_info("certificate") or NO_CERTIFICATE
        self.heard = self._time()
        if not self._broker.opened(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = "closed"
        self._leave_lane()
        self._plains = None
        self._broker.closed(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._unread and self._state == "up":
            self._unread = False
            self.hold_reading(self._broker.holding)
        if self.session is not None and self.session.connection is self:
            self.session.pump()

    @property
    def address(self) -> str:
        """Where the client is: host and port, or `local`."""
        return f"{self._peer[0]}:{self._peer[1]}" if self._peer else "local"

    @property
    def congested(self) -> bool:
        """Whether the client does not read what it has been sent already."""
        return self._write_paused

    def hold_reading(self, held: bool) -> None:
        """Let the device wait (TCP's flow control), or go on."""
        if self._state != "up" or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        time, plains = self._time, self._plains
        self.heard = time()
        size = len(data)
        if (
            plains
            and 4 < size < 0x82
            and data[1] == size - 2
            and (like := plains.get(data[2 : 4 + data[3]]))
            and not self._chunks
            and not self._write_paused
            and self.quota is None
        ):
            # One whole PUBLISH like one before it: what a device that waits for each PUBACK sends, and who speaks for
            # many things.
            first, identifier_at, at, qos, run = like
            if at <= size and data[0] == first and not (self.v5 and data[at - 1]):
                add_one = self._add_one
                if not qos:
                    self.received += 1
                    add_one(run, data[at:], self, b"", size)
                    return
                identifier = data[identifier_at : identifier_at + 2]
                if identifier != b"\0\0" and self._unacknowledged < settings.RECEIVE_MAXIMUM:
                    self._unacknowledged += 1
                    self.received += 1
                    add_one(run, data[at:], self, b"\x40\x02" + identifier, size)
                    return
        self._received(data)

    def _received(self, data: bytes) -> None:
        if self._write_paused and self._transport.get_write_buffer_size() > settings.UNREAD_BYTES_MAX:
            # Not even our answers are read: no more questions.
            self._unread = True
            self.hold_reading(True)
        if self.quota is not None and self.quota.takes(data):
            return
        if self._chunks or self._state == "checking":
            if self._chunks is None:
                self._chunks = []
            self._chunks.append(data)
            self._arrived += len(data)
            if self._arrived < self._needed or self._state == "checking":
                return
            data, self._chunks = b"".join(self._chunks), None
        try:
            self._take(data)
        except UnsupportedVersionError as error:
            self.version, self.v5 = error.answer_version, error.answer_version == V5
            # Whether that version knows reason strings is not known.
            self._problem_information = False
            self.refuse(error.reason, str(error))
        except MqttError as error:
            self.refuse(error.reason, str(error))

    def _take(self, data: bytes) -> None:
        position, available = 0, len(data)
        if self._state == "new":
            position = self._take_connect(data)
        runs: list[Run] = []
        while position < available and self._state == "up":
            if self._plains:
                position = self._take_plain(self._plains, data, position)
                if position == available:
                    return
            begin = position
            position = scan(data, position, self.v5, runs)
            if runs:
                if not self._broker.withholding:
                    self._take_runs(runs)
                elif not self._parks(data, begin, position, min(run.first >> 1 & 3 for run in runs)):
                    return
                runs = []
                continue
            head = self._framed(data, position)
            if head is None:
                return
            if self._broker.withholding and head.first & 0xF0 == _PUBLISH:
                if not self._parks(data, position, head.end, head.first >> 1 & 3):
                    return
                position = head.end
                continue
            packet = decode(head.first, data[head.start : head.end], self.version, Sender.CLIENT)
            position = head.end
            self._handle(packet)
        if position < available and self._state == "checking":
            self._keep(data, position, 0)

    def _take_connect(self, data: bytes) -> int:
        """CONNECT comes first. Where it ends; the end of `data` if it is not whole yet, or another gateway's."""
        if data[0] != _CONNECT:
            # Not after all of it: what is no MQTT at all may never send that.
            raise ProtocolError("the first packet must be CONNECT", "MQTT-3.1.0-1")
        size = len(data)
        if 1 < size < 0x82 and data[1] == size - 2:
            # All of it and nothing else, as from most devices.
            start, end = 2, size
            self.version = asked_version(data, start)
            self.v5 = self.version == V5
        else:
            head = self._framed(data, 0)
            if head is None:
                return size
            start, end = head.start, head.end
        packet = decode_connect(0, data[start:end], self.version)
        broker = self._broker
        if broker.handover is not None and broker.given_away(self, packet.client_id, data):
            return size
        self._connect(packet)
        return end

    def _framed(self, data: bytes, position: int) -> Frame | None:
        """The packet that begins there; None if it has not arrived whole, which is kept until it has."""
        head = frame(data, position)
        if head is None:
            self._keep(data, position, position + 2)
            return None
        if self._state == "new":
            # How to answer if it is wrong.
            self.version = asked_version(data, head.start)
            self.v5 = self.version == V5
        if head.end < 0:
            raise MalformedPacketError("the remaining length takes more than four bytes", "MQTT-1.5.5")
        if head.end - position > self._packet_bytes_max:
            raise ProtocolError(
                f"a packet of {head.end - position} bytes; at most {self._packet_bytes_max} are accepted",
                "MQTT 5 section 3.2.2.3.6",
                ReasonCode.PACKET_TOO_LARGE,
            )
        if head.end > len(data):
            self._keep(data, position, head.end)
            return None
        return head

    def _keep(self, data: bytes, position: int, end: int) -> None:
        self.read_alone()
        rest = data[position:]
        self._chunks = [rest]
        self._arrived = len(rest)
        self._needed = end - position

    def _take_plain(self, plains: dict[bytes, plain.Plain], data: bytes, position: int) -> int:
        """Messages of who speaks for many things (plain.take); where the first other thing begins."""
        runs, payloads, pubacks, end = plain.take(plains, data, position, v5=self.v5)
        if runs:
            self.received += len(runs)
            self.count_unacknowledged(len(pubacks) // 4)
            self._broker.collector.add_several(runs, payloads, self, pubacks, end - position)
        return end

    def _take_runs(self, runs: list[Run]) -> None:
        for run in runs:
            topic = self.topics.get(run.topic)
            if topic is None:
                examined = self._broker.examine(self, run)
                if examined is None:
                    if self._state != "up":
                        return
                    continue
                topic, run = examined
            self.received += len(run.payloads)
            if run.identifiers:
                self.count_unacknowledged(len(run.identifiers))
            flags = run.first >> 1 & 3 | (run.first & 1) << 2
            self._broker.collector.add_run(topic, run.payloads, flags, self, run.identifiers)
            if len(run.payloads) == 1 and run.topic in self.topics:
                self._remember(run, topic, alone=len(runs) == 1)

    def _remember(self, run: Run, topic: str, *, alone: bool) -> None:
        """What a message looked like. `alone`: nothing came with it, so the next one may do so too (gateway.lane)."""
        if self._plains is None or len(self._plains) >= settings.TOPICS_REMEMBERED:
            self._plains = {}
        key = plain.key(run.topic)
        this = self._plains[key] = plain.like(run, topic, self, v5=self.v5)
        if alone and len(self._plains) <= settings.LANE_TOPICS_MAX:
            self._join_lane(this, (bytes((run.first, 0)) + key).ljust(this.payload_at, b"\0"))

    # Packets

    def _handle(self, packet: Packet) -> None:
        session = self.session
        if session is None:
            return
        match packet:
            case Publish():
                self._broker.publish(self, session, packet)
            case Puback():
                session.acknowledged(packet.packet_id)
            case Pubrec():
                session.received(packet.packet_id, packet.reason_code)
            case Pubrel():
                session.released(packet.packet_id)
            case Pubcomp():
                session.completed(packet.packet_id)
            case Subscribe():
                self._broker.subscriptions.subscribe(self, session, packet)
            case Unsubscribe():
                self._broker.subscriptions.unsubscribe(self, session, packet)
            case Pingreq():
                self.send(Pingresp())
            case Disconnect():
                self._broker.left(self, packet)
                self.close()
            case Connect():
                raise ProtocolError("a second CONNECT on one connection", "MQTT-3.1.0-2")
            case Auth():
                raise ProtocolError("AUTH without an authentication method in CONNECT", "MQTT-4.12.0-6")
            case _:
                raise ProtocolError(
                    f"a client may not send {type(packet).__name__.upper()} here", "MQTT 5 section 2.1.2"
                )

    def _connect(self, packet: Connect) -> None:
        self._state = "checking"
        asked = packet.properties
        self._problem_information = asked.request_problem_information is not False
        self.outgoing_bytes_max = asked.maximum_packet_size or 2**32
        self._broker.entrance.ask(self, packet)
        if self._state == "checking":
            # Not decided at once: what comes behind CONNECT waits in the socket.
            self._waits = True
            self._transport.pause_reading()

    def accepted(self, packet: Connect, session: Session, answer: Properties, session_present: bool) -> None:
        """CONNECT was accepted: answer. It is not `up` if it takes no packet as large as the answer."""
        # MQTT 3.1 has no "session present" in CONNACK: that byte is reserved.
        connack = _ACCEPTED[session_present and packet.version != V3_1]
        if self.v5:
            connack = _connack(session_present, answer)
            if len(connack) > self.outgoing_bytes_max:
                self._refuse_large("CONNACK", len(connack))
                return
        self.session = session
        if packet.properties.topic_alias_maximum:
            self.aliases = GivenAliases(packet.properties.topic_alias_maximum)
        self._packet_bytes_max = settings.PACKET_BYTES_MAX
        self._state = "up"
        self.push(connack)

    def go_on(self) -> None:
        """Read on, with what came behind CONNECT first, if that had to wait."""
        if not self._waits:
            return
        self._waits = False
        self._transport.resume_reading()
        if self._chunks:
            rest, self._chunks = b"".join(self._chunks), None
            try:
                self._take(rest)
            except MqttError as error:
                self.refuse(error.reason, str(error))

    def _parks(self, data: bytes, begin: int, end: int, qos: int) -> bool:
        """Messages wait for room on the disk, and what is behind them is taken. False: that waits as well, in the
        socket, since messages of QoS 0 would not come again if the client left, or there are too many.
        """
        if qos and len(self._parked) + end - begin <= settings.PARKED_BYTES_MAX:
            self._parked += data[begin:end]
            return True
        self._keep(data, begin, 0)
        self._waits = True
        self._transport.pause_reading()
        return False

    def take_parked(self) -> None:
        """There is room again."""
        if self._state != "up":
            return
        parked, self._parked = self._parked, b""
        try:
            self._take(parked)
        except MqttError as error:
            self.refuse(error.reason, str(error))
        self.go_on()

    def count_unacknowledged(self, messages: int) -> None:
        """QoS 1 messages came. Raises ProtocolError when more wait for their PUBACK than was allowed (MQTT 5)."""
        self._unacknowledged += messages
        if self.v5 and self._unacknowledged + self._share.unacknowledged > settings.RECEIVE_MAXIMUM:
            raise ProtocolError(
                f"more than {settings.RECEIVE_MAXIMUM} messages of QoS 1 that are not acknowledged",
                "MQTT 5 section 3.3.4",
                ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
            )

    def resolve_alias(self, packet: Publish) -> Publish:
        """The packet with its topic, also if only an alias stands for it (MQTT 5 section 3.3.2.3.4)."""
        if packet.properties.topic_alias is None:
            return packet
        if self._aliases_taken is None:
            self._aliases_taken = TakenAliases()
        return self._aliases_taken.resolve(packet)

    # Answers

    def acknowledge(self, pubacks: bytes) -> None:
        """PUBACK for messages that are on disk (gathering.Publisher)."""
        self._unacknowledged -= len(pubacks) // 4
        if self._state != "up":
            return
        if self._out:
            self._out.append(pubacks)
        else:
            write = self._write
            write(pubacks)

    def send(self, packet: Packet) -> None:
        """Answer. An answer that is larger than the client takes ends the connection instead [MQTT-3.1.2-24]."""
        data = encode(packet, self.version)
        if len(data) <= self.outgoing_bytes_max:
            self.push(data)
        else:
            self._refuse_large(type(packet).__name__.upper(), len(data))

    def _refuse_large(self, name: str, size: int) -> None:
        why = f"a {name} of {size} bytes; the client takes packets of at most {self.outgoing_bytes_max}"
        self.refuse(ReasonCode.PACKET_TOO_LARGE, why)

    def push(self, data: bytes) -> None:
        """Write it at the end of this turn of the loop, together with what else there is."""
        if not data or self._state == "closed":
            return
        if self._out:
            self._out.append(data)
        else:
            self._out = [data]
            self._broker.pushed(self)

    def flush(self) -> None:
        """Write now what was pushed."""
        if self._out:
            out, self._out = self._out, None
            if self._state != "closed":
                self._transport.write(b"".join(out) if len(out) > 1 else out[0])

    def deliver_once(self, packets: list[bytes]) -> None:
        """QoS 0: dropped, and counted, while the subscriber does not read."""
        if self._write_paused or self._state != "up":
            self.dropped += len(packets)
            return
        data = b"".join(packets) if len(packets) > 1 else packets[0]
        if len(data) > self.outgoing_bytes_max:
            fitting = [packet for packet in packets if len(packet) <= self.outgoing_bytes_max]
            self.dropped += len(packets) - len(fitting)
            data, packets = b"".join(fitting), fitting
        self.sent += len(packets)
        self.push(data)

    def deliver_aliased(self, messages: list[Message], retain: bool, identifiers: tuple[int, ...], now_ns: int) -> None:
        """QoS 0 to a client that offers topic aliases."""
        if self._write_paused or self._state != "up":
            # Before an alias is given: the client would not learn it.
            self.dropped += len(messages)
            return
        packets = []
        for message in messages:
            properties = wire_properties(message, identifiers, now_ns)
            packets.append(self.encode(message, 0, retain, False, 0, properties))
        too_large = packets.count(b"")
        self.dropped += too_large
        self.sent += len(packets) - too_large
        self.push(b"".join(packets))

    def encode(self, message: Message, qos: int, retain: bool, dup: bool, packet_id: int, properties: bytes) -> bytes:
        """A PUBLISH as this client takes it; nothing if it is larger than that (MQTT 5 section 3.1.2.11.4)."""
        topic, payload, version = message.topic, message.payload, self.version
        data = encode_publish(topic, payload, qos, retain, dup, packet_id, properties, version)
        if len(data) > self.outgoing_bytes_max:
            return b""
        if self.aliases is None:
            return data
        topic, alias = self.aliases.of(topic, room=len(data) + ALIAS_BYTES <= self.outgoing_bytes_max)
        if not alias:
            return data
        aliased = encode_publish(topic, payload, qos, retain, dup, packet_id, properties + alias, version)
        # An alias for a topic of one letter is longer than the topic.
        return aliased if len(aliased) <= self.outgoing_bytes_max else data

    def explained(self, why: str) -> Properties:
        """A reason string, unless the client wants none [MQTT-3.1.2-29] or takes only small packets [MQTT-3.4.2-2]."""
        if not self._problem_information or self.outgoing_bytes_max < settings.EXPLAINED_BYTES:
            return NO_PROPERTIES
        return Properties(reason_string=why[:1024])

    def refuse(self, reason: ReasonCode, why: str) -> None:
        """Say why as the version allows, then close."""
        if self.closing:
            return
        packet: Packet | None = None
        if self.v5:
            answer = Disconnect if self._state == "up" else Connack
            packet = answer(reason_code=reason, properties=self.explained(why))
        elif self._state != "up" and connack_return_code(reason) is not None:
            packet = Connack(reason_code=reason)
        if packet is not None and len(data := encode(packet, self.version)) <= self.outgoing_bytes_max:
            self.push(data)
        self._broker.refused(self, reason, why)
        self.close(gently=True)

    def close(self, *, gently: bool = False) -> None:
        """Write what waits, then close. `gently`: let the client read it although it is still sending."""
        if self._state not in ("closed", "closing"):
            self.flush()
            self._state = "closing"
            self._leave_lane()
            self._plains = None
            if gently:
                self._transport.close_gently()
            else:
                self._transport.close()

    def forget_verdicts(self) -> None:
        """The rules have changed: ask again for each topic."""
        self.topics.clear()
        self._plains = None
        self.read_alone()

    def read_alone(self) -> None:
        """Its bytes are looked at here again, and not by the lane."""
        if self._place is not None:
            self._place.pause()

    def _join_lane(self, this: plain.Plain, head: bytes) -> None:
        lane, transport = self._broker.lane, self._transport
        if lane is not None and self.quota is None and isinstance(transport, SocketTransport):
            descriptor, busy = transport.socket.fileno(), transport.get_write_buffer_size() > 0
            self._place = lane.join(descriptor, head, this.identifier_at if this.qos else 0, this.run, busy=busy)

    def _leave_lane(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None

    @property
    def certificate_name(self) -> str:
        """The thing that the client's certificate names, or ""."""
        return self.certificate.thing

    @property
    def transport(self) -> Any:
        return self._transport

    @property
    def up(self) -> bool:
        return self._state == "up"

    @property
    def unheard(self) -> bool:
        """Whether what it sends is left in the socket for now."""
        return self._waits

    @property
    def closing(self) -> bool:
        """Whether it is over, but for what the client may still read."""
        return self._state in ("closed", "closing")

    @property
    def checking(self) -> bool:
        """Whether CONNECT came and waits for its answer."""
        return self._state == "checking"

    def abort(self) -> None:
        """Close without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()
