"""What is taken at a glance is what the codec says, whatever the bytes are."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allthings.gateway import plain
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import Packet, Pingreq, Puback, Publish
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.scanner import Run, scan
from allthings.mqtt.versions import V3, V5, Sender, Version
from tests.reaching import must_reach, reach

TOPICS = ["a", "things/lamp/properties", "ä/b", "x" * 110]


class Someone(NamedTuple):
    """Who published."""

    client: str = "client"

    def acknowledge(self, pubacks: bytes) -> None: ...
    def abort(self) -> None: ...


def publish(topic: str, payload: bytes, qos: int, packet_id: int, **more: Any) -> Publish:
    return Publish(topic, payload, qos, packet_id=packet_id if qos else 0, **more)


def known(version: Version, sent: list[Publish]) -> dict[bytes, plain.Plain]:
    """What a connection knows after these."""
    plains = {}
    for packet in sent:
        runs: list[Run] = []
        scan(encode(packet, version), 0, version == V5, runs)
        plains[plain.key(runs[0].topic)] = plain.like(runs[0], packet.topic, Someone(), v5=version == V5)
    return plains


def packets(version: Version) -> st.SearchStrategy[Packet]:
    contents = (
        [NO_PROPERTIES] if version == V3 else [NO_PROPERTIES, NO_PROPERTIES, Properties(content_type="text/plain")]
    )
    messages = st.builds(
        publish,
        st.sampled_from(TOPICS),
        st.binary(max_size=12) | st.just(b"z" * 120),
        st.sampled_from([0, 1, 1, 2]),
        st.integers(1, 65535),
        retain=st.booleans(),
        properties=st.sampled_from(contents),
    )
    return messages | st.just(Pingreq())


def check_taken(plains: dict[bytes, plain.Plain], data: bytes, version: Version) -> plain.Taken:
    """Take from these bytes, and compare with what the codec says of the same bytes."""
    taken = plain.take(plains, data, 0, v5=version == V5)
    frames = list(FrameReader(version=version).feed(data[: taken.end]))
    said = [decode(first, body, version, Sender.CLIENT) for first, body in frames]
    identifiers = iter(taken.pubacks[at + 2 : at + 4] for at in range(0, len(taken.pubacks), 4))
    expected = []
    for run, payload in zip(taken.runs, taken.payloads, strict=True):
        qos = run.flags & 3
        packet_id = int.from_bytes(next(identifiers)) if qos else 0
        expected.append(publish(run.topic, payload, qos, packet_id, retain=bool(run.flags & 4)))
    assert said == expected
    assert next(identifiers, None) is None
    assert taken.pubacks == b"".join(encode(Puback(each.packet_id), V3) for each in expected if each.qos)
    assert all(run.client == "client" and run.messages == 1 for run in taken.runs)
    for each in expected:
        reach(f"taken, QoS {each.qos}")
    if len(taken.runs) > 1:
        reach("several taken")
    if data:
        reach("left" if taken.end < len(data) else "all taken")
    return taken


def like_one_of(known_before: list[Publish]) -> st.SearchStrategy[Packet]:
    """Messages that differ from one before in payload and packet identifier only."""
    return st.builds(
        lambda before, payload, packet_id: publish(before.topic, payload, before.qos, packet_id),
        st.sampled_from(known_before),
        st.binary(max_size=12),
        st.integers(1, 65535),
    )


@must_reach("taken, QoS 0", "taken, QoS 1", "several taken", "left", "all taken", "changed bytes taken")
@settings(max_examples=400)
@given(data=st.data(), version=st.sampled_from([V3, V5]))
def test_what_is_taken_is_what_the_codec_says(data: st.DataObject, version: Version) -> None:
    topics = data.draw(st.lists(st.sampled_from(TOPICS), unique=True, min_size=1))
    before = [publish(topic, b"1", data.draw(st.integers(0, 1)), 1) for topic in topics]
    like = like_one_of(before)
    arrived = bytearray(b"".join(encode(each, version) for each in data.draw(st.lists(like | like | packets(version)))))
    changes = data.draw(st.just([]) | st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=2))
    for at, byte in changes:
        arrived[at : at + 1] = bytes((byte,))
    cut = data.draw(st.just(len(arrived)) | st.integers(0, len(arrived)))
    taken = check_taken(known(version, before), bytes(arrived[:cut]), version)
    if taken.runs and changes:
        reach("changed bytes taken")


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_like_those_before_are_taken(version: Version, qos: int) -> None:
    plains = known(version, [publish(topic, b"1", qos, 1) for topic in TOPICS])
    sent = [publish(topic, b"payload", qos, 300 + at) for at, topic in enumerate(TOPICS)]
    data = b"".join(encode(each, version) for each in sent)
    assert check_taken(plains, data, version).end == len(data)


def test_all_that_are_alike_are_taken_but_for_several_on_one_topic() -> None:
    sent = [publish(topic, b"1", 1, 7) for topic in TOPICS]
    plains = known(V5, sent)
    data = b"".join(encode(each, V5) for each in sent * 2)
    assert plain.take(plains, data, 0, v5=True).end == len(data)
    same = encode(sent[1], V5)
    taken = plain.take(plains, data + same + same + data, 0, v5=True)
    assert (taken.end, len(taken.runs)) == (len(data), 8)
    assert plain.take(plains, data + same + same, len(data) + len(same), v5=True).end == len(data) + 2 * len(same)
