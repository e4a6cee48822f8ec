"""What is taken at a glance is what the codec says, whatever the bytes are."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from allthings.gateway import plain
from allthings.mqtt.codec import decode, encode
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import Packet, Pingreq, Puback, Publish
from allthings.mqtt.properties import NO_PROPERTIES, Properties
from allthings.mqtt.scanner import Run, scan
from allthings.mqtt.versions import V3, V5, Sender, Version

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


@given(data=st.data(), version=st.sampled_from([V3, V5]))
def test_what_is_taken_is_what_the_codec_says(data: st.DataObject, version: Version) -> None:
    before = st.builds(publish, st.sampled_from(TOPICS), st.just(b"1"), st.integers(0, 1), st.just(1))
    plains = known(version, data.draw(st.lists(before)))
    arrived = bytearray(b"".join(encode(each, version) for each in data.draw(st.lists(packets(version)))))
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255)), max_size=2)):
        arrived[at : at + 1] = bytes((byte,))
    cut = bytes(arrived[: data.draw(st.integers(0, len(arrived)))])
    taken = plain.take(plains, cut, 0, v5=version == V5)
    frames = list(FrameReader(version=version).feed(cut[: taken.end]))
    said = [decode(first, body, version, Sender.CLIENT) for first, body in frames]
    expected = [
        publish(run.topic, payload, run.flags & 3, 0, retain=bool(run.flags & 4))
        for run, payload in zip(taken.runs, taken.payloads, strict=True)
    ]
    identifiers = iter(taken.pubacks[at + 2 : at + 4] for at in range(0, len(taken.pubacks), 4))
    for each in expected:
        if each.qos:
            each.packet_id = int.from_bytes(next(identifiers))
    assert said == expected
    assert taken.pubacks == b"".join(encode(Puback(each.packet_id), V3) for each in expected if each.qos)
    assert all(run.client == "client" and run.messages == 1 for run in taken.runs)


def test_all_that_are_alike_are_taken_but_for_several_on_one_topic() -> None:
    sent = [publish(topic, b"1", 1, 7) for topic in TOPICS]
    plains = known(V5, sent)
    data = b"".join(encode(each, V5) for each in sent * 2)
    assert plain.take(plains, data, 0, v5=True).end == len(data)
    same = encode(sent[1], V5)
    taken = plain.take(plains, data + same + same + data, 0, v5=True)
    assert (taken.end, len(taken.runs)) == (len(data), 8)
    assert plain.take(plains, data + same + same, len(data) + len(same), v5=True).end == len(data) + 2 * len(same)
