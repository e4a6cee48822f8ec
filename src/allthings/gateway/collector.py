"""Everything that a few milliseconds brought becomes one block, one append, and one acknowledgement a connection.

At most two appends are under way at a time, one on its way to the disk and one behind it; what arrives meanwhile is
the next block. So blocks grow with the load by themselves, and their order in the log is the order of arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from allthings.gateway import changes, settings
from allthings.gateway.changes import Change, Given
from allthings.gateway.division import Division
from allthings.log import block
from allthings.log.appender import Appending
from allthings.log.stream import Log
from allthings.mqtt.packets.acknowledgements import encode_puback_run


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


class Stored(Protocol):
    """Called with the messages of a block, in order, once they are in the log.

    Message n has the position `position` + n and was received at `first_ns` + n. `division` is what `Divide` said.
    `turns` are to be called before the message of their row, in order.
    """

    def __call__(
        self,
        runs: list[Run],
        payloads: list[bytes],
        position: int,
        first_ns: int,
        division: Division | None,
        turns: list[tuple[int, Callable[[], None]]],
    ) -> None: ...


#: Called before a block is appended: which of its messages shared subscriptions give to members elsewhere.
Divide = Callable[[list[Run]], list[Given]]


class _Gathering:
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


def warm_up() -> None:
    """Encode a block for nobody: what Arrow loads only then would make the first message wait for seconds."""
    gathering = _Gathering()
    gathering.payloads, gathering.messages = [b"", b""], 2
    gathering.runs = [Run("a", "", 0, b"", 2, None)]
    batch = block.decode(gathering.encode())
    batch.column("received").view(pa.int64()).to_pylist()


class Collector:
    """Gathers messages into blocks and appends them. `run` does the appending until cancelled."""

    def __init__(
        self,
        log: Log,
        source: str,
        now_ns: Callable[[], int],
        stored: Stored,
        pressure: Callable[[bool], None],
        trouble: Callable[[str], None],
        divide: Divide | None = None,
    ) -> None:
        """`divide` is given where there are several gateways."""
        self._appender = log.appender(source)
        self._now_ns = now_ns
        self._stored = stored
        self._pressure = pressure
        self._trouble = trouble
        self._divide = divide
        self._gathering = _Gathering()
        self._wake = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._stopping = False
        self._last_ns = 0
        self._appended_s = float("-inf")
        self._under_pressure = False
        self._appending = 0
        self._appending_blocks = 0
        self._unsettled = 0
        # Where others append too, a block that is sent before its predecessor is stored would often be sent again.
        self._slots = asyncio.Semaphore(settings.BLOCKS_UNDER_WAY_MAX if divide is None else 1)
        # No longer than there are slots.
        self._under_way: asyncio.Queue[tuple[_Gathering, Appending | None] | None] = asyncio.Queue()
        #: The newest sequence appended, and messages appended in all.
        self.sequence = 0
        self.messages = 0
        self.bytes = 0

    # Filling

    def add_one(self, run: Run, payload: bytes, publisher: Publisher, puback: bytes, size: int) -> None:
        """Take one message of a client that sends the same again and again: `run` stands for it as it is.

        `size` is that of its packet, `puback` its acknowledgement (QoS 1) or nothing.
        """
        gathering = self._gathering
        gathering.payloads.append(payload)
        gathering.runs.append(run)
        if puback:
            acknowledgements = gathering.acknowledgements
            before = acknowledgements.get(publisher)
            acknowledgements[publisher] = puback if before is None else before + puback
        gathering.messages += 1
        gathering.bytes += size
        if gathering.messages == 1 or gathering.messages > settings.WAITING_MESSAGES_MAX:
            self._grown()

    def add_run(
        self, topic: str, payloads: list[bytes], flags: int, publisher: Publisher, identifiers: list[bytes]
    ) -> None:
        """Take messages of one topic; `identifiers` (QoS 1) are acknowledged to `publisher` once stored."""
        gathering = self._gathering
        gathering.payloads.extend(payloads)
        gathering.runs.append(Run(topic, publisher.client, flags, None, len(payloads), publisher))
        if identifiers:
            before = gathering.acknowledgements.get(publisher, b"")
            gathering.acknowledgements[publisher] = before + encode_puback_run(identifiers)
        gathering.messages += len(payloads)
        gathering.bytes += sum(map(len, payloads)) + len(payloads) * len(topic)
        self._grown()

    def add_many(
        self, runs: list[Run], payloads: list[bytes], size: int, acknowledge: Callable[[], None] | None
    ) -> None:
        """Take messages as `add_one` does, each with its run. `acknowledge` is called when all of them are stored."""
        gathering = self._gathering
        gathering.payloads += payloads
        gathering.runs += runs
        if acknowledge is not None:
            if gathering.acknowledgements:
                gathering.acknowledging.append(partial(_acknowledge, gathering.acknowledgements))
                gathering.acknowledgements = {}
            gathering.acknowledging.append(acknowledge)
        gathering.messages += len(runs)
        gathering.bytes += size
        self._grown()

    def add(
        self,
        topic: str,
        payload: bytes,
        flags: int,
        client: str,
        properties: bytes | None = None,
        publisher: Publisher | None = None,
        identifier: bytes | None = None,
    ) -> None:
        """Take one message (the long way: with properties, retained, a will)."""
        gathering = self._gathering
        gathering.payloads.append(payload)
        gathering.runs.append(Run(topic, client, flags, properties, 1, publisher))
        if publisher is not None and identifier is not None:
            before = gathering.acknowledgements.get(publisher, b"")
            gathering.acknowledgements[publisher] = before + encode_puback_run([identifier])
        gathering.messages += 1
        gathering.bytes += len(payload) + len(topic) + len(properties or b"")
        self._grown()

    def change(self, change: Change) -> None:
        """Store a change of a session together with the message that was taken last."""
        gathering = self._gathering
        encoded = changes.encode_one(change)
        gathering.changes.append((gathering.messages - 1, encoded))
        gathering.bytes += len(encoded)
        self._grown()

    def then(self, call: Callable[[], None]) -> None:
        """Call it when everything that was taken until now is on disk and has been handed on."""
        self._gathering.then.append(call)
        self._wake.set()

    def in_turn(self, call: Callable[[], None]) -> None:
        """Call it when what was taken before has been handed on, and before what comes after: at once if none waits."""
        gathering = self._gathering
        if not self._unsettled and not gathering.messages and not gathering.turns:
            call()
            return
        gathering.turns.append((gathering.messages, call))
        self._grown()

    def _grown(self) -> None:
        self._wake.set()
        gathering = self._gathering
        if not self._under_pressure and (
            gathering.messages + len(gathering.turns) > settings.WAITING_MESSAGES_MAX
            or gathering.bytes > settings.WAITING_BYTES_MAX
        ):
            self._under_pressure = True
            self._pressure(True)

    @property
    def waiting(self) -> int:
        """Messages that are not in the log yet."""
        return self._gathering.messages + self._appending

    @property
    def quiet(self) -> bool:
        """Whether nothing is being appended: every block of ours that the log has is settled."""
        return not self._appending_blocks

    def hold(self, held: bool) -> None:
        """Stop appending (the disk is full) or go on; meanwhile messages wait and devices with them."""
        if held:
            self._open.clear()
        else:
            self._open.set()

    # Appending

    async def take_over(self) -> None:
        """Fence off whoever was this gateway before: what the log has now is all that there will be of it.

        Raises LogUnavailableError.
        """
        await self._appender.take_over(_Gathering().encode())

    async def run(self) -> None:
        """Append block after block, until `stop`; then what is left."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle_all())
            while not self._stopping:
                await self._wake.wait()
                await self._linger()
                await self._open.wait()
                await self._append()
            while not self._gathering.empty:
                await self._append()
            self._under_way.put_nowait(None)

    async def _linger(self) -> None:
        """Take what the sockets hold now; a small block waits a little if another one went just before it."""
        loop = asyncio.get_running_loop()
        before = -1
        while before != self._gathering.messages < settings.BLOCK_MESSAGES_MAX:
            before = self._gathering.messages
            await asyncio.sleep(0)
        pause_s = self._appended_s + settings.SMALL_BLOCK_EVERY_S - loop.time()
        if self._gathering.messages < settings.SMALL_BLOCK_MESSAGES and pause_s > 0:
            await asyncio.sleep(pause_s)
        self._appended_s = loop.time()

    def stop(self) -> None:
        """Let `run` end when everything gathered is in the log."""
        self._stopping = True
        self._open.set()
        self._wake.set()

    async def _append(self) -> None:
        """Begin to append what is gathered; waits, and lets it grow, while as many blocks as may be are under way."""
        await self._slots.acquire()
        for number, gathering in enumerate(self._take()):
            if number:
                await self._slots.acquire()
            if not gathering.messages and not gathering.changes:
                # Nothing to store, but somebody waits for what is under way.
                self._under_way.put_nowait((gathering, None))
                continue
            retained = True
            if self._divide is not None:
                retained = any(run.flags & block.FLAG_RETAIN for run in gathering.runs)
                if given := self._divide(gathering.runs):
                    gathering.give(given)
            self._appending += gathering.messages
            self._appending_blocks += 1
            gathering.first_ns = max(self._now_ns(), self._last_ns + 1)
            self._last_ns = gathering.first_ns + gathering.messages - 1
            appending = self._appender.begin(gathering.encode(), on_trouble=self._trouble, retained=retained)
            self._under_way.put_nowait((gathering, appending))

    async def _settle_all(self) -> None:
        """Wait for block after block to be stored, in order; acknowledge and hand on what it held."""
        while (next_ := await self._under_way.get()) is not None:
            gathering, appending = next_
            if appending is not None:
                self.sequence = await appending.stored
                self._appending_blocks -= 1
            self._slots.release()
            self._appending -= gathering.messages
            self.messages += gathering.messages
            self.bytes += gathering.bytes
            for acknowledge in gathering.acknowledging:
                acknowledge()
            _acknowledge(gathering.acknowledgements)
            position = block.position(self.sequence, 0)
            runs, payloads, division, turns = gathering.runs, gathering.payloads, gathering.division, gathering.turns
            self._stored(runs, payloads, position, gathering.first_ns, division, turns)
            for call in gathering.then:
                call()
            self._unsettled -= 1
            if self._under_pressure and not self._gathering.messages > settings.WAITING_MESSAGES_MAX // 2:
                self._under_pressure = False
                self._pressure(False)

    def _take(self) -> list[_Gathering]:
        gathering, self._gathering = self._gathering, _Gathering()
        self._wake.clear()
        if gathering.messages <= settings.BLOCK_MESSAGES_MAX and gathering.bytes <= settings.BLOCK_BYTES_MAX:
            parts = [gathering]
        else:
            parts = _divide(gathering)
        self._unsettled += len(parts)
        return parts


