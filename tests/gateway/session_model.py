"""What sessions promise, said as simply as possible: who must get what, how often; and clients that keep the rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import inf

from allthings.mqtt.filters import matches, split_share
from allthings.mqtt.packets import Packet
from tests.gateway.station import (
    NS_PER_S,
    Connack,
    Disconnect,
    Peer,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
)

FOREVER_S = 10**6


@dataclass
class Sub:
    qos: int
    no_local: bool = False
    as_published: bool = False
    identifier: int = 0


@dataclass(eq=False)
class Note:
    """A message that was published; `number` is its payload. `acknowledged`: somebody was promised something."""

    number: int
    topic: str
    qos: int
    publisher: str
    retain: bool = False
    expires_ns: int = 0
    acknowledged: bool = False
    #: A will is numbered when its client connects.
    will: bool = False


@dataclass
class Due:
    """How often one session gets one message."""

    least: int = 0
    #: QoS 1 may come any number of times.
    most: float = 0
    qos: int = 0
    #: The client has been there since it was published.
    met: bool = False


@dataclass(eq=False)
class Session:
    """From its beginning to its end; a client has one after the other."""

    client: str
    expiry_s: int
    subs: dict[str, Sub] = field(default_factory=dict)
    connected: bool = True
    #: The client left between these.
    left_from_ns: int = 0
    left_to_ns: int = 0
    will: Note | None = None
    will_delay_s: int = 0
    will_due_ns: int = 0
    dues: dict[int, Due] = field(default_factory=lambda: defaultdict(Due))
    got: Counter[int] = field(default_factory=Counter)
    #: First arrivals in order, by (topic, QoS).
    order: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))


@dataclass(eq=False)
class Shared:
    """A message for a shared subscription: one of its members gets it."""

    share: str
    note: Note
    members: list[Session]
    qos: int
    #: Members that have been there since it was published.
    met: list[Session]
    #: A member was lost with it, perhaps.
    broken: bool = False


class Model:
    """The sessions of all clients by the standard's text, without any of its machinery."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.notes: dict[int, Note] = {}
        self.retained: dict[str, Note] = {}
        self.shared: list[Shared] = []

    # What clients do

    def open(self, client: str, expiry_s: int, clean: bool, now_ns: int, present: bool) -> Session:
        """CONNECT, and what CONNACK said."""
        session = self.sessions.get(client)
        if session is not None and session.connected:
            self.leave(client, now_ns, said=clean)
            session = self.sessions.get(client)
        if session is not None and clean:
            self.end(session)
            session = None
        if session is not None and not present:
            assert session.left_to_ns + session.expiry_s * NS_PER_S <= now_ns or self._may_be_over(session, now_ns), (
                f"the session of {client} is lost"
            )
            self.end(session)
            session = None
        assert present == (session is not None), f"session present of {client}: {present}"
        if session is None:
            session = self.sessions[client] = Session(client, expiry_s)
        session.expiry_s, session.connected, session.will, session.will_due_ns = expiry_s, True, None, 0
        for due in session.dues.values():
            due.met = True
        for shared in self.shared:
            if session in shared.members:
                shared.met.append(session)
        return session

    def _may_be_over(self, session: Session, now_ns: int) -> bool:
        return session.left_from_ns + session.expiry_s * NS_PER_S <= now_ns

    def leave(self, client: str, now_ns: int, *, polite: bool = False, said: bool = False) -> None:
        """The connection is gone. `said`: the will, even if it waits."""
        session = self.sessions[client]
        session.connected = False
        session.left_from_ns = session.left_to_ns = now_ns
        will, delay_s = session.will, min(session.will_delay_s, session.expiry_s)
        session.will = None
        if will is not None and not polite:
            if delay_s and not said:
                session.will, session.will_due_ns = will, now_ns + delay_s * NS_PER_S
                will = None
        else:
            will = None
        if not session.expiry_s or said:
            self.end(session)
        if will is not None:
            self.route(will)

    def end(self, session: Session) -> None:
        """The session is over, with all that waits in it."""
        del self.sessions[session.client]
        for due in session.dues.values():
            due.least = 0
        for shared in self.shared:
            if session in shared.members:
                self._pass_on(shared, session)
        if session.will_due_ns and session.will is not None:
            self.route(session.will)

    def _pass_on(self, shared: Shared, gone: Session) -> None:
        """If it was this member's, another one gets it now; not if the one that is gone may have it and QoS is 2."""
        heirs = [each for each in self.sessions.values() if shared.share in each.subs]
        heirs = [each for each in heirs if each.connected] or [each for each in heirs if each.expiry_s]
        shared.members += [each for each in heirs if each not in shared.members]
        shared.broken |= not heirs or (shared.qos == 2 and gone in shared.met)

    def forward(self, now_ns: int) -> None:
        """Time has passed."""
        said = []
        for session in tuple(self.sessions.values()):
            if session.connected:
                continue
            if session.will_due_ns and session.will_due_ns <= now_ns and session.will is not None:
                said.append(session.will)
                session.will, session.will_due_ns = None, 0
            if session.left_to_ns + session.expiry_s * NS_PER_S <= now_ns:
                self.end(session)
        for session in self.sessions.values():
            for number, due in session.dues.items():
                note = self.notes[number]
                if note.expires_ns and note.expires_ns <= now_ns and not session.got[number]:
                    due.least = 0
                    if not due.met:
                        due.most = 0
        for shared in self.shared:
            shared.broken |= bool(shared.note.expires_ns and shared.note.expires_ns <= now_ns)
        for will in said:
            self.route(will)

    def crash(self, now_ns: int) -> None:
        """All connections are lost, who had no lasting session has none. So it is also when we stop and start."""
        said = []
        for shared in self.shared:
            shared.broken |= any(not member.expiry_s for member in shared.members)
        for session in tuple(self.sessions.values()):
            if session.connected and session.will is not None:
                delay_s = min(session.will_delay_s, session.expiry_s)
                session.will_due_ns = now_ns + delay_s * NS_PER_S
                if not delay_s:
                    said.append(session.will)
                    session.will, session.will_due_ns = None, 0
            if session.connected:
                session.connected = False
                session.left_from_ns = now_ns
            session.left_to_ns = now_ns
        # Nobody is connected when it is decided who inherits what these had of shared subscriptions.
        for session in tuple(self.sessions.values()):
            if not session.expiry_s:
                self.end(session)
        for will in said:
            self.route(will)

    # Who gets what

    def route(self, note: Note, *, surely: bool = True) -> None:
        """A message is in the log; not `surely`: perhaps, and QoS 0 may be lost on its way."""
        self.notes[note.number] = note
        if note.retain:
            self.retained[note.topic] = note
        groups: dict[str, list[tuple[Session, Sub]]] = defaultdict(list)
        for session in self.sessions.values():
            found: list[Sub] = []
            for topic_filter, sub in session.subs.items():
                share, matched = split_share(topic_filter)
                if not matches(matched, note.topic):
                    continue
                if share:
                    groups[topic_filter].append((session, sub))
                elif not (sub.no_local and note.publisher == session.client):
                    found.append(sub)
            qos = min(note.qos, max((sub.qos for sub in found), default=0))
            if found and (qos or session.connected):
                due = session.dues[note.number]
                due.least += surely
                due.most += inf if qos == 1 else 1
                due.qos = qos
                due.met |= session.connected
        for share, members in groups.items():
            able = [(session, sub) for session, sub in members if session.connected]
            able = able or [(session, sub) for session, sub in members if session.expiry_s and sub.qos]
            if able:
                qos = min(note.qos, able[0][1].qos)
                everyone = [session for session, _ in members]
                met = [session for session in everyone if session.connected]
                self.shared.append(Shared(share, note, everyone, qos, met, broken=not surely))

    def acknowledged(self, note: Note) -> None:
        """A message that was perhaps in the log is there."""
        note.acknowledged = True
        for session in self.sessions.values():
            if (due := session.dues.get(note.number)) is not None and due.qos:
                due.least = max(due.least, 1 if due.most else 0)
        for shared in self.shared:
            if shared.note is note and shared.qos and all(member.expiry_s for member in shared.members):
                shared.broken = False

    def subscribed(self, client: str, topic_filter: str, sub: Sub, handling: int) -> None:
        """SUBACK has come; what is retained follows."""
        session = self.sessions[client]
        new = topic_filter not in session.subs
        session.subs[topic_filter] = sub
        share, matched = split_share(topic_filter)
        if share or handling == 2 or (handling == 1 and not new):
            return
        for topic, note in self.retained.items():
            if matches(matched, topic):
                due = session.dues[note.number]
                qos = min(note.qos, sub.qos)
                due.least += 1
                due.most += inf if qos == 1 else 1
                due.qos = max(due.qos, qos)
                due.met = True

    def unsubscribed(self, client: str, topic_filter: str) -> None:
        session = self.sessions[client]
        session.subs.pop(topic_filter, None)
        if topic_filter.startswith("$share"):
            for shared in self.shared:
                shared.broken |= session in shared.members

    # What clients have got

    def check(self, session: Session, *, complete: bool) -> None:
        """Nothing that is not due, nothing too often; `complete`: and nothing is missing."""
        for number, times in session.got.items():
            due = session.dues.get(number)
            if due is None:
                assert any(shared.note.number == number and session in shared.members for shared in self.shared), (
                    f"{session.client} got {self.notes.get(number)}, which it should not"
                )
                continue
            assert times <= due.most, f"{session.client} got {self.notes[number]} {times} times: {due}"
        if complete:
            for number, due in session.dues.items():
                assert session.got[number] >= due.least, f"{session.client} misses {self.notes[number]}: {due}"
        for (topic, qos), numbers in session.order.items():
            if any(shared.note.topic == topic for shared in self.shared):
                # What another member left unfinished comes late.
                continue
            notes = [self.notes[number] for number in numbers if not self.notes[number].will]
            for publisher in {note.publisher for note in notes}:
                own = [note.number for note in notes if note.publisher == publisher]
                assert own == sorted(own), f"{session.client}: {topic} of {publisher}, QoS {qos}: {own}"

    def check_shared(self, everyone: list[Session], *, complete: bool) -> None:
        for shared in self.shared:
            times = sum(session.got[shared.note.number] for session in everyone)
            if shared.qos != 1:
                assert times <= 1, f"a shared subscription gave {shared.note} to {times}"
            if complete and not shared.broken and shared.qos:
                assert times, f"nobody of a shared subscription got {shared.note}"


