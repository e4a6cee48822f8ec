"""What the twin's tests feed it with."""

from __future__ import annotations

import json
from typing import Any

from allthings.readings.decoded import Decoded
from allthings.things.times import NS_PER_S
from tests.readings.blocks import NOW_NS, Message, decode_messages


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * NS_PER_S)


def said(thing: str, received_ns: int = NOW_NS, /, **values: Any) -> Message:
    """A message of a thing; `at` is its own time in seconds."""
    if "at" in values:
        values = {"@time": values.pop("at")} | values
    return Message(f"things/{thing}/properties", json.dumps(values).encode(), received_ns)


def block_of(sequence: int, *messages: Message) -> Decoded:
    return decode_messages(*messages, sequence=sequence)
