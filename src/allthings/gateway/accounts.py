"""What should be there at a start, against what is: sessions, retained messages, and messages that wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from allthings.gateway import roster
from allthings.gateway.backlog import Backlog, Waiting
from allthings.gateway.retained import RetainedMessage
from allthings.gateway.roster import Noted, Roster
from allthings.log import block
from allthings.log.losses import MESSAGES, RETAINED, SESSION, WILL

if TYPE_CHECKING:
    from allthings.gateway.broker import Broker
    from allthings.gateway.kept import KeptSession
    from allthings.gateway.session import Session
    from allthings.log.entry import Entry
    from allthings.log.stream import Log

_LOGGER = logging.getLogger(__name__)
_SESSION_PARTS: Final = 16
_RETAINED_PARTS: Final = 64
_POSITION_BITS: Final = np.uint64(20)


class Accounts:
    """Compares at the start, and then keeps the rosters. `data` is the data directory, None for none."""

    def __init__(self, broker: Broker, data: Path | None) -> None:
        self._broker = broker
        self._folder = data / roster.FOLDER if data is not None else None
        name = f"{broker.shard.index}of{broker.shard.count}"
        self.sessions = Roster(self._folder, f"sessions-{name}", _SESSION_PARTS)
        self.wills = Roster(self._folder, f"wills-{name}", _SESSION_PARTS)
        #: All gateways have retained messages, the first one minds them.
        self.retained = Roster(None if broker.shard.index else self._folder, "retained", _RETAINED_PARTS)
        self._before: dict[str, dict[str, Noted]] = {}

    # At the start

    async def read(self) -> None:
        """What was there the last time."""
        kinds = ("sessions", "wills") if self._broker.shard.index else ("sessions", "wills", "retained")
        for kind in kinds:
            self._before[kind] = await asyncio.to_thread(roster.read, self._folder, kind)

    def oldest(self, rows: Iterable[KeptSession]) -> int | None:
        """The block from which on more of the log has to be read, since the table had later rows of some sessions."""
        before = self._before["sessions"]
        old = [kept for kept in rows if kept.client in before and kept.sequence < before[kept.client].mark]
        if not old:
            return None
        sequence = min(kept.sequence for kept in old)
        _LOGGER.warning(
            "the table of sessions has older rows of %d sessions (client %r, …) than it had: what happened to them "
            "since block %d is taken from the log",
            *(len(old), old[0].client, sequence),
        )
        return sequence

    def loaded(self, kept: KeptSession) -> None:
        """The table has this row of a session."""
        self._note_session(self._broker.sessions.by_client[kept.client], kept.sequence)

    def loaded_retained(self, topic: str, position: int) -> None:
        """The table has this retained message."""
        self.retained.note(topic, Noted(position))

    async def compare(self, log: Log) -> None:
        """Say what is not there any more, once the log was read up to its end. Raises LogUnavailableError."""
        sessions, add, owns = self._broker.sessions, self._broker.lost.add, self._broker.shard.owns
        for client, noted in self._before["sessions"].items():
            if client not in sessions.by_client and client not in sessions.gone and owns(client):
                add(SESSION, client, noted.waiting, "the log's table of sessions has no row of it any more")
                self.sessions.drop([client])
        for client in self._before["wills"]:
            if client not in sessions.wills.stored and client not in sessions.wills.rows.dirty and owns(client):
                add(WILL, client, 1, "the log's table of wills does not have it any more")
                self.wills.drop([client])
        before = self._before.get("retained", {})
        retained = self._broker.retained
        lost = {topic for topic, noted in before.items() if not retained.known(topic, noted.mark)}
        if lost:
            count, lost = len(lost), await self._restored(log, lost, before)
            _LOGGER.warning(
                "the table of retained messages has lost %d; %d of them were found in the log", count, count - len(lost)
            )
            self.retained.drop(lost)
        for topic in sorted(lost):
            add(RETAINED, topic, 1, "neither its table nor the log has it any more")
        self._before.clear()
        await self._look_for_messages(log)

    async def _restored(self, log: Log, topics: set[str], before: dict[str, Noted]) -> set[str]:
        """Look for lost retained messages in the blocks that the log has; those that are not there either."""
        status = await log.status()
        last = status.last if status.blocks else -1
        while last >= status.first and await log.get(last) is None:
            last -= 1
        retained = self._broker.retained
        if last >= status.first:
            async for entries in log.read(status.first - 1, headers=True):
                for each in entries:
                    entry = await log.get(each.sequence) if each.retained else None
                    for topic, message in _retained_in(entry, topics) if entry is not None else ():
                        retained.keep(topic, message)
                if entries[-1].sequence >= last:
                    break
        return {topic for topic in topics if not retained.known(topic, before[topic].mark)}

    async def _look_for_messages(self, log: Log) -> None:
        """Drop what waits in blocks that are not there any more. What is damaged is found when its turn comes."""
        present, trimmed = await log.present(), np.uint64(await log.trimmed())
        for session in self._broker.sessions.by_client.values():
            if not session.queued:
                continue
            waiting = session.queue.spilled.all()
            sequences = waiting.positions >> _POSITION_BITS
            lost = present.lacks(sequences) & (sequences > trimmed)
            if not lost.any():
                continue
            gone = sequences[lost]
            why = f"blocks {gone.min()} to {gone.max()} are not in the log any more"
            self._broker.lost.add(MESSAGES, session.client, len(gone), why)
            session.expired += len(gone)
            session.dirty = True
            session.queue.spilled = Backlog()
            session.queue.spilled.extend(Waiting(waiting.positions[~lost], waiting.options[~lost]))

    # While it runs

    async def leave(self, clients: Iterable[str], wills: Iterable[str], topics: Iterable[str]) -> None:
        """Before the rows of these are dropped, or of topics that have no message any more."""
        self.sessions.drop(clients)
        self.wills.drop([client for client in wills if client not in self._broker.sessions.wills.stored])
        self.retained.drop([topic for topic in topics if self._broker.retained.get(topic) is None])
        await self._write()

    async def enter(
        self, sessions: Sequence[Session], sequence: int, wills: Iterable[str], topics: Iterable[str]
    ) -> None:
        """The rows of these are on disk; those of sessions as they stood at this block."""
        for session in sessions:
            if session.client in self._broker.sessions.by_client:
                self._note_session(session, sequence)
        for client in wills:
            if client in self._broker.sessions.wills.stored:
                self.wills.note(client, Noted(0))
        for topic in topics:
            if (message := self._broker.retained.get(topic)) is not None:
                self.retained.note(topic, Noted(message.position))
        await self._write()

    def _note_session(self, session: Session, sequence: int) -> None:
        self.sessions.note(session.client, Noted(sequence, session.queued + len(session.outbox.flights)))

    async def _write(self) -> None:
        for each in (self.sessions, self.wills, self.retained):
            await each.write()

    def forget(self, shard: str) -> None:
        """There is no such gateway any more."""
        for kind in ("sessions", "wills"):
            roster.forget(self._folder, f"{kind}-{shard}")


def _retained_in(entry: Entry, topics: set[str]) -> Iterable[tuple[str, RetainedMessage]]:
    try:
        batch = entry.batch
    except pa.ArrowInvalid:
        return
    if block.is_readings(batch):
        return
    received = batch.column("received").view(pa.int64())
    flags = batch.column("flags").to_numpy()
    for row in np.flatnonzero((flags & block.FLAG_RETAIN != 0) & (flags & block.FLAG_REPLAYED == 0)).tolist():
        topic = batch.column("topic")[row].as_py()
        if topic in topics:
            payload, properties = (batch.column(name)[row].as_py() for name in ("payload", "properties"))
            qos = int(flags[row]) & block.FLAG_QOS
            position = block.position(entry.sequence, row)
            yield topic, RetainedMessage(payload, qos, properties, received[row].as_py(), position)
