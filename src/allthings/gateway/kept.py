"""What is kept of sessions and retained messages in their tables (gateway.keeper), as of today (gateway.layouts)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from allthings.gateway import layouts
from allthings.gateway.backlog import Backlog
from allthings.mqtt.outbox import Stage
from allthings.mqtt.packets import Publish

if TYPE_CHECKING:
    from allthings.gateway.session import Session


class KeptFlight(msgspec.Struct, frozen=True, array_like=True):
    packet_id: int
    qos: int
    stage: int
    position: int
    retain: bool
    share: str


class KeptDelivery(msgspec.Struct, frozen=True, array_like=True):
    """A message that waits and has no place in the log."""

    topic: bytes
    payload: bytes
    properties: bytes
    expires_ns: int
    qos: int
    retain: bool


class KeptSession(msgspec.Struct, frozen=True, array_like=True):
    """A session as it stood when these blocks of this gateway and of others had been handed on."""

    layout: int
    client: str
    owner: str
    keeper: str
    sequence: int
    followed: int
    expiry_s: int
    left_ns: int
    subscriptions: list[tuple[str, int, bool, bool, int]]
    flights: list[KeptFlight]
    inbox: list[int]
    positions: bytes
    options: bytes
    elsewhere: list[KeptDelivery]
    dropped: int
    expired: int
    shares: list[str]


class KeptWill(msgspec.Struct, frozen=True, array_like=True):
    client: str
    will: Publish
    delay_s: int
    due_ns: int
    credential: str = ""


class KeptRetained(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    payload: bytes
    qos: int
    properties: bytes | None
    received_ns: int
    position: int


_SESSION: Final = msgspec.msgpack.Decoder(KeptSession)


def decode_session(data: bytes) -> tuple[KeptSession, KeptWill | None]:
    """A session, and its will if that stood in the same row then.

    Raises msgspec.DecodeError when the row is damaged, NewerLayoutError.
    """
    will = None
    try:
        kept = _SESSION.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        former, will = layouts.session(data)
        kept = msgspec.convert(former, KeptSession)
    layouts.check(kept.layout)
    if len(kept.positions) % 8 or len(kept.positions) != 4 * len(kept.options):
        raise msgspec.ValidationError("what waits is cut off")
    return kept, msgspec.convert(will, KeptWill | None)


def decode_retained(data: bytes) -> list[KeptRetained]:
    """Retained messages. Raises msgspec.DecodeError when the row is damaged, NewerLayoutError."""
    return msgspec.convert(layouts.several(data), list[KeptRetained])


def decode_wills(data: bytes) -> list[KeptWill]:
    """Wills. Raises msgspec.DecodeError when the row is damaged, NewerLayoutError."""
    return msgspec.convert(layouts.several(data), list[KeptWill])


def encode_several(encoded: Iterable[bytes]) -> bytes:
    """A row of retained messages or wills that are encoded each."""
    return msgspec.msgpack.encode([layouts.LAYOUT, *(msgspec.Raw(each) for each in encoded)])


def encode_session(session: Session, keeper: str, sequence: int, followed: int) -> bytes:
    """A session as it stands now, when these blocks of this gateway (`keeper`) and of others have been handed on."""
    waiting, elsewhere = Backlog(), []
    for delivery in session.queue.waiting:
        message = delivery.message
        if message.position:
            waiting.append(message.position, session.queue.options_of(delivery))
        else:
            elsewhere.append(
                KeptDelivery(
                    *(message.topic, message.payload, message.properties, message.expires_ns),
                    *(delivery.qos, delivery.retain),
                )
            )
    positions, options = (
        first + rest for first, rest in zip(waiting.dump(), session.queue.spilled.dump(), strict=True)
    )
    flights = []
    for packet_id, flight in session.outbox.flights.items():
        item = flight.item
        stage = max(flight.stage, Stage.SENT) if flight.stage < Stage.RECEIVED else Stage.RELEASED
        flights.append(
            KeptFlight(
                *(packet_id, flight.qos, stage, item.message.position if item else 0),
                *(item.retain if item else False, item.share if item else ""),
            )
        )
    kept = KeptSession(
        layout=layouts.LAYOUT,
        client=session.client,
        owner=session.owner,
        keeper=keeper,
        sequence=sequence,
        followed=followed,
        expiry_s=session.expiry_s,
        left_ns=session.left_ns,
        subscriptions=[
            (topic_filter, each.qos, each.no_local, each.retain_as_published, each.identifier)
            for topic_filter, each in session.filters.items()
        ],
        flights=flights,
        inbox=[packet_id for packet_id, stored in session.inbox.items() if stored],
        positions=positions,
        options=options,
        elsewhere=elsewhere,
        dropped=session.dropped,
        expired=session.expired,
        shares=session.queue.shares,
    )
    return msgspec.msgpack.encode(kept)