def _acknowledge(pubacks: dict[Publisher, bytes]) -> None:
    for publisher, packets in pubacks.items():
        publisher.acknowledge(packets)


def _divide(gathering: _Gathering) -> list[_Gathering]:
    """Blocks within the limits, in order; changes stay with their messages.

    All acknowledgements go with the last: they mean "all on disk".
    """
    parts = [_Gathering()]
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
                parts.append(_Gathering())
    parts = _divide_changes(gathering.changes, parts)
    parts[-1].acknowledging, parts[-1].acknowledgements = gathering.acknowledging, gathering.acknowledgements
    parts[-1].then = gathering.then
    _divide_turns(gathering.turns, parts)
    return parts


def _divide_turns(pending: list[tuple[int, Callable[[], None]]], parts: list[_Gathering]) -> None:
    """Each goes with the message that follows it, or with the last part."""
    before = at = 0
    for part in parts:
        while at < len(pending) and (pending[at][0] < before + part.messages or part is parts[-1]):
            row, call = pending[at]
            part.turns.append((row - before, call))
            at += 1
        before += part.messages


def _divide_changes(pending: list[tuple[int, bytes]], parts: list[_Gathering]) -> list[_Gathering]:
    """The first change at a row may say that its message was taken: it must be in the same block as the message.

    What else belongs to a row follows in blocks of its own if it is too much; so does, ahead, what is before all rows.
    """
    early = [change for row, change in pending if row < 0]
    divided: list[_Gathering] = []
    size = 0
    if sum(map(len, early)) <= settings.BLOCK_BYTES_MAX:
        parts[0].changes = [(-1, change) for change in early]
        early = []
    for change in early:
        if not divided or size + len(change) > settings.BLOCK_BYTES_MAX:
            divided.append(_Gathering())
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
                divided.append(_Gathering())
                size = 0
            divided[-1].changes.append((row - before, change))
            size += len(change)
            at += 1
        before = end
    return divided
