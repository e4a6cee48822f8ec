"""Many sockets at once are answered as they would be one by one."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from allthings.gateway import settings
from allthings.gateway.gathering import Run
from allthings.gateway.lane import HEAD_BYTES_MAX, PACKET_BYTES_END, ROW_BYTES, Lane, Place, Rest
from allthings.gateway.ring import Ring, RingError
from allthings.mqtt.codec import encode
from allthings.mqtt.packets import Connect, Pingreq, Publish, Subscribe, Subscription
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.versions import V3, V5, Version
from tests.fuzz.lane_inputs import LASTS, Gate
from tests.gateway.conftest import Gateway, Wire, opened_ring, wire
from tests.reaching import must_reach, reach

PUBACK = b"\x40\x02"
PINGRESP = b"\xd0\0"


class Collected:
    """In the collector's place."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.acknowledge: Callable[[], None] | None = None

    def add_many(
        self, runs: list[Run], payloads: list[bytes], size: int, acknowledge: Callable[[], None] | None
    ) -> None:
        self.messages += [(run.topic, payload) for run, payload in zip(runs, payloads, strict=True)]
        self.acknowledge = acknowledge
        assert size > sum(map(len, payloads))


class Device:
    """A connection, as far as the lane calls it, and its client's socket."""

    client = "device"

    def __init__(self, name: str, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours, self.theirs = ours, theirs
        self.topic = name.encode()
        self.acknowledged: list[bytes] = []
        self.aborted = False

    def acknowledge(self, pubacks: bytes) -> None:
        self.acknowledged.append(pubacks)

    def abort(self) -> None:
        self.aborted = True

    def publish(self, payload: bytes, identifier: int, first: int = 0x32) -> bytes:
        body = len(self.topic).to_bytes(2) + self.topic + (identifier.to_bytes(2) if first & 6 else b"") + payload
        return bytes((first, len(body))) + body

    def answers(self) -> bytes:
        self.theirs.setblocking(False)
        try:
            return self.theirs.recv(1000)
        except BlockingIOError:
            return b""


class Hall:
    """A lane and devices around it."""

    def __init__(self, ring: Ring, stack: ExitStack) -> None:
        self.collected = Collected()
        self.now = 100.0
        self.flushed = 0
        self.lane = Lane(ring, self.collected, lambda: self.now, self._flush)  # type: ignore[arg-type]
        self._stack = stack

    def _flush(self) -> None:
        self.flushed += 1

    def device(self, name: str) -> Device:
        ours, theirs = (self._stack.enter_context(each) for each in socket.socketpair())
        ours.setblocking(False)
        return Device(name, ours, theirs)

    def join(self, device: Device, first: int = 0x32) -> Place:
        head = device.publish(b"", 0, first)
        run = Run(device.topic.decode(), "device", first >> 1 & 3, None, 1, device)
        identifier_at = len(head) - 2 if first & 6 else 0
        return self.lane.join(device.ours.fileno(), head, identifier_at, run, busy=False)

    def take(self, *devices: Device) -> list[Rest]:
        return self.lane.take(numbers(*devices))


def numbers(*devices: Device) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array([device.ours.fileno() for device in devices], np.int32)


@pytest.fixture
def hall() -> Iterator[Hall]:
    ring = opened_ring(64)
    with ExitStack() as stack:
        made = Hall(ring, stack)
        yield made
        made.lane.close()


def test_one_publish_of_each_is_taken_and_acknowledged_when_it_is_stored(hall: Hall) -> None:
    devices = [hall.device(f"lab/{'x' * number}") for number in range(40)]
    for number, device in enumerate(devices):
        hall.join(device)
        device.theirs.sendall(device.publish(b"%d" % number, number + 1))
    assert hall.lane.among(numbers(*devices)).all()
    assert hall.take(*devices) == []
    assert hall.collected.messages == [(d.topic.decode(), b"%d" % number) for number, d in enumerate(devices)]
    assert {device.answers() for device in devices} == {b""}
    assert hall.collected.acknowledge is not None
    hall.collected.acknowledge()
    assert [device.answers() for device in devices] == [PUBACK + (n + 1).to_bytes(2) for n in range(40)]
    assert hall.flushed == 1, "what was answered before goes first"


def test_qos_0_and_1_side_by_side(hall: Hall) -> None:
    quiet, asking = hall.device("quiet"), hall.device("asking")
    for device, first in ((quiet, 0x30), (asking, 0x33)):
        hall.join(device, first)
        device.theirs.sendall(device.publish(b"1", 7, first))
    assert hall.take(quiet, asking) == []
    assert hall.collected.acknowledge is not None
    hall.collected.acknowledge()
    assert (quiet.answers(), asking.answers()) == (b"", PUBACK + b"\0\7")
    quiet.theirs.sendall(quiet.publish(b"2", 0, 0x30))
    assert hall.take(quiet) == []
    assert hall.collected.acknowledge is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda packet: b"\x3a" + packet[1:], id="DUP"),
        pytest.param(lambda packet: b"\x30" + packet[1:], id="another QoS"),
        pytest.param(lambda packet: b"\xc0\0", id="another packet"),
        pytest.param(lambda packet: packet[:4] + b"x" + packet[5:], id="another topic"),
        pytest.param(lambda packet: packet[:5] + b"\0\0" + packet[7:], id="identifier 0"),
        pytest.param(lambda packet: packet[:-1], id="the end is missing"),
        pytest.param(lambda packet: packet[:6], id="half of the identifier is missing"),
        pytest.param(lambda packet: packet[:1], id="one byte"),
        pytest.param(lambda packet: packet + packet, id="two of them"),
        pytest.param(lambda packet: packet[:1] + b"\x80" + packet[1:], id="a length of two bytes"),
        pytest.param(lambda packet: packet + b"\0", id="more than its length"),
    ],
)
def test_what_looks_different_is_left_to_the_connection(hall: Hall, change: Callable[[bytes], bytes]) -> None:
    device, other = hall.device("a"), hall.device("b")
    for each in (device, other):
        hall.join(each)
        # So that the row has once held a whole packet.
        each.theirs.sendall(each.publish(b"before", 1))
    assert hall.take(device, other) == []
    different = change(device.publish(b"payload", 2))
    device.theirs.sendall(different)
    other.theirs.sendall(other.publish(b"after", 2))
    assert hall.take(device, other) == [Rest(device.ours.fileno(), len(different), different)]
    assert [payload for _, payload in hall.collected.messages] == [b"before", b"before", b"after"]


