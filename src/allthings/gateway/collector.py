"""Everything that a few milliseconds brought becomes one block, one append, and one acknowledgement a connection.

At most two appends are under way at a time, one on its way to the disk and one behind it; what arrives meanwhile is
the next block. So blocks grow with the load by themselves, and their order in the log is the order of arrival.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

import pyarrow as pa

from allthings.gateway import changes, settings
from allthings.gateway.changes import Change, Given
from allthings.gateway.division import Division
from allthings.gateway.gathering import Gathering, Publisher, Run, divide
from allthings.log import block
from allthings.log.appender import Appending
from allthings.log.stream import Log
from allthings.mqtt.packets.acknowledgements import encode_puback_run


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


def warm_up() -> None:
    """Encode a block for nobody: what Arrow loads only then would make the first message wait for seconds."""
    gathering = Gathering()
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
        self._gathering = Gathering()
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
        self._under_way: asyncio.Queue[tuple[Gathering, Appending | None] | None] = asyncio.Queue()
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

    def add_several(
        self, runs: list[Run], payloads: list[bytes], publisher: Publisher, pubacks: bytes, size: int
    ) -> None:
        """Take messages of one client as `add_one` does, each with its run."""
        gathering = self._gathering
        gathering.payloads += payloads
        gathering.runs += runs
        if pubacks:
            gathering.acknowledgements[publisher] = gathering.acknowledgements.get(publisher, b"") + pubacks
        gathering.messages += len(runs)
        gathering.bytes += size
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
        await self._appender.take_over(Gathering().encode())

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

    def _take(self) -> list[Gathering]:
        gathering, self._gathering = self._gathering, Gathering()
        self._wake.clear()
        if gathering.messages <= settings.BLOCK_MESSAGES_MAX and gathering.bytes <= settings.BLOCK_BYTES_MAX:
            parts = [gathering]
        else:
            parts = divide(gathering)
        self._unsettled += len(parts)
        return parts


def _acknowledge(pubacks: dict[Publisher, bytes]) -> None:
    for publisher, packets in pubacks.items():
        publisher.acknowledge(packets)
