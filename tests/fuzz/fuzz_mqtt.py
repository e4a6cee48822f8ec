"""Coverage-guided fuzzing of the MQTT codec with atheris.

    python tests/fuzz/fuzz_mqtt.py -max_total_time=600

The first byte of an input chooses version, sender and where the stream is cut; the rest is what a peer sends. An
exception other than a RemoteError, a packet that cannot be written again or comes back different, and a cut that
changes the outcome are findings; libFuzzer finds hangs and excess memory (`-timeout`, `-rss_limit_mb`). The wire cases
of tests/mqtt/cases are the seeds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["allthings.mqtt"]):
    from allthings.mqtt.codec import decode, encode
    from allthings.mqtt.errors import RemoteError
    from allthings.mqtt.filters import RetainedTree, SubscriptionTree, matches, split_share
    from allthings.mqtt.frames import FrameReader
    from allthings.mqtt.packets import Connect, Packet, Publish, Subscribe
    from allthings.mqtt.versions import V3, V5, Sender, Version

_CASES = Path(__file__).parent.parent / "mqtt" / "cases"
_PACKET_BYTES_MAX = 1 << 16
_SENDERS = (None, Sender.CLIENT, Sender.SERVER)
_DEFAULTS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=4096")


def outcome(parts: Iterable[bytes], version: Version, sender: Sender | None) -> tuple[list[Packet], str]:
    """The packets of a stream, and the verdict that ended it."""
    reader = FrameReader(_PACKET_BYTES_MAX, version)
    found: list[Packet] = []
    try:
        for part in parts:
            for first_byte, body in reader.feed(part):
                found.append(decode(first_byte, body, version, sender))
    except RemoteError as error:
        return found, str(error)
    return found, ""


def check_again(packet: Packet, version: Version) -> None:
    """What was received can be sent, and means the same."""
    if isinstance(packet, Connect):
        version = packet.version
    (frame,) = FrameReader(version=version).feed(encode(packet, version))
    assert decode(*frame, version) == packet, packet


def check_filters(packets: list[Packet]) -> None:
    """The trees agree with the plain definition on whatever topics and filters came along."""
    topics = [packet.topic for packet in packets if isinstance(packet, Publish) and packet.topic]
    filters = [
        split_share(subscription.topic_filter)[1]
        for packet in packets
        if isinstance(packet, Subscribe)
        for subscription in packet.subscriptions
    ]
    filters = [topic_filter for topic_filter in filters if topic_filter]
    tree: SubscriptionTree[str] = SubscriptionTree()
    retained: RetainedTree[str] = RetainedTree()
    for topic_filter in filters:
        tree.add(topic_filter, 0, topic_filter)
    for topic in topics:
        retained.set(topic, topic)
        assert set(tree.match(topic)) == {wanted for wanted in filters if matches(wanted, topic)}
    for topic_filter in filters:
        expected = {topic for topic in topics if matches(topic_filter, topic)}
        assert {topic for topic, _ in retained.match(topic_filter)} == expected


def test_one_input(data: bytes) -> None:
    """One input of the fuzzer."""
    if not data:
        return
    choice, stream = data[0], data[1:]
    version = V5 if choice & 1 else V3
    sender = _SENDERS[(choice >> 1) % 3]
    step = 1 + (choice >> 3)
    whole = outcome([stream], version, sender)
    parts = [stream[start : start + step] for start in range(0, len(stream), step)]
    assert outcome(parts, version, sender) == whole
    for packet in whole[0]:
        check_again(packet, version)
    check_filters(whole[0])


def write_seeds(directory: Path) -> None:
    """The wire cases as inputs."""
    for path in _CASES.glob("*.json"):
        for number, case in enumerate(json.loads(path.read_text())):
            choice = (case["version"] == 5) | (1 if case["sender"] == "client" else 2) << 1
            seed = bytes([choice]) + bytes.fromhex(case["hex"])
            (directory / f"{path.stem}-{number}").write_bytes(seed)


def main() -> None:
    """Fuzz until libFuzzer's options (on the command line, after the defaults) say stop."""
    with tempfile.TemporaryDirectory() as seeds:
        write_seeds(Path(seeds))
        atheris.Setup([sys.argv[0], *_DEFAULTS, *sys.argv[1:], seeds], test_one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