def test_an_end_and_an_error_are_told(hall: Hall) -> None:
    left, silent = hall.device("left"), hall.device("silent")
    for device in (left, silent):
        hall.join(device)
    left.theirs.close()
    assert hall.take(left, silent) == [
        Rest(left.ours.fileno(), 0, b""),
        Rest(silent.ours.fileno(), -errno.EAGAIN, b""),
    ]


def test_who_has_much_to_say_is_left_alone_for_a_while(hall: Hall) -> None:
    device = hall.device("a")
    hall.join(device)
    device.theirs.sendall(bytes(ROW_BYTES + 1))
    assert hall.take(device) == [Rest(device.ours.fileno(), ROW_BYTES, bytes(ROW_BYTES))]
    assert not hall.lane.among(numbers(device)).any()
    hall.now += 2
    assert hall.lane.among(numbers(device)).all()


def test_a_head_that_is_too_long_is_not_for_the_lane(hall: Hall) -> None:
    fits, too_long = hall.device("x" * (HEAD_BYTES_MAX - 6)), hall.device("x" * (HEAD_BYTES_MAX - 5))
    for device in (fits, too_long):
        hall.join(device)
    assert hall.lane.among(numbers(fits, too_long)).tolist() == [True, False]
    assert not hall.lane.among(np.array([1_000_000], np.int32)).any()


def test_who_comes_after_on_the_same_descriptor_gets_nothing_of_the_one_before(hall: Hall) -> None:
    device, other = hall.device("a"), hall.device("b")
    places = [hall.join(each) for each in (device, other)]
    for each in (device, other):
        each.theirs.sendall(each.publish(b"1", 1))
    assert hall.take(device, other) == []
    assert [place.share.unacknowledged for place in places] == [1, 1]
    places[0].leave()
    again = hall.join(device)
    assert hall.collected.acknowledge is not None
    hall.collected.acknowledge()
    assert (device.answers(), other.answers()) == (b"", PUBACK + b"\0\1")
    assert [place.share.unacknowledged for place in (again, places[1])] == [0, 0]


def test_who_waits_to_be_written_to_is_acknowledged_by_its_connection(hall: Hall) -> None:
    device = hall.device("a")
    hall.join(device)
    device.theirs.sendall(device.publish(b"1", 1))
    assert hall.take(device) == []
    hall.lane.write_waits(device.ours.fileno(), True)
    assert hall.collected.acknowledge is not None
    hall.collected.acknowledge()
    assert (device.acknowledged, device.answers()) == ([PUBACK + b"\0\1"], b"")
    device.theirs.sendall(device.publish(b"2", 2))
    assert len(hall.take(device)) == 1, "nor is it read, as it may not read our answers"
    hall.lane.write_waits(device.ours.fileno(), False)
    device.theirs.sendall(device.publish(b"3", 3))
    assert hall.take(device) == []


