"""Changes of durable sessions: stored beside the messages of a block, and applied again after a crash.

A block's messages count as before its changes. What a change says has not happened for any client before it is on
disk: a SUBACK, a PUBREC, a PUBREL or a PUBCOMP waits for it.
"""

from __future__ import annotations

import msgspec

from allthings.gateway import layouts
from allthings.mqtt.packets import Publish


class Opened(msgspec.Struct, frozen=True, tag="open", array_like=True):
    """A session begins, or goes on with another expiry. `clean`: what there was of this client is gone."""

    client: str
    owner: str
    expiry_s: int
    clean: bool


class Ended(msgspec.Struct, frozen=True, tag="end", array_like=True):
    client: str


class Subscribed(msgspec.Struct, frozen=True, tag="sub", array_like=True):
    client: str
    topic_filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    identifier: int
    #: Whether the client gets what is retained.
    retained: bool = False


class Unsubscribed(msgspec.Struct, frozen=True, tag="unsub", array_like=True):
    client: str
    topic_filter: str


class Taken(msgspec.Struct, frozen=True, tag="in", array_like=True):
    """A QoS 2 message of the client is in this block; until it is released, the same identifier means the same one."""

    client: str
    packet_id: int


class Released(msgspec.Struct, frozen=True, tag="rel", array_like=True):
    client: str
    packet_id: int


class Claimed(msgspec.Struct, frozen=True, tag="out", array_like=True):
    """The message at `position` goes to the client with QoS 2 and this identifier, and with no other.

    `share`: the shared subscription that chose the client; then it goes to nobody else of that.
    """

    client: str
    packet_id: int
    position: int
    share: str = ""


class Received(msgspec.Struct, frozen=True, tag="rec", array_like=True):
    """The client has it (PUBREC): it must never be sent again."""

    client: str
    packet_id: int


class Refused(msgspec.Struct, frozen=True, tag="ref", array_like=True):
    """The client refused it (a PUBREC with a failure)."""

    client: str
    packet_id: int


class WillHeld(msgspec.Struct, frozen=True, tag="willheld", array_like=True):
    """The client connects with a will, which is to be said once it is lost and so long has passed."""

    client: str
    delay_s: int
    will: Publish
    #: What the client has shown (registry.credentials.Standing); "" for nothing.
    credential: str = ""


class WillWaits(msgspec.Struct, frozen=True, tag="will", array_like=True):
    """The connection is gone; its will is due then (Unix time in ns) unless the client comes back."""

    client: str
    due_ns: int


class WillDone(msgspec.Struct, frozen=True, tag="willdone", array_like=True):
    """The will is said in this block, or not to be said any more."""

    client: str


class Given(msgspec.Struct, frozen=True, tag="give", array_like=True):
    """These messages of the block (rows) go to members of a shared subscription at gateway `index`."""

    share: str
    index: int
    rows: list[int]


class Forwarded(msgspec.Struct, frozen=True, tag="forward", array_like=True):
    """Messages of earlier blocks, of which those who should have had them are gone, go to gateway `index`."""

    share: str
    index: int
    positions: list[int]


#: What concerns the session of one client.
SessionChange = Opened | Ended | Subscribed | Unsubscribed | Taken | Released | Claimed | Received | Refused
WillChange = WillHeld | WillWaits | WillDone
Change = SessionChange | WillChange | Given | Forwarded

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[int | Change])


def encode_one(change: Change) -> bytes:
    """One change, for `encode`."""
    return _ENCODER.encode(change)


def encode(changes: list[bytes]) -> bytes:
    """Changes as they stand in a block (log.block.with_changes)."""
    return _ENCODER.encode([layouts.LAYOUT, *(msgspec.Raw(change) for change in changes)])


def decode(data: bytes) -> list[Change]:
    """Raises msgspec.DecodeError when the bytes are damaged, NewerLayoutError."""
    if not data:
        return []
    try:
        layout, *found = _DECODER.decode(data)
    except (msgspec.DecodeError, ValueError):
        # Of another layout, empty, or damaged.
        layout, found = Ended(""), []
    if not isinstance(layout, int):
        return msgspec.convert(layouts.changes(data), list[Change])
    layouts.check(layout)
    return [each for each in found if not isinstance(each, int)]
