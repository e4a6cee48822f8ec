"""Wire cases as data: bytes, and the packet that they are or the verdict on them (cases/README.md)."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from allthings.mqtt.codec import decode, encode
from allthings.mqtt.errors import EncodeError, RemoteError
from allthings.mqtt.frames import FrameReader
from allthings.mqtt.packets import Packet
from allthings.mqtt.versions import Sender, Version

_DIRECTORY = Path(__file__).parent / "cases"


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{path.stem}: {case['name']}")
        for path in sorted(_DIRECTORY.glob("*.json"))
        for case in json.loads(path.read_text())
    ]


def plain(value: Any) -> Any:
    """A packet or a part of one in the notation of the cases."""
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        members = {field.name: getattr(value, field.name) for field in fields}
        return {field.name: plain(members[field.name]) for field in fields if members[field.name] != field.default}
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Enum) and not isinstance(value, Version):
        return value.name
    return value


def read(data: bytes, version: Version, sender: Sender) -> Packet:
    (frame,) = FrameReader(version=version).feed(data)
    return decode(*frame, version, sender)


@pytest.mark.parametrize("case", _cases())
def test_case(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["hex"])
    version, sender = Version(case["version"]), Sender(case["sender"])
    if "reason" in case:
        with pytest.raises(RemoteError) as caught:
            read(data, version, sender)
        assert f"0x{caught.value.reason:02X}" == case["reason"], caught.value
        assert caught.value.section == case["section"], caught.value
        return
    packet = read(data, version, sender)
    assert {"type": type(packet).__name__, **plain(packet)} == case["packet"]
    encoded = encode(packet, version)
    assert read(encoded, version, sender) == packet
    if case.get("canonical", True):
        assert encoded.hex() == data.hex()
    else:
        assert len(encoded) <= len(data)


@pytest.mark.parametrize("case", _cases())
def test_every_prefix_of_a_case_is_refused_or_incomplete(case: dict[str, Any]) -> None:
    """Cut anywhere and closed by a right length, a packet is another packet or an MqttError: never anything else."""
    data = bytes.fromhex(case["hex"])
    version, sender = Version(case["version"]), Sender(case["sender"])
    for end in range(2, min(len(data), 64)):
        body = data[2:end]
        try:
            packet = decode(data[0], body, version, sender)
        except RemoteError:
            continue
        try:
            again = encode(packet, version)
        except EncodeError as error:  # what can be received can be sent
            pytest.fail(f"{packet} was decoded, but not encoded: {error}")
        assert read(again, version, sender) == packet


def test_names_are_unique() -> None:
    for path in _DIRECTORY.glob("*.json"):
        names = [case["name"] for case in json.loads(path.read_text())]
        assert len(set(names)) == len(names), path.name