def test_what_a_socket_does_not_take_is_left_to_its_connection(hall: Hall) -> None:
    full, gone = hall.device("full"), hall.device("gone")
    for device in (full, gone):
        hall.join(device)
        device.theirs.sendall(device.publish(b"1", 1))
    assert hall.take(full, gone) == []
    with suppress(BlockingIOError):
        while full.ours.send(bytes(1000)):
            pass
    gone.theirs.close()
    assert hall.collected.acknowledge is not None
    hall.collected.acknowledge()
    assert full.acknowledged == gone.acknowledged == [PUBACK + b"\0\1"]


def test_no_more_than_the_receive_maximum_is_taken(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "RECEIVE_MAXIMUM", 2)
    device = hall.device("a")
    place = hall.join(device)
    for identifier in (1, 2, 3):
        device.theirs.sendall(device.publish(b"1", identifier))
        assert len(hall.take(device)) == (identifier == 3)
    assert place.share == (2, 2, hall.now)


def broken(*_: object) -> Any:
    raise RingError(errno.EBADFD, "out of order")


def test_connections_end_when_the_kernel_fails_while_it_receives(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [hall.device(name) for name in "ab"]
    for device in devices:
        hall.join(device)
    monkeypatch.setattr(Ring, "receive", broken)
    assert [rest.result for rest in hall.take(*devices)] == [-errno.EBADFD] * 2
    hall.join(devices[0])
    assert not hall.lane.among(numbers(*devices)).any(), "and nobody is in the lane any more"


@pytest.mark.parametrize("failed", ["now", "before"])
def test_connections_end_when_the_kernel_fails_while_it_sends(
    hall: Hall, monkeypatch: pytest.MonkeyPatch, failed: str
) -> None:
    device = hall.device("a")
    hall.join(device)
    device.theirs.sendall(device.publish(b"1", 1))
    assert hall.take(device) == []
    assert hall.collected.acknowledge is not None
    if failed == "before":
        hall.lane.close()
        hall.collected.acknowledge()
        assert device.acknowledged == [PUBACK + b"\0\1"]
    else:
        monkeypatch.setattr(Ring, "send", broken)
        hall.collected.acknowledge()
        assert device.aborted
        assert not device.acknowledged, "it may have been sent"


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    made = Gate(opened_ring(1))
    yield made
    made.close()


@must_reach("taken", "left", "taken, changed", "left, changed")
@given(
    number=st.integers(0, len(LASTS) - 1),
    payload=st.binary(max_size=140),
    identifier=st.integers(0, 0xFFFF),
    edits=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=2),
    length=st.integers(0, 300) | st.none(),
)
@hypothesis_settings(deadline=None, max_examples=500)
def test_it_takes_what_the_codec_says_is_for_it(
    gate: Gate, number: int, payload: bytes, identifier: int, edits: list[tuple[int, int]], length: int | None
) -> None:
    """A short form of tests/fuzz/fuzz_lane.py."""
    packet = bytearray(LASTS[number].packet(payload, identifier or 1))
    for at, byte in edits:
        packet[min(at, len(packet) - 1)] = byte
    taken = gate.look(bytes((number,)) + bytes(packet[:length]))
    reach(f"{'taken' if taken else 'left'}{', changed' if edits else ''}")
    if not edits and length is None:
        assert taken == (len(packet) < PACKET_BYTES_END)


