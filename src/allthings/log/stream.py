"""Append to the log and read from it: one JetStream stream, positions in a key-value bucket.

Consumers keep their position themselves (`save_position`) after what they made of a block is durable, and read on
from there. The server holds no state of theirs that a crash could lose, blocks arrive strictly in order, and a reader
that dies is simply replaced by another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import msgspec
import nats.errors
import nats.js.errors
import pyarrow as pa
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, StorageType, StreamConfig

from allthings.log import block, gaps, settings
from allthings.log.appender import IDENTITY, Appender, publish
from allthings.log.connecting import connected, shown
from allthings.log.entry import Entry
from allthings.log.errors import LogTooOldError, LogUnavailableError
from allthings.log.heeding import heeding
from allthings.log.probe import Probe
from allthings.log.pulse import Pulse
from allthings.log.reader import Reader
from allthings.log.table import Table
from allthings.log.underway import Underway

__all__ = ["Entry", "Log", "LogStatus"]

#: The status of the server's own answer when nobody is there to give one.
_NO_RESPONDERS = "503"


class LogStatus(msgspec.Struct, frozen=True):
    """How the log stands. `lag` counts blocks that a consumer has not finished yet."""

    first: int
    last: int
    bytes: int
    blocks: int
    positions: dict[str, int]
    lag: dict[str, int]


class Log:
    """One connection to the log. Make it with `Log.connect`."""

    def __init__(self, connection: Any, replicas: int, keep_bytes: int) -> None:
        self._nc = connection
        self._js = connection.jetstream(timeout=settings.APPEND_TIMEOUT_S)
        self._replicas = replicas
        self._keep_bytes = keep_bytes
        self._positions: Any = None
        self._ids = (f"{prefix}{n}" for prefix in [secrets.token_hex(8)] for n in itertools.count())
        #: Those of `append_surely` that have nothing to do, by source.
        self._idle: dict[str, list[Appender]] = {}
        self._reconnects: set[Callable[[], None]] = set()
        self._underway = Underway()
        self._telling = asyncio.create_task(self._tell_trouble(), name="trouble")
        self._pulse = Pulse(self._probe, settings.PROBE_EVERY_S)

    @classmethod
    async def connect(cls, url: str, *, replicas: int = 1, keep_bytes: int = settings.KEEP_BYTES) -> Self:
        """Connect and make the stream and the bucket where they are missing.

        Raises LogUnavailableError when no server answers within a few seconds, LogTooOldError when it is too old.
        """
        reconnects: list[Callable[[], None]] = []
        connection = await connected(url, lambda: [call() for call in reconnects])
        version = connection.connected_server_version
        if (version.major, version.minor) < settings.SERVER_OLDEST:
            await connection.close()
            raise LogTooOldError(
                f"NATS at {shown(url)} is {version.major}.{version.minor}.{version.patch}, and "
                f"{'.'.join(map(str, settings.SERVER_OLDEST))} or newer is needed"
            )
        log = cls(connection, replicas, keep_bytes)
        reconnects.append(log._on_reconnect)
        try:
            await log._ensure()
        except (nats.errors.Error, TimeoutError) as error:
            await log.close()
            raise LogUnavailableError(f"NATS at {shown(url)} has no working JetStream: {error}") from error
        return log

    async def _ensure(self) -> None:
        config = StreamConfig(
            name=settings.STREAM,
            subjects=[f"{settings.SUBJECT}.>"],
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_bytes=int(self._keep_bytes * settings.HARD_LIMIT_FACTOR),
            max_msg_size=settings.BLOCK_BYTES_MAX,
            duplicate_window=settings.DEDUPLICATION_S,
            num_replicas=self._replicas,
            allow_direct=True,
        )
        try:
            await heeding(self._js.stream_info(settings.STREAM))
            found = await heeding(self._js.update_stream(config))
        except nats.js.errors.NotFoundError:
            found = await heeding(self._js.add_stream(config))
        try:
            self._positions = await heeding(self._js.key_value(settings.POSITIONS_BUCKET))
        except nats.js.errors.NotFoundError:
            self._positions = await heeding(
                self._js.create_key_value(
                    bucket=settings.POSITIONS_BUCKET, history=1, storage=StorageType.FILE, replicas=self._replicas
                )
            )
        try:
            await heeding(self._positions.get(settings.TRIMMED))
        except nats.js.errors.KeyNotFoundError:
            # A log that was made, or trimmed, before this was noted.
            await heeding(self._positions.put(settings.TRIMMED, str(max(0, found.state.first_seq - 1)).encode()))

    def _on_reconnect(self) -> None:
        self._underway.interrupt()
        for call in tuple(self._reconnects):
            call()

    @property
    def connected(self) -> bool:
        return bool(self._nc.is_connected)

    # Whether it takes appends

    async def trouble(self, age_s_max: float = 0.0) -> str:
        """Why the log does not take appends, "" when it does: what an append said that began at most so long ago."""
        return await self._pulse.trouble(age_s_max)

    async def _probe(self) -> str:
        detail = (await Probe(self._nc).look()).detail
        if detail:
            await self.publish_note(settings.TROUBLE, detail.encode())
        return detail

    async def _tell_trouble(self) -> None:
        """Tell who looks after the server of writes that fail."""
        while True:
            await asyncio.sleep(settings.TELL_EVERY_S)
            if trouble := self._underway.take_trouble():
                await self.publish_note(settings.TROUBLE, trouble.encode())

    # Appending

    async def append_batch(self, batch: pa.RecordBatch, source: str) -> int:
        """Append one block; see `append`."""
        return await self.append(block.encode(batch), source)

    async def append(self, data: bytes, source: str) -> int:
        """Append one encoded block and return its sequence once it is on disk.

        `source` is a word that names who appends (a gateway, the web). Tries once; raises LogUnavailableError, after
        which it is not known whether the block was stored.
        """
        return await publish(self._js, self._underway, settings.subject_of(source), data, {IDENTITY: next(self._ids)})

    async def append_surely(self, data: bytes, source: str, *, on_trouble: Callable[[str], None]) -> int:
        """Append one block, again and again until the log has it; it is stored once however often it was sent.

        `on_trouble` is told each failure. Cancel the call to give up. Calls at the same time do not wait for one
        another.
        """
        idle = self._idle.setdefault(source, [])
        if idle:
            appender = idle.pop()
        else:
            subject = f"{settings.subject_of(source)}.{next(self._ids)}"
            appender = Appender(self._js, self._underway, subject, self._ids)
        appending = appender.begin(data, on_trouble=on_trouble)
        try:
            sequence = await appending.stored
        except asyncio.CancelledError:
            # What became of the block is not known: nothing more goes behind it.
            appending.stored.cancel()
            raise
        idle.append(appender)
        return sequence

    def appender(self, source: str) -> Appender:
        """For the one process that appends as `source`, and takes over from another one that did: block after block,
        in order, several under way.
        """
        return Appender(self._js, self._underway, settings.subject_of(source), self._ids)

    # Reading

    async def read(
        self, after: int, *, stop: asyncio.Event | None = None, headers: bool = False
    ) -> AsyncIterator[list[Entry]]:
        """Yield blocks in order from sequence `after` + 1 on, for ever, as many at a time as have arrived.

        Survives restarts of the server. Ends when `stop` is set. Blocks that were trimmed away are passed over; the
        first sequence of `status` tells. `headers`: only who appended them, without their data.
        """
        reader = Reader(self._nc, functools.partial(self._consumer, headers=headers), after)
        self._reconnects.add(reader.restart)
        try:
            async for entries in reader.entries(stop):
                yield entries
        finally:
            self._reconnects.discard(reader.restart)
            with contextlib.suppress(nats.errors.Error, TimeoutError):
                await reader.close()

    async def _consumer(self, after: int, *, headers: bool) -> str:
        """A fresh reader's name at the server, standing behind `after`."""
        info = await heeding(
            self._js.add_consumer(
                settings.STREAM,
                ConsumerConfig(
                    ack_policy=AckPolicy.NONE,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=after + 1,
                    mem_storage=True,
                    num_replicas=1,
                    inactive_threshold=settings.READER_INACTIVE_S,
                    headers_only=headers,
                ),
            )
        )
        return str(info.name)

    async def get(self, sequence: int) -> Entry | None:
        """One block, or None when the log does not have it (any more)."""
        try:
            message = await heeding(self._js.get_msg(settings.STREAM, seq=sequence))
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"block {sequence} cannot be read: {error!r}") from error
        stored = message.time
        return Entry(
            sequence,
            message.data or block.EMPTY,
            int(stored.timestamp() * 1e9) if stored else 0,
            settings.source_of(message.subject),
        )

    # Tables and positions

    async def table(self, name: str) -> Table:
        """A durable table of bytes by key, made when it is missing. `name`: letters, digits and `-`."""
        bucket = f"{settings.TABLES}-{name}"
        try:
            try:
                opened = await heeding(self._js.key_value(bucket))
            except nats.js.errors.NotFoundError:
                opened = await heeding(
                    self._js.create_key_value(
                        bucket=bucket, history=1, storage=StorageType.FILE, replicas=self._replicas
                    )
                )
            return Table(self._js, self._underway, opened, bucket)
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"the table {name} cannot be opened: {error!r}") from error

    async def position(self, consumer: str) -> int:
        """The sequence up to which a consumer has finished; 0 for one that never ran."""
        try:
            entry = await heeding(self._positions.get(consumer))
        except nats.js.errors.KeyNotFoundError:
            return 0
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"the position of {consumer} cannot be read: {error!r}") from error
        return int(entry.value)

    async def save_position(self, consumer: str, sequence: int) -> None:
        """Keep a consumer's position, durably. Call it when everything up to `sequence` is durable elsewhere."""
        try:
            async with self._underway.one():
                await heeding(self._positions.put(consumer, str(sequence).encode()))
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"the position of {consumer} cannot be kept: {error!r}") from error

    async def forget_position(self, consumer: str) -> None:
        """Drop the position of a consumer that is no more; nothing happens if there is none."""
        try:
            async with self._underway.one():
                await heeding(self._positions.purge(consumer))
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"the position of {consumer} cannot be dropped: {error!r}") from error

    async def status(self) -> LogStatus:
        """First and last sequence, size, and how far each consumer is."""
        try:
            state = (await heeding(self._js.stream_info(settings.STREAM))).state
            rows = Table(self._js, self._underway, self._positions, settings.POSITIONS_BUCKET).rows()
            positions = {name: int(value) async for name, value in rows if name != settings.TRIMMED}
        except (nats.errors.Error, TimeoutError) as error:
            raise LogUnavailableError(f"the log's state cannot be read: {error!r}") from error
        lag = {name: max(0, state.last_seq - place) for name, place in positions.items()}
        return LogStatus(state.first_seq, state.last_seq, state.bytes, state.messages, positions, lag)

    async def trim(self, finished: int, now_ns: int, *, keep_age_s: float, keep_bytes: int) -> int:
        """Drop old blocks beyond age or size, but none after `finished` (what the slowest consumer has finished).

        Returns the number of blocks dropped.
        """
        state = (await heeding(self._js.stream_info(settings.STREAM))).state
        if not state.messages:
            return 0
        oldest_kept = await self._first_younger(state.first_seq, state.last_seq, now_ns - int(keep_age_s * 1e9))
        if state.bytes > keep_bytes:
            # Sizes of single blocks are not known here; take them as equal and come again.
            surplus = (state.bytes - keep_bytes) / state.bytes
            oldest_kept = max(oldest_kept, state.first_seq + int(state.messages * surplus) + 1)
        oldest_kept = min(oldest_kept, finished + 1)
        if oldest_kept <= state.first_seq:
            return 0
        await self.save_position(settings.TRIMMED, oldest_kept - 1)
        await heeding(self._js.purge_stream(settings.STREAM, seq=oldest_kept))
        return int(oldest_kept - state.first_seq)

    async def present(self) -> gaps.Present:
        """Which blocks there are, as far as the server knows."""
        return await gaps.present(self._js)

    async def skip_to(self, sequence: int) -> None:
        """Go on behind this number (`log.gaps`), which a block without rows gets: the server finds it again in whatever
        way it starts."""
        if await gaps.advance(self._js, self._nc, sequence):
            await self.append_batch(pa.RecordBatch.from_pylist([], block.MESSAGES), gaps.SOURCE)

    async def trimmed(self) -> int:
        """The last block that was dropped for its age; older ones are no loss."""
        return await self.position(settings.TRIMMED)

    async def _first_younger(self, first: int, last: int, limit_ns: int) -> int:
        """The first sequence stored after `limit_ns`, by bisection; last + 1 when there is none."""
        low, high = first, last + 1
        while low < high:
            middle = (low + high) // 2
            entry = await self.get(middle)
            if entry is None or entry.stored_ns < limit_ns:
                low = middle + 1
            else:
                high = middle
        return low

    # Notes: small, not durable, for whoever listens now

    async def publish_note(self, subject: str, data: bytes) -> None:
        """Tell whoever listens now. A note is lost when nobody does."""
        with contextlib.suppress(nats.errors.Error, OSError):
            await heeding(self._nc.publish(f"{settings.NOTES}.{subject}", data))

    async def notes(self, subject: str) -> AsyncIterator[bytes]:
        """Notes on a subject (NATS wildcards allowed), from now on."""
        subscription = await heeding(self._nc.subscribe(f"{settings.NOTES}.{subject}"))
        try:
            async for message in subscription.messages:
                yield message.data
        finally:
            with contextlib.suppress(nats.errors.Error):
                await heeding(subscription.unsubscribe())

    # Questions: small, not durable, for whoever answers now

    async def ask(self, subject: str, data: bytes, *, within_s: float, replies: int = 0) -> list[bytes]:
        """Ask whoever answers on a subject; the answers in the order in which they came, none if nobody does.

        Returns when `replies` have come; 0 means all that come soon after one another. After `within_s` it returns
        what there is. Raises LogUnavailableError when the question cannot even be sent.
        """
        inbox = self._nc.new_inbox()
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        answers: list[bytes] = []
        try:
            subscription = await heeding(self._nc.subscribe(inbox, cb=arrived.put))
            try:
                await heeding(self._nc.publish(f"{settings.QUESTIONS}.{subject}", data, reply=inbox))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(within_s) as limit:
                        while not replies or len(answers) < replies:
                            message = await arrived.get()
                            if not message.data and (message.headers or {}).get("Status") == _NO_RESPONDERS:
                                break
                            answers.append(message.data)
                            if not replies:
                                soon = asyncio.get_running_loop().time() + settings.ANSWERS_APART_S
                                limit.reschedule(min(soon, limit.when() or soon))
            finally:
                await heeding(subscription.unsubscribe())
        except (nats.errors.Error, OSError) as error:
            raise LogUnavailableError(f"a question could not be asked: {error!r}") from error
        return answers

    async def answers(self, subject: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer questions on a subject, one after the other, until cancelled."""
        subscription = await heeding(self._nc.subscribe(f"{settings.QUESTIONS}.{subject}"))
        try:
            async for message in subscription.messages:
                answer = await handler(message.data)
                with contextlib.suppress(nats.errors.Error, OSError):
                    await heeding(self._nc.publish(message.reply, answer))
        finally:
            with contextlib.suppress(nats.errors.Error):
                await heeding(subscription.unsubscribe())

    async def close(self) -> None:
        """Close the connection. Calls under way fail with LogUnavailableError."""
        self._telling.cancel()
        with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
            async with asyncio.timeout(2):
                await self._nc.close()