class Client:
    """A client that keeps the rules: it knows what it has sent and received, also over connections."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.peer: Peer | None = None
        self.session: Session | None = None
        #: Every session that it ever had.
        self.past: list[Session] = []
        self.window = 65535
        self.answering = True
        self.present: bool | None = None
        #: Messages (their packets, None once PUBREC came) that the server has not taken over completely.
        self.outgoing: dict[int, Publish | None] = {}
        #: QoS 2 messages that the server has not released.
        self.inbox: dict[int, int] = {}
        self.withheld: list[Packet] = []
        self.flying: set[int] = set()
        self.subacks: list[Suback] = []
        self.acknowledged: list[int] = []
        self._next = 0

    @property
    def connected(self) -> bool:
        return self.peer is not None and not self.peer.closed

    def packet_id(self) -> int:
        while True:
            self._next = self._next % 65535 + 1
            if self._next not in self.outgoing:
                return self._next

    def publish(self, note: Note, packet: Publish) -> None:
        assert self.peer is not None
        if packet.qos:
            self.outgoing[packet.packet_id] = packet
        self.peer.send(packet)

    def gone(self) -> None:
        """The connection is no more."""
        self.take()
        self.peer = None
        self.withheld.clear()
        self.flying.clear()

    def answer(self) -> None:
        """Send the acknowledgements that were withheld."""
        withheld, self.withheld = self.withheld, []
        for packet in withheld:
            self._answer(packet)

    def _answer(self, packet: Packet) -> None:
        if not self.answering:
            self.withheld.append(packet)
        elif self.peer is not None:
            if isinstance(packet, Puback | Pubcomp):
                self.flying.discard(packet.packet_id)
            if isinstance(packet, Pubcomp):
                self.inbox.pop(packet.packet_id, None)
            self.peer.send(packet)

    def take(self) -> bool:
        """Take in what has arrived; whether there was anything."""
        packets = self.peer.take() if self.peer is not None else []
        for packet in packets:
            self._take(packet)
        return bool(packets)

    def _take(self, packet: Packet) -> None:
        match packet:
            case Connack():
                self.present = packet.session_present
                if not packet.session_present:
                    self.inbox.clear()
                    self.outgoing.clear()
            case Publish():
                self._receive(packet)
            case Pubrel():
                self._answer(Pubcomp(packet.packet_id))
            case Puback():
                sent = self.outgoing.pop(packet.packet_id)
                assert sent is not None
                self.acknowledged.append(int(sent.payload))
            case Pubrec():
                sent = self.outgoing[packet.packet_id]
                if sent is not None:
                    self.acknowledged.append(int(sent.payload))
                self.outgoing[packet.packet_id] = None
                if self.peer is not None:
                    self.peer.send(Pubrel(packet.packet_id))
            case Pubcomp():
                assert self.outgoing.pop(packet.packet_id) is None
            case Suback():
                self.subacks.append(packet)
            case Disconnect():
                pass

    def resume(self) -> None:
        """Send again what the server has not taken over [MQTT-4.4.0-1]."""
        assert self.peer is not None
        for packet_id, packet in tuple(self.outgoing.items()):
            if packet is None:
                self.peer.send(Pubrel(packet_id))
            else:
                self.peer.send(
                    Publish(packet.topic, packet.payload, packet.qos, packet.retain, True, packet_id, packet.properties)
                )

    def _receive(self, packet: Publish) -> None:
        assert self.session is not None
        number = int(packet.payload)
        if packet.qos:
            self.flying.add(packet.packet_id)
            assert len(self.flying) <= self.window, f"{self.name} has {len(self.flying)} in flight of {self.window}"
        again = packet.qos == 2 and packet.packet_id in self.inbox
        if again:
            assert self.inbox[packet.packet_id] == number, "the identifier of a message that is not released"
        else:
            self._record(packet, number)
        if packet.qos == 2:
            self.inbox[packet.packet_id] = number
        if packet.qos:
            self._answer(Puback(packet.packet_id) if packet.qos == 1 else Pubrec(packet.packet_id))

    def _record(self, packet: Publish, number: int) -> None:
        session = self.session
        assert session is not None
        session.got[number] += 1
        if session.got[number] == 1 and not packet.retain:
            session.order[packet.topic, packet.qos].append(number)