# Through a whole gateway


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every socket is read in the lane; counts what it took and what it left."""
    opened_ring(1).close()
    counts: Counter[str] = Counter()
    take = Lane.take

    def counted(lane: Lane, descriptors: Any) -> list[Rest]:
        rest = take(lane, descriptors)
        counts["taken"] += len(descriptors) - len(rest)
        counts["left"] += len(rest)
        return rest

    monkeypatch.setattr(settings, "LANE_SOCKETS_MIN", 1)
    monkeypatch.setattr(Lane, "take", counted)
    return counts


class Plan(NamedTuple):
    """What a client sends, in the parts that it writes; what it is answered, and what others get of it, in order."""

    parts: list[bytes]
    pubacks: list[bytes]
    pings: int
    messages: list[tuple[str, bytes]]


def traffic(random: Random, base: str, version: Version) -> Plan:
    """Publishing, mostly to one topic, mostly of one sort."""
    packets, pubacks, messages, pings = [], [], [], 0
    for number in range(1, 120):
        topic = f"{base}/{random.choice('a' * 20 + 'b')}"
        payload = random.randbytes(random.choice([0, 5, 20, 40, 60, 80, 300]))
        sort = random.choice(["plain"] * 20 + ["retain", "ping", "properties", "qos 0"])
        if sort == "ping":
            packets.append(encode(Pingreq(), version))
            pings += 1
            continue
        publish = Publish(
            topic,
            payload,
            qos=0 if sort == "qos 0" else 1,
            retain=sort == "retain",
            packet_id=0 if sort == "qos 0" else number,
            properties=Properties(content_type="x") if sort == "properties" and version == V5 else NO_PROPERTIES,
        )
        packets.append(encode(publish, version))
        messages.append((topic, payload))
        if publish.qos:
            pubacks.append(PUBACK + number.to_bytes(2))
    return Plan(cut(random, packets), pubacks, pings, messages)


def cut(random: Random, packets: list[bytes]) -> list[bytes]:
    """Mostly one by one, now and then several together, or cut anywhere."""
    parts: list[bytes] = []
    for packet in packets:
        how = random.random()
        if how < 0.1 and parts:
            parts[-1] += packet
        elif how < 0.2:
            at = random.randrange(len(packet) + 1)
            parts += [packet[:at], packet[at:]]
        else:
            parts.append(packet)
    return [part for part in parts if part]


async def talk(client: Wire, parts: list[bytes], random: Random) -> None:
    for part in parts:
        await client.send(part.hex())
        await asyncio.sleep(random.choice([0, 0.002, 0.006, 0.012]))


@pytest.mark.parametrize("version", [V3, V5])
async def test_whatever_clients_send_and_however_it_comes(
    gateway: Gateway, always: Counter[str], version: Version
) -> None:
    random = Random(11)
    plans = {f"lane{version}/{number}": traffic(random, f"lane{version}/{number}", version) for number in range(12)}
    async with gateway() as port, AsyncExitStack() as stack:
        watcher = await connected(stack, port, V3, "watcher")
        await watcher.send(encode(Subscribe(1, (Subscription(f"lane{version}/#", 0),)), V3).hex())
        await watcher.receive(5)
        clients = {base: await connected(stack, port, version, base) for base in plans}
        async with asyncio.TaskGroup() as tasks:
            for base, client in clients.items():
                tasks.create_task(talk(client, plans[base].parts, random))
        for base, client in clients.items():
            plan = plans[base]
            answers = bytes.fromhex(await client.receive(4 * len(plan.pubacks) + 2 * plan.pings))
            assert answers.replace(PINGRESP, b"") == b"".join(plan.pubacks)
        seen: dict[str, list[tuple[str, bytes]]] = {base: [] for base in plans}
        for _ in range(sum(len(plan.messages) for plan in plans.values())):
            topic, payload = await delivered(watcher)
            seen[topic.rpartition("/")[0]].append((topic, payload))
        # Others find nothing retained of ours.
        for base, client in clients.items():
            for number, name in enumerate("ab", 1):
                forget = Publish(f"{base}/{name}", b"", 1, retain=True, packet_id=number)
                await client.send(encode(forget, version).hex())
                assert await client.receive(4) == (PUBACK + number.to_bytes(2)).hex(" ")
    assert seen == {base: plan.messages for base, plan in plans.items()}
    assert always["taken"] > 100
    assert always["left"] > 100


async def connected(stack: AsyncExitStack, port: int, version: Version, name: str, keep_alive_s: int = 0) -> Wire:
    client = await stack.enter_async_context(wire(port))
    await client.send(encode(Connect(name, version=version, keep_alive_s=keep_alive_s), version).hex())
    head = bytes.fromhex(await client.receive(2))
    await client.receive(head[1])
    return client


async def delivered(client: Wire) -> tuple[str, bytes]:
    """The next PUBLISH of QoS 0 (MQTT 3.1.1)."""
    first, length = bytes.fromhex(await client.receive(2))
    assert first & 0xF6 == 0x30
    shift = 7
    while length >= 1 << shift:
        more = bytes.fromhex(await client.receive(1))[0]
        length = length - (1 << shift) + (more << shift)
        shift += 7
    body = bytes.fromhex(await client.receive(length))
    end = 2 + int.from_bytes(body[:2])
    return body[2:end].decode(), body[end:]


async def publish(client: Wire, count: int, pause_s: float = 0) -> None:
    """One after the other, each when the one before is acknowledged."""
    for number in range(1, count + 1):
        await client.send(encode(Publish("lane/one", b"1", 1, packet_id=number), V3).hex())
        assert await client.receive(4) == (PUBACK + number.to_bytes(2)).hex(" ")
        await asyncio.sleep(pause_s)


async def test_who_only_publishes_is_heard(gateway: Gateway, always: Counter[str]) -> None:
    async with gateway() as port, AsyncExitStack() as stack:
        client = await connected(stack, port, V3, "busy", keep_alive_s=1)
        await publish(client, 10, pause_s=0.3)
    assert always["taken"] == 9


async def test_without_the_kernels_help_everything_goes_one_by_one(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LANE_SOCKETS_MIN", 1)
    monkeypatch.setattr(Ring, "open", lambda _: None)
    async with gateway() as port, AsyncExitStack() as stack:
        await publish(await connected(stack, port, V3, "alone"), 3)
