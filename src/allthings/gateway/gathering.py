"""The block that is being filled, and how one that became too large is divided."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from allthings.gateway import changes, settings
from allthings.gateway.changes import Given
from allthings.gateway.division import Division
from allthings.log import block


class Publisher(Protocol):
    """Who published, as far as the collector needs to know."""

    client: str

    def acknowledge(self, pubacks: bytes) -> None:
        """Send these PUBACK packets, four bytes each (or the rest of one): their messages are on disk."""

    def abort(self) -> None:
        """Close the connection at once."""


class Run(NamedTuple):
    """Consecutive messages of one topic, client and flags (log.block), with the same properties."""

    topic: str
    client: str
    flags: int
    properties: bytes | None
    messages: int
    publisher: Publisher | None


class Gathering:
    """The block that is being filled: runs of messages of one topic, client and flags."""

    __slots__ = (
        *("acknowledgements", "acknowledging", "bytes", "changes", "division", "first_ns", "messages", "payloads"),
        *("runs", "then", "turns"),
    )

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.runs: list[Run] = []
        #: PUBACK packets, as one string for each connection: bytes cost the garbage collector nothing.
        self.acknowledgements: dict[Publisher, bytes] = {}
        #: Acknowledges what came before those [MQTT-4.6.0-2].
        self.acknowledging: list[Callable[[], None]] = []
        #: Changes of sessions, encoded, each with the row of the message that it belongs to or follows; -1 before all.
        self.changes: list[tuple[int, bytes]] = []
        self.then: list[Callable[[], None]] = []
        #: What has its place among the messages, with the row of the message that follows it.
        self.turns: list[tuple[int, Callable[[], None]]] = []
        self.messages = 0
        self.bytes = 0
        self.first_ns = 0
        self.division: Division | None = None

    @property
    def empty(self) -> bool:
        return not (self.messages or self.changes or self.then or self.turns)

    def give(self, given: list[Given]) -> None:
        """Store with the messages who gets them."""
        away: dict[str, set[int]] = {}
        for each in given:
            away.setdefault(each.share, set()).update(each.rows)
            self.changes.append((max(0, self.messages - 1), changes.encode_one(each)))
        self.division = Division(away, here=False)

    def encode(self) -> bytes:
        """The block."""
        batch = self._batch()
        if self.changes:
            batch = block.with_changes(batch, changes.encode([change for _, change in self.changes]))
        return block.encode(batch)

    def _batch(self) -> pa.RecordBatch:
        """The messages as a record batch; message n was received at `first_ns` + n."""
        topics, names, kinds, properties, counts, _ = zip(*self.runs, strict=True) if self.runs else [()] * 6
        clients = dict.fromkeys(names)
        if len(clients) == len(names):
            # Devices that wait for their acknowledgement are in a block once each.
            client_of = np.arange(len(names), dtype=np.int32)
        else:
            numbers = dict(zip(clients, range(len(clients)), strict=True))
            client_of = np.fromiter(map(numbers.__getitem__, names), np.int32, len(names))
        flags = np.array(kinds, np.uint8)
        if self.messages > len(self.runs):
            client_of, flags = np.repeat(client_of, counts), np.repeat(flags, counts)
            topics = tuple(topic for topic, count in zip(topics, counts, strict=True) for _ in range(count))
        client_column = pa.DictionaryArray.from_arrays(client_of, pa.array(list(clients), pa.string()))
        received = pa.array(np.arange(self.first_ns, self.first_ns + self.messages)).view(
            block.MESSAGES.field("received").type
        )
        return pa.RecordBatch.from_arrays(
            [
                received,
                # Not out of a dictionary: that would load all of pyarrow.compute.
                pa.array(topics, pa.string()),
                pa.array(self.payloads, pa.binary()),
                client_column,
                pa.array(flags),
                self._properties() if any(properties) else pa.nulls(self.messages, pa.binary()),
            ],
            schema=block.MESSAGES,
        )

    def _properties(self) -> pa.Array:
        values: list[bytes | None] = []
        for run in self.runs:
            values.extend([run.properties] * run.messages)
        return pa.array(values, pa.binary())


def divide(gathering: Gathering) -> list[Gathering]:
    """Blocks within the limits, in order; changes stay with their messages.

    All acknowledgements go with the last: they mean "all on disk".
    """
    parts = [Gathering()]
    beside = [0] * gathering.messages
    for row, change in gathering.changes:
        if row >= 0:
            beside[row] += len(change)
    at = 0
    for topic, client, flags, properties, count, publisher in gathering.runs:
        left = count
        while left:
            part = parts[-1]
            payloads: list[bytes] = []
            while left and (
                not part.messages + len(payloads)
                or (
                    part.messages + len(payloads) < settings.BLOCK_MESSAGES_MAX
                    and part.bytes < settings.BLOCK_BYTES_MAX
                )
            ):
                payload = gathering.payloads[at]
                payloads.append(payload)
                part.bytes += len(payload) + len(topic) + beside[at]
                at += 1
                left -= 1
            if payloads:
                part.payloads.extend(payloads)
                part.runs.append(Run(topic, client, flags, properties, len(payloads), publisher))
                part.messages += len(payloads)
            if left:
                parts.append(Gathering())
    parts = _divide_changes(gathering.changes, parts)
    parts[-1].acknowledging, parts[-1].acknowledgements = gathering.acknowledging, gathering.acknowledgements
    parts[-1].then = gathering.then
    _divide_turns(gathering.turns, parts)
    return parts


def _divide_turns(pending: list[tuple[int, Callable[[], None]]], parts: list[Gathering]) -> None:
    """Each goes with the message that follows it, or with the last part."""
    before = at = 0
    for part in parts:
        while at < len(pending) and (pending[at][0] < before + part.messages or part is parts[-1]):
            row, call = pending[at]
            part.turns.append((row - before, call))
            at += 1
        before += part.messages


def _divide_changes(pending: list[tuple[int, bytes]], parts: list[Gathering]) -> list[Gathering]:
    """The first change at a row may say that its message was taken: it must be in the same block as the message.

    What else belongs to a row follows in blocks of its own if it is too much; so does, ahead, what is before all rows.
    """
    early = [change for row, change in pending if row < 0]
    divided: list[Gathering] = []
    size = 0
    if sum(map(len, early)) <= settings.BLOCK_BYTES_MAX:
        parts[0].changes = [(-1, change) for change in early]
        early = []
    for change in early:
        if not divided or size + len(change) > settings.BLOCK_BYTES_MAX:
            divided.append(Gathering())
            size = 0
        divided[-1].changes.append((-1, change))
        size += len(change)
    before, at = 0, sum(row < 0 for row, _ in pending)
    for part in parts:
        divided.append(part)
        end = before + part.messages
        size, row = 0, -1
        while at < len(pending) and (pending[at][0] < end or part is parts[-1]):
            further = row == pending[at][0]
            row, change = pending[at]
            if further and size + len(change) > settings.BLOCK_BYTES_MAX:
                divided.append(Gathering())
                size = 0
            divided[-1].changes.append((row - before, change))
            size += len(change)
            at += 1
        before = end
    return divided
